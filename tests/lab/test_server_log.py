from __future__ import annotations

from pathlib import Path

import pytest

from authkit.lab import cluster, server_log

BEFORE = "2026-11-23 20:00:00 UTC [7] LOG:  syncing data directory, elapsed time: 1 s\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    path.write_text(BEFORE)
    return path


def said(log: Path, *lines: str) -> None:
    with log.open("a") as stream:
        stream.writelines(f"2026-11-23 20:00:01 UTC [8] {line}\n" for line in lines)


def test_steps_of_recovery_are_counted_from_this_start_on(log: Path):
    said(
        log,
        "LOG:  database system was interrupted",
        "LOG:  syncing data directory (fsync), elapsed time: 10.00 s, current path: x",
        "FATAL:  the database system is starting up",
        "LOG:  redo in progress, elapsed time: 20.00 s, current LSN: 0/3000028",
    )
    assert server_log.steps(log, len(BEFORE)) == 2


def test_a_complaint_is_the_last_word_and_the_cause_before_it(log: Path):
    assert server_log.complaint(log, len(BEFORE)) == "its log says nothing"
    said(
        log,
        "LOG:  could not bind to the port",
        "FATAL:  could not create any socket",
        "FATAL:  the server ends",
    )
    assert server_log.complaint(log, len(BEFORE)) == (
        "could not create any socket; the server ends"
    )


def test_a_server_that_recovers_tells_its_steps_in_the_words_that_are_counted(
    roomy: Path,
):
    told = {"log_startup_progress_interval": "1"}  # ms
    with cluster(0, root=roomy, config=told) as lab:
        log = lab.server("node1").log
        lab.sql("CREATE TABLE kept AS SELECT generate_series(1, 200000) AS n")
        lab.kill()
        size = log.stat().st_size
        lab.start("node1")
        assert server_log.steps(log, size) > 0
        assert lab.sql("SELECT count(*) FROM kept") == [(200000,)]
