"""Faults under a real load: on the lab of a run of its own, and on the shared pair."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from authkit.harness import results

GOALS = """
[generator]
lag_p99_ms = 1000
skipped = 100000
"""


@pytest.mark.slow
def test_every_fault_strikes_and_no_acknowledged_write_is_lost(tmp_path: Path):
    report = tmp_path / "report.html"
    faults = (
        "at=1,kind=drop-connections",
        "at=1.5,kind=lag,lag=300ms,for=1s",
        "at=3,kind=pause-replica,for=500ms",
        "at=4,kind=freeze-primary,for=500ms",
        "at=5,kind=restart-primary",
        "at=8,kind=kill-primary,for=1s",
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "AUTHKIT_LOAD"))
    }
    options = [part for fault in faults for part in ("--fault", fault)]
    command = ["load", "--profile", "revoke-wave", "--users", "4", *options]
    ran = subprocess.run(
        [sys.executable, "-m", "authkit", *command, "--seconds", "13",
         "--results", str(tmp_path), "--report", str(report)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (found,) = results.read(tmp_path)
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert figures["acknowledged_writes"]["value"] > 100
    assert figures["acknowledged_writes_lost"]["value"] == 0
    assert figures["stale_reads"]["value"] > 0  # while the replica replayed late
    assert figures["stale_authorisations"]["value"] == 0
    assert figures["recovery_ms"]["value"] > 0
    assert figures["before.error_rate"]["value"] == 0
    # Each fault has its own phases and its own recovery.
    for kind in ("freeze-primary", "restart-primary", "kill-primary"):
        assert figures[f"{kind}.recovery_ms"]["value"] > 0
    assert "killed" in ran.stderr  # a line for each thing that happened,
    assert "authkit.cluster" not in ran.stderr  # not one for each that noticed it
    happened = [mark["what"] for mark in found["marks"]]
    assert set(happened) == {
        *("dropping", "dropped", "delayed", "lifted"),
        *("paused", "resumed", "frozen", "thawed"),
        *("stopped", "restarted", "killed", "promoted", "rejoining", "rejoined"),
    }
    assert {row["phase"].partition("-")[0] for row in found["percentiles"]} == {
        *("all", "before", "during", "after")
    }
    assert "no answer" in report.read_text()


def test_a_stall_of_a_second_shows_in_the_response_time_as_computed_by_hand(
    locust, tmp_path: Path
):
    goals = tmp_path / "goals.toml"
    goals.write_text(GOALS)
    figures = {}
    for loop, options in (("open", {"AUTHKIT_LOAD_RATE": "60"}), ("closed", {})):
        ran = locust.run(
            *("-u", "80" if loop == "open" else "4", "-r", "80"),
            seconds=3,
            AUTHKIT_LOAD_PROFILE=Path(__file__).with_name("stall.toml"),
            AUTHKIT_LOAD_SLO=goals,
            AUTHKIT_LOAD_FAULT="at=1s,kind=lock-table,for=1s",
            **options,
        )
        assert ran.code == 0, ran.said
        assert ran.json["loop"] == loop
        figures[loop] = ran.figures
        marks = {mark["what"]: mark["at_s"] for mark in ran.json["marks"]}
    held_ms = (marks["unlocked"] - marks["locked"]) * 1000
    # Arrivals come evenly, so of a run of T seconds the hundredth part that waited
    # longest are those due in the first T/100 seconds of the lock.
    by_hand = figures["open"]["fault_ms"] - 10 * ran.json["seconds"]
    assert figures["open"]["response_p99_ms"] == pytest.approx(by_hand, rel=0.1)
    assert held_ms == pytest.approx(figures["closed"]["fault_ms"])
    assert figures["closed"]["service_p99_ms"] < by_hand / 2


def test_a_fault_on_a_database_that_is_no_lab_must_be_asked_for_twice(locust):
    ran = locust.run(
        *("-u", "1"),
        # The same servers by another name: no lab is known to have it.
        DATABASE_URL=locust.database.url.replace("127.0.0.1", "localhost"),
        AUTHKIT_LOAD_FAULT="at=0,kind=drop-connections",
    )
    assert ran.code == 2, ran.said
    assert "say --fault-outside-lab as well" in ran.said


def test_a_fault_that_could_not_be_inflicted_makes_the_run_invalid(locust):
    ran = locust.run(
        *("-u", "1"),
        seconds=1,
        DATABASE_REPLICA_URLS="",
        AUTHKIT_LOAD_FAULT="at=0.2,kind=pause-replica",
    )
    assert ran.code == 2, ran.said
    assert ran.json["reason"] == "pause-replica after 0.2 s: there is no replica"
