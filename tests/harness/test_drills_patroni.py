"""The drills on Patroni: who leads is what it decides, and what it does by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import authkit
from authkit.errors import AuthkitError, Unavailable
from authkit.harness.drills.run import Ground
from authkit.harness.drills.scenarios import SCENARIOS
from authkit.harness.drills.servers import LabServers, settings_of
from authkit.harness.drills.servers_engines import alternating
from authkit.hot import AttemptRecord
from authkit.lab.patroni import PatroniLab
from authkit.lab.patroni_starting import patroni_cluster
from authkit.ops.migrate import upgrade
from authkit.testing.waiting import until


@pytest.fixture(scope="module")
def lab() -> Iterator[PatroniLab]:
    with patroni_cluster(3, in_memory=True) as made:
        upgrade(made.url(made.primary))
        yield made


class Killed:
    def kill(self, node: str) -> str:
        return f"all of {node}"

    def kill_postgres(self, node: str) -> str:
        return f"PostgreSQL of {node}"


def test_a_node_is_killed_whole_and_its_postgresql_alone_by_turns():
    kill = alternating(Killed())
    assert [kill("a"), kill("b"), kill("c")] == [
        "all of a",
        "PostgreSQL of b",
        "all of c",
    ]


@pytest.mark.slow
def test_a_failover_that_patroni_decides_loses_and_repeats_nothing(lab: PatroniLab):
    before = lab.primary
    with LabServers(lab, kill=lab.kill_postgres) as servers:
        (played,) = Ground(servers).play(
            SCENARIOS["failover"], rounds=1, colour="async"
        )
    assert played.since == "promotion"
    assert lab.primary != before
    verdict = played.verdict
    assert verdict.checked > 0
    assert verdict.lost == verdict.duplicated == verdict.late == ()
    assert verdict.misjudged == ()
    assert played.reads > 0
    assert played.reads_failed == 0


@pytest.mark.slow
def test_without_its_store_patroni_demotes_and_the_client_says_there_is_no_primary(
    lab: PatroniLab,
):
    with LabServers(lab) as servers, authkit.connect(settings_of(servers)) as kit:
        kit.attempts.record(AttemptRecord(outcome="failed", failure_reason="before"))
        refusals: list[AuthkitError] = []

        def written() -> bool:
            try:
                kit.attempts.record(AttemptRecord(outcome="failed"))
            except Unavailable as exc:
                refusals.append(exc)
                return False
            return True

        lab.store.kill()
        until(lambda: not written() and "primary" in str(refusals[-1]), "a refusal")
        lab.store.start()
        until(written, "a write")
