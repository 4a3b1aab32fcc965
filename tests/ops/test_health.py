"""Health: asked of real nodes, judged from answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import time
from typing import Any

import psycopg
import pytest

from authkit.lab import Lab
from authkit.ops.database import setup
from authkit.ops.findings import Level
from authkit.ops.health import Answer, Condition, Health, asking, judge, look
from authkit.ops.health.counting import counted
from authkit.ops.health.reporting import report
from authkit.ops.health.values import Carried, Slot, TableActivity, Unreachable
from authkit.ops.migrate import head_revision
from authkit.settings import Settings
from authkit.testing.waiting import until

TODAY = date(2026, 3, 1)
HEALTHY = Answer(
    where="authkit on a",
    round_trip_s=0.001,
    round_trips=1,
    clock_skew_s=0.0,
    replica=False,
    version="18.6",
    version_number=180006,
    system="7",
    timeline=1,
    lsn_bytes=10**9,
    behind_bytes=0,
    streaming=False,
    replay_paused=False,
    settings={
        "synchronous_commit": "on",
        "synchronous_standby_names": "ANY 1 (*)",
        "wal_level": "replica",
        "data_checksums": "on",
        "archive_mode": "off",
        "fsync": "on",
        "full_page_writes": "on",
        "autovacuum": "on",
        "autovacuum_freeze_max_age": "200000000",
        "max_connections": "100",
        "superuser_reserved_connections": "3",
    },
    standbys=1,
    confirming=1,
    archive_failing=False,
    archived_ago_s=None,
    connections=10,
    longest_transaction_s=1.0,
    longest_idle_s=None,
    prepared_s=None,
    xid_age=1000,
    slots=(),
    tables=(),
    days=tuple(TODAY + timedelta(days=n) for n in range(15)),
    carried=Carried("head"),
)
REPLICA = replace(HEALTHY, where="authkit on b", replica=True, streaming=True)


def names(*answers: Answer, lost: tuple[Unreachable, ...] = ()) -> set[str]:
    found = judge(answers, lost, today=TODAY, head="head")
    return {f.name for f in found if f.level is not Level.GOOD}


def setting(**changed: str) -> Answer:
    return replace(HEALTHY, settings={**HEALTHY.settings, **changed})


def ready(database: Any, pair: Lab) -> None:
    setup(database.url)
    pair.wait_replayed()


def settings_of(*urls: str) -> Settings:
    return Settings.load(
        env_file=None, database_url=urls[0], database_replica_urls=urls[1:]
    )


def test_a_healthy_pair_gives_no_cause():
    assert names(HEALTHY, REPLICA) == set()


@pytest.mark.parametrize(
    ("expected", "primary", "replica"),
    [
        ("writes_wait", replace(HEALTHY, confirming=0), REPLICA),
        ("writes_wait", replace(HEALTHY, confirming=None, standbys=0), REPLICA),
        ("writes_wait", setting(synchronous_standby_names="ANY 2 (b, c)"), REPLICA),
        (
            "writes_wait",
            replace(setting(synchronous_standby_names="2 (*)"), confirming=None),
            REPLICA,
        ),
        ("asynchronous", setting(synchronous_standby_names=""), REPLICA),
        ("asynchronous", setting(synchronous_commit="local"), REPLICA),
        (
            "asynchronous",
            replace(setting(synchronous_commit="off"), confirming=0, standbys=0),
            REPLICA,
        ),
        ("not_streaming", HEALTHY, replace(REPLICA, streaming=False)),
        ("replay_paused", HEALTHY, replace(REPLICA, replay_paused=True)),
        ("lags", HEALTHY, replace(REPLICA, lsn_bytes=0)),
        ("clock_skew", HEALTHY, replace(REPLICA, clock_skew_s=-9.0)),
        ("foreign_node", HEALTHY, replace(REPLICA, system="8")),
        (
            "two_primaries",
            HEALTHY,
            replace(HEALTHY, where="authkit on b"),
        ),
        ("stale_primary", replace(HEALTHY, timeline=2), HEALTHY),
        ("connections", replace(HEALTHY, connections=95), REPLICA),
        ("long_transaction", replace(HEALTHY, longest_transaction_s=1e4), REPLICA),
        ("idle_in_transaction", replace(HEALTHY, longest_idle_s=90.0), REPLICA),
        ("prepared_transaction", replace(HEALTHY, prepared_s=1e4), REPLICA),
        ("slot_lost", replace(HEALTHY, slots=(Slot("s", False, "lost", 0),)), REPLICA),
        (
            "slot_holds_wal",
            replace(HEALTHY, slots=(Slot("s", False, "extended", 2**40),)),
            REPLICA,
        ),
        ("fsync_off", setting(fsync="off"), REPLICA),
        ("no_checksums", setting(data_checksums="off"), REPLICA),
        ("wal_level", setting(wal_level="minimal"), REPLICA),
        ("autovacuum_off", setting(autovacuum="off"), REPLICA),
        ("archive_failing", replace(HEALTHY, archive_failing=True), REPLICA),
        (
            "dead_rows",
            replace(HEALTHY, tables=(TableActivity("users", 10, 20_000, 0, 0),)),
            REPLICA,
        ),
        (
            "few_hot_updates",
            replace(
                HEALTHY, tables=(TableActivity("active_sessions", 9, 0, 20_000, 9),)
            ),
            REPLICA,
        ),
        ("transaction_ids", replace(HEALTHY, xid_age=1_500_000_000), REPLICA),
        ("transaction_ids", replace(HEALTHY, xid_age=400_000_000), REPLICA),
        ("missing_partitions", replace(HEALTHY, days=()), REPLICA),
        ("not_newest", replace(HEALTHY, carried=Carried("older")), REPLICA),
        ("not_migrated", replace(HEALTHY, carried=Carried()), REPLICA),
        ("schema_closed", replace(HEALTHY, carried=Carried(closed=True)), REPLICA),
        (
            "unpurged",
            replace(
                HEALTHY, carried=Carried("head", {"active_sessions": 86_400.0 * 60})
            ),
            REPLICA,
        ),
    ],
)
def test_each_trouble_is_named_alone_with_what_to_do(
    expected: str, primary: Answer, replica: Answer
):
    assert names(primary, replica) == {expected}
    for finding in judge((primary, replica), (), today=TODAY, head="head"):
        if finding.name == expected:
            assert finding.advice


def test_as_many_as_commits_wait_for_are_enough():
    wanted = setting(synchronous_standby_names="FIRST 2 (b, c, d)")
    assert names(replace(wanted, confirming=2), REPLICA) == set()


def test_a_lost_replica_degrades_and_a_lost_primary_is_down():
    lost = (Unreachable("authkit on c", "is the server running?"),)
    assert names(HEALTHY, REPLICA, lost=lost) == {"unreachable"}
    assert names(REPLICA, lost=lost) == {"unreachable", "no_primary"}


def test_a_real_pair_is_asked_once_per_node_and_is_healthy(database: Any, pair: Lab):
    ready(database, pair)
    found = look(settings_of(database.url, database.replica_url))
    assert found.condition is Condition.HEALTHY, found.findings
    assert {(a.role, a.carried.revision) for a in found.answers} == {
        ("primary", head_revision()),
        ("replica", head_revision()),
    }
    assert found.answers[0].confirming == 1
    assert {answer.round_trips for answer in found.answers} == {1}
    shown = report(found).as_dict()
    assert [f["name"] for f in shown["figures"]][:4] == [  # pyright: ignore[reportIndexIssue, reportUnknownVariableType, reportGeneralTypeIssues] # JSON
        "health_ms",
        "round_trips_per_node",
        "nodes_answering",
        "faults",
    ]
    assert (found.liveness.status, found.readiness.status) == (200, 200)
    assert database.name not in str(found.readiness.body)


def test_a_clock_that_differs_is_told_by_how_much(
    database: Any, pair: Lab, monkeypatch: pytest.MonkeyPatch
):
    ready(database, pair)
    monkeypatch.setattr(asking, "time", lambda: time() - 90)
    found = look(settings_of(database.url))
    (told,) = (f for f in found.findings if f.name == "clock_skew")
    assert "+90.0 s" in told.what
    assert "NTP" in told.advice


def test_a_second_question_is_a_second_round_trip(database: Any):
    with psycopg.connect(database.url, autocommit=True) as connection:
        with counted(connection.pgconn) as trips:
            connection.execute("SELECT 1")
            connection.execute("SELECT %s::int", [2])
        assert trips() == 2


def test_a_login_without_any_right_is_told_what_it_may_not_see(
    database: Any, pair: Lab
):
    ready(database, pair)
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE nobody_at_all LOGIN PASSWORD 'nothing'")
    try:
        host = psycopg.conninfo.conninfo_to_dict(database.url)
        url = f"postgresql://nobody_at_all:nothing@{host['host']}:{host['port']}"
        found = look(settings_of(f"{url}/{database.name}"))
        assert "schema_closed" in {f.name for f in found.findings}
        assert found.condition is Condition.HEALTHY, found.findings
    finally:
        with psycopg.connect(database.url, autocommit=True) as admin:
            admin.execute("DROP ROLE nobody_at_all")


def test_a_database_of_another_kind_is_degraded_and_not_an_error(empty_url: str):
    found = look(settings_of(empty_url))
    assert "not_migrated" in {f.name for f in found.findings}
    assert (found.condition, found.exit_code) == (Condition.DEGRADED, 1)


def test_a_node_that_does_not_answer_holds_up_nobody(database: Any, pair: Lab):
    ready(database, pair)
    nowhere = "postgresql://authkit:hidden@127.0.0.1:1/authkit"
    found = look(settings_of(database.url, nowhere))
    assert (found.condition, found.exit_code) == (Condition.DEGRADED, 1)
    down = look(settings_of(nowhere))
    assert (down.condition, down.exit_code) == (Condition.DOWN, 2)
    assert (down.liveness.status, down.readiness.status) == (200, 503)
    assert "hidden" not in repr(down)


def test_a_transaction_left_open_is_seen(database: Any, pair: Lab):
    ready(database, pair)
    with psycopg.connect(database.url) as held:
        held.execute("SELECT 1")

        def seen() -> bool:
            found = look(settings_of(database.url))
            return (found.answers[0].longest_idle_s or 0) > 0

        until(seen, "the idle transaction in the answer")


def test_closed_connections_are_not_ready_nor_live():
    closed = Health(
        at=datetime.now(UTC),
        seconds=0.1,
        condition=Condition.HEALTHY,
        answers=(),
        unreachable=(),
        findings=(),
        open=False,
    )
    assert (closed.liveness.status, closed.readiness.status) == (503, 503)
