"""The drills on Patroni: who leads is what it decides, and what it does by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

import pytest

import authkit
from authkit import cli
from authkit.errors import AuthkitError, InDoubt, Unavailable
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
    kill = alternating(cast("PatroniLab", Killed()))
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
            except (Unavailable, InDoubt) as exc:  # one is under way as it shuts down
                refusals.append(exc)
                return False
            return True

        lab.store.kill()
        try:
            until(lambda: not written() and "primary" in str(refusals[-1]), "a refusal")
        finally:
            lab.store.start()
        until(written, "a write")


@pytest.mark.slow
def test_the_commands_find_the_lab_hand_over_and_say_what_is_down(
    lab: PatroniLab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def run(*line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["authkit", "lab", *line])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    lab.wait_electable()
    old = lab.primary
    code, said = run("switchover", "--name", lab.name)
    assert code == 0, said
    assert lab.primary != old
    assert f"{lab.primary} is the primary, {old} a replica." in said
    code, said = run("status", lab.name)
    assert code == 0, said
    assert "sync_standby" in said
    code, said = run("promote", "node9", "--name", lab.name)
    assert code == 2
    assert "it has node1, node2, node3, etcd" in said
    assert run("kill", "etcd", "--name", lab.name)[0] == 0
    try:
        code, said = run("status", lab.name)
        assert code == 1
        assert f"`authkit lab start etcd --name {lab.name}` starts it" in said
    finally:
        assert run("start", "etcd", "--name", lab.name)[0] == 0
    assert run("reset", "--yes", "--name", lab.name)[0] == 2
