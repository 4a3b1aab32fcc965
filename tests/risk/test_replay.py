from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.risk import MODELS, PastOnly
from authkit.risk.recount import rebuild, upkeep
from authkit.risk.replay import replay
from authkit.workload.load import seed

END = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = END - timedelta(days=15)
BOTH = [MODELS["mismatch"], MODELS["hdir"]]


@pytest.fixture
def connection(database) -> Iterator[psycopg.Connection]:
    seed(database.url, users=150, days=30, seed=4, end=END, score=PastOnly())
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def test_history_is_rescored_side_by_side_and_what_was_kept_comes_out_again(connection):
    found = replay(connection, BOTH, SINCE, END)
    assert found.attempts > 100
    assert (found.differing, found.foreign) == (0, 0)
    assert found.repeated == found.attempts
    for model in found.models:
        scored = len(model.completed) + len(model.others)
        assert scored + model.unscored == found.attempts
    ours = found.models[1]
    line = ours.asked_again(0.05)
    assert line is not None
    assert sum(score > line[0] for score in ours.completed) <= 0.05 * len(
        ours.completed
    )
    # Nothing was written, and a second replay is the same.
    assert replay(connection, BOTH, SINCE, END) == found


def test_counts_are_made_anew_from_the_attempts(connection):
    counted = rebuild(connection, END)
    assert counted > 50
    for question in (
        "SELECT logins FROM authkit.risk_totals",
        "SELECT sum(logins)::bigint FROM authkit.risk_users",
        (
            "SELECT count(*) FROM authkit.auth_attempts"
            " WHERE session_id IS NOT NULL AND outcome = 'succeeded'"
        ),
    ):
        assert connection.execute(question).fetchone() == (counted,), question
    told: list[tuple[str, int, int]] = []
    assert rebuild(connection, END, lambda *step: told.append(step)) == counted
    assert told[-1] == ("counts", 15, 15)
    merged, aged = upkeep(connection, timedelta(days=1))
    assert aged <= counted
    assert merged == aged


def test_a_replay_without_a_stretch_of_time_is_refused(connection):
    with pytest.raises(InvalidInput, match="not after"):
        replay(connection, BOTH, END, SINCE)
    with pytest.raises(InvalidInput, match="time zone"):
        replay(connection, BOTH, SINCE.replace(tzinfo=None), END)
