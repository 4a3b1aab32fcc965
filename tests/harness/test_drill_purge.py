"""The drill of purges: every expired session goes, and callers are served meanwhile."""

from __future__ import annotations

import pytest

from authkit.harness.drills.purging import purging


@pytest.mark.slow
def test_a_purge_takes_all_that_expired_while_calls_are_served_and_measured():
    told: list[str] = []
    report = purging(
        rows=6_000,
        before_s=1.0,
        progress=lambda phase, *_: told.append(phase),
    )
    found = {figure.name: figure for figure in report.figures}
    assert found["sync_rows_purged"].value == 6_000
    assert found["sync_failed_before"].value == found["sync_failed_during"].value == 0
    assert found["sync_calls_before"].value
    assert found["sync_p99_ratio"].goal == "<= 1.5"
    assert {"filling", "before", "purging"} <= set(told)
