from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from authkit.lab import Lab, cluster
from authkit.testing.waiting import until


@pytest.fixture(scope="module")
def patient(roomy: Path) -> Iterator[Lab]:
    with cluster(root=roomy, degrade_after_s=2, config={"fsync": "off"}) as lab:
        lab.sql("CREATE TABLE kept (n int)")
        yield lab


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_commits_stop_waiting_for_a_lost_replica_and_wait_again_when_it_is_back(
    patient: Lab, fault: str
) -> None:
    getattr(patient, fault)("replica")
    # It waits, and is let go when the lab degrades.
    patient.sql("INSERT INTO kept VALUES (1)")
    assert patient.status().degraded
    assert "commits wait for no replica: none streamed for too long" in (
        patient.status().findings
    )
    assert patient.sql("SHOW synchronous_standby_names") == [("",)]
    if fault == "freeze":
        patient.thaw("replica")
    else:
        patient.start("replica")
    until(lambda: not patient.status().degraded, "commits wait again")
    until(
        lambda: patient.sql("SHOW synchronous_standby_names") == [("ANY 1 (node2)",)],
        "the primary has read its configuration",
    )
    until(lambda: patient.status().findings == (), "all is well")


def test_a_primary_that_is_down_is_no_reason_to_degrade(patient: Lab) -> None:
    patient.kill("primary")
    patient.promote()
    patient.rejoin("node1")
    assert not patient.state.degraded
    assert patient.sql("SHOW synchronous_standby_names") == [("ANY 1 (node1)",)]
    patient.sql("INSERT INTO kept VALUES (2)")
    patient.kill("replica")
    patient.sql("INSERT INTO kept VALUES (3)")
    assert patient.state.degraded
