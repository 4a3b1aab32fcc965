"""The table of the hot path beside its peers: same rows, same statements, same keys."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from pathlib import Path
from statistics import median
from uuid import UUID

import psycopg
import pytest

import authkit
from authkit.errors import LabError
from authkit.harness.peers import hot, hot_sqlalchemy, hot_table, hot_timing
from authkit.harness.peers import hot_clients as clients
from authkit.harness.peers import hot_world as world
from authkit.settings import Settings

SIZES = world.Sizes(sessions=200, attempts=50, limits=100)


@pytest.mark.parametrize("operation", world.OPERATIONS)
def test_pgbench_runs_our_statement_and_finds_the_rows(database, operation):
    world.load(database.url, SIZES)
    lines = world.script(operation, SIZES).splitlines()
    assert lines[0] == f"\\set key random_zipfian(1, {SIZES.keys(operation)}, 1.001)"
    assert len(lines) == 2
    with psycopg.connect(database.url, autocommit=True) as connection:
        # Key 100 stands in every table.
        cursor = connection.execute(lines[1].replace(":key", "100").encode())
        assert cursor.rowcount == 1
    single = Settings.load(None, database_url=database.url)
    with authkit.connect(single) as kit:
        assert clients.call_of(kit.hot, operation)(99)
        assert clients.call_of(kit.coalesced, operation)(98)


def test_a_table_that_grew_has_its_rows_and_the_indexes_it_had(database):
    world.load(database.url, world.Sizes(sessions=20, attempts=0, limits=0))
    indexes = """
        SELECT indexdef, conname, contype FROM pg_indexes
        LEFT JOIN pg_constraint ON conname = indexname
        WHERE tablename = 'active_sessions' ORDER BY indexname
    """
    with psycopg.connect(database.url, autocommit=True) as connection:
        before = connection.execute(indexes).fetchall()
        world.grow(database.url, 20, 300)
        assert connection.execute(indexes).fetchall() == before
        assert len(before) > 2
        found = connection.execute("SELECT count(*) FROM authkit.active_sessions")
        assert found.fetchone() == (300,)
    single = Settings.load(None, database_url=database.url)
    with authkit.connect(single) as kit:
        assert all(clients.call_of(kit.hot, "validate")(key) for key in (1, 20, 300))


def test_keys_follow_zipf_and_the_same_seed_draws_the_same():
    sizes = world.Sizes(sessions=1000)
    drawn = world.drawn(sizes, "validate", 20_000)
    assert drawn == world.drawn(sizes, "validate", 20_000)
    counted = Counter(drawn)
    assert set(counted) <= set(range(1, 1001))
    # The first key is drawn twice as often as the second, ten times the tenth.
    assert counted[1] / counted[2] == pytest.approx(2, rel=0.2)
    assert counted[1] / counted[10] == pytest.approx(10, rel=0.3)


def test_a_ratio_is_the_median_of_ratios_within_a_round():
    cells = hot_table.Cells()
    for ours, theirs, best in ((10, 5, 8), (100, 100, 50), (30, 10, 20)):
        cells.add("ours", ours)
        cells.add("theirs 1", theirs)
        cells.add("theirs 2", best)
    assert median(cells.ratios("ours", "theirs 1")) == 2
    assert median(cells.ratios("ours", "theirs 1", "theirs 2")) == 1.25
    assert cells.ratios("ours", "missing") == []
    assert cells.ratios("missing", "ours") == []


def test_a_stack_that_is_missing_has_no_figure_and_the_table_says_why():
    cells = hot_table.Cells()
    for rate in (80, 100, 120):
        cells.add("threads validate 8", rate)
        cells.add("pgbench validate 8", 100)
    missing = {"drizzle": "no node here"}
    ratios = hot_table.ratios(cells, [(20.0, 10.0)], missing)
    figures = {one.name: one for one in hot_table.figures(ratios)}
    assert figures["validate over pgbench, 8 clients"].holds
    assert figures["client CPU over bare libpq's"].value == 2
    # Not missing, and not measured: a goal that does not hold.
    assert figures["validate over asyncpg, 8 clients"].holds is False
    assert not any("Drizzle" in name for name in figures)
    table = hot_table.markdown(tuple(figures.values()), ratios, missing).splitlines()
    assert "| validate over pgbench, 8 clients | 1 x | 0.8 to 1.2 | >= 0.75 |" in table
    assert "| validate over Drizzle, 8 clients | missing: no node here | | |" in table
    assert sum("missing: no node here" in line for line in table) == 5


def test_sqlalchemy_finds_the_sessions_by_core_and_by_orm(database):
    world.load(database.url, world.Sizes(sessions=20, attempts=0, limits=0))
    for orm in (False, True):
        with hot_sqlalchemy.validation(database.url, orm=orm) as validate:
            found = validate(7)
            assert found is not None
            assert found.id == world.session_id(7)
            assert validate(21) is None


def test_without_node_drizzle_is_missing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hot._drizzle(tmp_path / "node", None) == (
        None,
        {"drizzle": "node or npm is not installed"},
    )


def test_welchs_t_sees_a_shift_and_leaves_the_slowest_twentieth_out():
    # Without the slowest: means 1.5 and 2.5, variances 1/2, two each.
    small = hot_timing.welch([1, 2, 3], [2, 3, 4])
    assert small.t == pytest.approx(-1 / sqrt(1 / 4 + 1 / 4))
    assert small.difference_us == pytest.approx(-0.001)
    calm = [100, 101, 102] * 100
    stalled = [*calm[:-10], *[10**9] * 10]
    assert abs(hot_timing.welch(calm, stalled).t) < 1
    assert hot_timing.welch([time + 5 for time in calm], calm).t > 4.5
    assert hot_timing.welch([7] * 40, [7] * 40).t == 0


def test_wrong_and_expired_tokens_are_asked_for_as_often_and_answered_alike(
    database,
):
    single = Settings.load(None, database_url=database.url)
    with (
        authkit.connect(single) as kit,
        psycopg.connect(database.url, autocommit=True) as owner,
    ):
        owner.execute(world._USERS, (world.USER,))
        asked: list[str] = []
        kit.observe(lambda name, *_: asked.append(name))
        timing = hot_timing.compare(kit, owner, [world.USER], calls=40)
        assert asked.count("sessions.validate") == 80
        assert asked.count("sessions.create") == hot_timing.EXPIRED
        figures = hot._timed(timing)
        assert [figure.goal for figure in figures] == [None, None]
        with pytest.raises(LabError):
            hot_timing.compare(kit, owner, [UUID(int=7)], calls=1)
