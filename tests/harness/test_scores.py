"""The measurement of scores, small: that it fills, asks and judges."""

from __future__ import annotations

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.harness.scores import Asked, Size, run
from authkit.harness.scores.filling import counted, draw, fill
from authkit.risk import features
from authkit.risk.counters import EVIDENCE, keys
from authkit.risk.features import FACETS

NOON_US = 12 * 3_600_000_000
KEPT = """
    SELECT min(known), max(known), count(*) FILTER (WHERE new),
           count(DISTINCT (user_id, ip))
    FROM (SELECT user_id, facets[1] AS ip, facets[14] IS NOT NULL AS new,
                 num_nonnulls(VARIADIC facets[1:13]) AS known
          FROM authkit.risk_logins) AS l
"""


def _silent(phase: str, done: int, whole: int) -> None:
    assert phase
    assert done <= whole


def test_filled_counters_know_the_logins_that_are_drawn_from_them(database):
    with psycopg.connect(database.url, autocommit=True) as owner:
        size = Size(attempts=3_000, users=300)
        assert fill(owner, size, _silent, "test") == counted(owner)
        assert 1_500 < counted(owner) < 6_000
        drawn = draw(owner, size, list(range(300)))
        raw = psycopg.RawCursor(owner)
        known = [0] * len(FACETS)
        for login in drawn:
            looked = keys(
                features(login.ip, login.asn, login.country, login.user_agent, NOON_US)
            )
            row = raw.execute(EVIDENCE.sql, (login.user_id, None, looked)).fetchone()
            assert row is not None
            assert row[0] > 0  # everybody has a history
            known = [one + bool(own) for one, own in zip(known, row[4], strict=True)]
        # Mostly on a network of their own, and every facet counts for somebody.
        assert known[FACETS.index("asn")] > len(drawn) / 2
        assert min(known) > 0, dict(zip(FACETS, known, strict=True))
        kept = owner.execute(KEPT).fetchone()
        assert kept is not None
        assert kept[0] == kept[1] == len(FACETS) - 1  # all but the last, of every login
        assert kept[2] == kept[3]  # the last of each address that is new to its user
        assert kept[3] > 1.5 * size.users  # each login was drawn by itself
    with pytest.raises(InvalidInput, match="as many attempts"):
        Size(attempts=1, users=2)


@pytest.mark.slow
def test_the_measurement_gives_every_figure_and_says_which_goal_holds():
    asked = Asked(rate=100, commit_rate=50, seconds=1, rounds=1)
    report = run(Size(2_000, 200), asked, _silent)
    assert report.command == "risk bench"
    assert all(figure.value is not None for figure in report.figures)
    goals = [figure.name for figure in report.figures if figure.goal is not None]
    assert len(goals) == 4
