"""Real locust, in a process of its own, against a real primary and replica."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from authkit.harness import history
from authkit.harness.profile import VISITS
from authkit.harness.recorder import Recording

LEFT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


# As an earlier run may have left it, on a database that is gone.
EARLIER = "1.500000 session 01997d2e-0000-7000-8000-000000000000\n"


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_locust_runs_every_operation_on_both_nodes(locust, tmp_path: Path):
    history_file, recording_file = tmp_path / "history.txt", tmp_path / "recording.json"
    history_file.write_text(EARLIER)
    ran = locust.run(
        "-u",
        "4",
        "-r",
        "4",
        AUTHKIT_LOAD_HISTORY=history_file,
        AUTHKIT_LOAD_RECORDING=recording_file,
        AUTHKIT_LOAD_REPORT=tmp_path / "report.html",
    )
    assert ran.code == 0, ran.said
    assert ran.json is not None
    assert (ran.json["valid"], ran.json["loop"]) == (True, "closed")
    assert ran.figures["errors"] == 0
    for name in VISITS:
        assert ran.figures[f"{name}.p50_ms"] > 0
        assert f"  {name}" in ran.said  # locust's own table names it too

    recording = Recording.from_dict(json.loads(recording_file.read_text())["recording"])
    assert recording.select().calls == ran.figures["operations"]
    assert {key.role for key in recording.keys} == {"primary", "replica"}
    assert len({key.node for key in recording.keys}) == 2

    writes = history.read(history_file)
    with psycopg.connect(locust.database.url, autocommit=True) as connection:
        assert history.lost(writes, connection) == ()
        assert connection.execute(LEFT).fetchone() == (0,)
    assert len(writes) > 100
    assert "What the servers said" in (tmp_path / "report.html").read_text()


GOALS = """
[[goal]]
operation = "sessions.validate"
p50_ms = 0.0001
"""
DURING = """
[[goal]]
operation = "sessions.validate"
phase = "during"
error_rate = 0.5
"""


def test_an_open_loop_measures_from_the_scheduled_start_and_may_miss_its_goals(
    locust, tmp_path: Path
):
    goals = tmp_path / "goals.toml"
    goals.write_text(GOALS + "[generator]\nlag_p99_ms = 1000\n" + DURING)
    ran = locust.run(
        "-u", "8", "-r", "8", AUTHKIT_LOAD_RATE="100", AUTHKIT_LOAD_SLO=goals
    )
    assert ran.json is not None, ran.said
    assert (ran.code, ran.json["valid"], ran.json["loop"]) == (1, True, "open")
    due = 100 * ran.json["seconds"]  # a busy machine ends it late
    assert ran.figures["operations"] == pytest.approx(due, rel=0.4)
    assert ran.figures["skipped_arrivals"] == 0
    assert "goal missed: sessions.validate[all].p50_ms is" in ran.said
    # There was no fault, so nothing was called during one.
    assert "sessions.validate[during].error_rate was not measured" in ran.said


def test_two_workers_are_merged_into_one_recording(locust, tmp_path: Path):
    history_file = tmp_path / "history.txt"
    history_file.write_text(EARLIER)
    ran = locust.run(
        "-u",
        "4",
        "-r",
        "4",
        *locust.workers(2),
        AUTHKIT_LOAD_HISTORY=history_file,
    )
    assert ran.code == 0, ran.said
    # Locust counts by itself: both ways of merging must agree.
    totals = next(line for line in ran.said.splitlines() if " Aggregated " in line)
    assert int(totals.split()[1]) == ran.figures["operations"] > 50
    with psycopg.connect(locust.database.url, autocommit=True) as connection:
        assert history.lost(history.read(history_file), connection) == ()


@pytest.mark.slow
def test_a_master_takes_what_workers_of_other_machines_measured_and_wrote(
    locust, tmp_path: Path
):
    port, history_file = locust.port(), tmp_path / "history.txt"
    master = locust.start(
        *("-u", "4", "-r", "4", "--master", "--master-bind-port", port),
        *("--expect-workers", "2"),
        AUTHKIT_LOAD_SECONDS="2",
        AUTHKIT_LOAD_HISTORY=history_file,
    )
    workers = [
        locust.start("--worker", "--master-port", port, AUTHKIT_LOAD_JSON="")
        for _ in range(2)
    ]
    ran = locust.ended(master)
    for worker in workers:
        assert locust.ended(worker).code == 0
    assert ran.code == 0, ran.said
    assert ran.figures["operations"] > 50
    writes = history.read(history_file)
    with psycopg.connect(locust.database.url, autocommit=True) as connection:
        assert history.lost(writes, connection) == ()
    opened = [write for write in writes if write.kind == "session"]
    assert len(opened) >= 400  # the standing sessions of both among them


@pytest.mark.slow
def test_a_run_that_lost_a_worker_proves_nothing(locust):
    process = locust.start(
        *("-u", "4", "-r", "4"), *locust.workers(2), AUTHKIT_LOAD_SECONDS="3"
    )
    locust.heard(process, '"progress"')
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(children.split()[0]), signal.SIGKILL)
    ran = locust.ended(process)
    assert ran.code == 2, ran.said
    assert ran.json["reason"] == (
        "1 of 2 workers were lost: the figures are not complete"
    )
    assert ran.figures["operations"] > 0  # what is left is told all the same


@pytest.mark.slow
def test_the_harness_is_measured_beside_greenlets_that_have_none(locust):
    ran = subprocess.run(
        [sys.executable, "-m", "authkit.harness.arms", "0.5"],
        env={
            **os.environ,
            "DATABASE_URL": locust.database.url,
            "DATABASE_REPLICA_URLS": locust.database.replica_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    costs = json.loads(ran.stdout.splitlines()[-1])
    assert {name: len(turns) for name, turns in costs.items()} == dict.fromkeys(
        ("raw", "unwatched", "unrecorded", "locust", "heard"), 2
    )
    # No turn in which nothing was done: that would be all the time of the process.
    assert all(1 < cost < 50_000 for turns in costs.values() for cost in turns)


SLOW = """
from time import perf_counter
from locust import task
from authkit.harness import AuthUser

class Busy(AuthUser):
    @task
    def check(self):
        self.kit.sessions.validate(self.world.session().token)
        end = perf_counter() + 0.05  # holds the one thread of all greenlets
        while perf_counter() < end:
            pass
"""


def test_a_generator_that_is_too_slow_proves_nothing(locust, tmp_path: Path):
    path = tmp_path / "busy.py"
    path.write_text(SLOW)
    # Four times what it can do: most of it is never begun, and that is told.
    ran = locust.run("-u", "4", "-r", "4", path=path, AUTHKIT_LOAD_RATE="80")
    assert ran.code == 2, ran.said
    assert ran.json is not None
    assert "the generator was the bottleneck" in ran.json["reason"]
    assert ran.figures["waiting_arrivals"] > ran.figures["operations"]
    assert "proves nothing: the generator was the bottleneck" in ran.said


OWN = """
from locust import task
from authkit.harness import AuthUser
from authkit.ids import uuid7

class Gateway(AuthUser):
    think_s = (0.0, 0.01)

    @task
    def check(self):
        self.kit.sessions.validate(self.world.session().token)

    @task
    def unknown(self):
        self.kit.sessions.validate(self.world.session().token)
        self.kit.cluster.close()
        self.kit.sessions.touch(uuid7())
"""


def test_a_failing_call_is_counted_by_its_class_and_ends_only_its_task(
    locust, tmp_path: Path
):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    ran = locust.run("-u", "1", path=path, seconds=1)
    assert ran.json is not None, ran.said
    assert set(ran.json["errors"]) == {"Closed"}
    assert ran.figures["errors"] > 1
    # No task of two calls came to its end: there were some, and none has a time.
    assert ran.figures["visit.unknown.p50_ms"] is None
    assert "visit.check.p50_ms" not in ran.figures
    assert "Traceback" not in ran.said


@pytest.mark.slow
def test_ctrl_c_still_writes_the_figures_and_leaves_no_connection(locust):
    process = locust.start(
        *("-u", "2", "-r", "2"), AUTHKIT_LOAD_FAULT="at=900s,kind=lock-table"
    )
    locust.heard(process, '"progress"')
    process.send_signal(signal.SIGINT)
    ran = locust.ended(process)
    assert ran.figures["operations"] > 0
    # A fault was asked for that never struck: of that the run proves nothing.
    assert (ran.code, ran.json["valid"]) == (2, False), ran.said
    assert ran.json["reason"] == (
        "lock-table after 900 s: the run was ended before that"
    )
    with psycopg.connect(locust.database.url, autocommit=True) as connection:
        assert connection.execute(LEFT).fetchone() == (0,)


def test_a_wrong_option_is_one_sentence_and_exit_code_2(locust):
    ran = locust.run("-u", "1", AUTHKIT_LOAD_PROFILE="none.toml")
    assert ran.code == 2
    assert "authkit: profile none.toml cannot be read" in ran.said
    assert "Traceback" not in ran.said


def test_no_database_reachable_is_one_sentence_and_exit_code_2(locust):
    ran = locust.run(
        "-u",
        "1",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        DATABASE_REPLICA_URLS="",
    )
    assert ran.code == 2, ran.said
    assert "the load cannot run: " in ran.said
    assert "Traceback" not in ran.said


def test_psycopg_imported_before_gevent_is_refused():
    code = """
import psycopg, gevent.monkey
gevent.monkey.patch_all()
from authkit.harness.patching import check_order
check_order()
"""
    ran = python(code)
    assert ran.returncode == 1
    assert "ConfigError: psycopg was imported before gevent" in ran.stderr


KILLED = """
import sys
from gevent import monkey
monkey.patch_all()
import gevent, gevent.event
from authkit.harness.patching import keep_connections_of_killed_users
from psycopg_pool import ConnectionPool
if sys.argv[2] == "guarded":
    keep_connections_of_killed_users()
with ConnectionPool(sys.argv[1], min_size=1, max_size=1, timeout=2) as pool:
    pool.wait()
    release = gevent.event.Event()
    def use():
        with pool.connection():
            release.wait()
    def until(name, value):
        while pool.get_stats().get(name, 0) != value:
            gevent.idle()
    holder = gevent.spawn(use)
    until("pool_available", 0)
    waiting = gevent.spawn(use)
    until("requests_waiting", 1)
    waiting.kill()
    release.set()
    holder.join()
    with pool.connection():
        print("served")
"""


def test_a_user_killed_while_it_waits_for_a_connection_loses_none(pair):
    ran = python(KILLED, pair.url(), "guarded")
    assert ran.stdout.strip() == "served", ran.stderr
    # The guard is needed: without it psycopg_pool keeps the place for good.
    assert "PoolTimeout" in python(KILLED, pair.url(), "bare").stderr


@pytest.mark.slow
def test_without_a_database_locust_starts_one_and_removes_it(locust, tmp_path: Path):
    ran = locust.run("-u", "2", "-r", "2", DATABASE_URL="", DATABASE_REPLICA_URLS="")
    assert ran.code == 0, ran.said
    assert "no DATABASE_URL: starting a cluster for this run" in ran.said
    assert ran.figures["operations"] > 20
