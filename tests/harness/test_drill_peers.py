"""The table of peers: what is concluded is pure, one short run is real."""

from __future__ import annotations

import pytest

from authkit.harness.peers.cluster import OURS, Row, figures, markdown, run
from authkit.harness.peers.cluster_failover import Failover, Moments, Written, judged

MOMENTS = Moments(frozen=10.0, promoted=11.0, thawed=20.0, timeline=2)


def test_an_outage_ends_with_the_first_write_on_the_new_timeline():
    written = Written([(9.0, 1), (11.2, 2), (11.5, 2)], [(9.9, 11.2)])
    found = judged(written, MOMENTS)
    assert (found.outage_ms, found.longest_call_ms) == (200, 1200)
    assert (found.old_writes, found.new_writes) == (0, 2)


def test_a_write_to_the_old_timeline_counts_from_when_its_client_knew_the_new_one():
    written = Written([(11.1, 1), (11.2, 2), (20.1, 1), (20.2, 2)])
    assert judged(written, MOMENTS).old_writes == 1


def test_who_never_came_to_the_new_timeline_has_no_end_of_its_outage():
    written = Written([(9.0, 1), (20.1, 1)])
    found = judged(written, MOMENTS)
    assert (found.outage_ms, found.old_writes) == (None, 1)


def test_a_peer_that_cannot_run_is_said_to_be_missing():
    lines = markdown([Row("hasql", "async", missing="not installed")]).splitlines()
    assert "missing: not installed" in lines[2]
    assert {line.count("|") for line in lines} == {10}
    assert figures([Row("hasql", "async", missing="not installed")]) == []


def test_what_is_over_the_bare_pool_has_its_interval():
    row = Row("hasql", "async", 75.0, 70.0, within_us=(69.5, 71.25))
    assert "| 70.0 (69.50 to 71.25) |" in markdown([row])


def test_only_our_own_line_has_goals():
    failover = Failover(9_000.0, 9_000.0, 400, 100, 0)
    judged_names = {
        figure.name
        for row in (
            Row("hasql", "async", 75.0, 70.0, failover),
            Row(OURS, "async", 7.0, 6.0, failover),
        )
        for figure in figures([row])
        if figure.holds is False
    }
    assert judged_names == {
        "async_authkit_acquire_over_bare_us",
        "async_authkit_promotion_to_write_ms",
        "async_authkit_longest_call_ms",
        "async_authkit_old_timeline_writes",
    }


@pytest.mark.slow
def test_one_fault_meets_every_peer_and_ours_writes_to_no_old_timeline():
    report = run(rounds=3, frozen_s=2.0)
    found = {figure.name: figure for figure in report.figures}
    for colour in ("sync", "async"):
        assert found[f"{colour}_{OURS}_old_timeline_writes"].value == 0
        assert found[f"{colour}_{OURS}_new_timeline_writes"].value > 0
    table = str(report.extra["table"])
    assert table.count("does not fail over") == 2
    assert "SQLAlchemy pre-ping" in table
    assert "hasql" in table
