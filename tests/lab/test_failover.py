from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authkit.errors import LabError
from authkit.lab import cluster
from authkit.testing.waiting import until

if TYPE_CHECKING:
    from authkit.lab import Lab


def _kept(lab: Lab, node: str = "primary") -> list[int]:
    return [n for (n,) in lab.sql("SELECT n FROM kept ORDER BY n", node=node)]


def _insert(lab: Lab, number: int, node: str = "primary") -> None:
    lab.sql("INSERT INTO kept VALUES (%s)", [number], node=node)


def _waits_for_a_replica(lab: Lab) -> bool:
    return bool(lab.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


def test_a_killed_primary_loses_no_acknowledged_write(victim: Lab) -> None:
    for number in range(20):
        _insert(victim, number)
    old = victim.primary
    assert victim.kill() > 1
    assert victim.server(old).processes() == ()
    new = victim.promote()
    assert (new, victim.primary) == (new, new)
    assert new != old
    assert _kept(victim) == list(range(20))


def test_after_a_promotion_commits_wait_for_nobody_until_a_node_has_rejoined(
    victim: Lab,
) -> None:
    old = victim.primary
    victim.kill()
    victim.promote()
    assert victim.sql("SHOW synchronous_standby_names") == [("",)]
    _insert(victim, 1)
    assert victim.rejoin(old).how == "pg_rewind"
    assert victim.sql("SHOW synchronous_standby_names") == [(f"ANY 1 ({old})",)]
    victim.wait_replayed()
    assert _kept(victim, old) == [1]


def test_a_killed_primary_starts_again_as_the_primary(victim: Lab) -> None:
    _insert(victim, 1)
    victim.kill()
    victim.start()
    assert _kept(victim) == [1]
    until(lambda: victim.status().findings == (), "the replica streams again")


def test_a_frozen_primary_is_silent_and_still_leads_when_it_thaws(
    victim: Lab,
) -> None:
    old = victim.primary
    assert victim.freeze() > 1
    with pytest.raises(LabError, match=f"{old} does not answer: it is frozen"):
        victim.sql("SELECT 1", node=old)
    victim.promote()
    _insert(victim, 1)
    victim.thaw(old)
    until(
        lambda: [n.leads for n in victim.status().nodes] == [True, True],
        "both nodes lead",
    )
    assert f"{old} still accepts writes" in " ".join(victim.status().findings)


def test_rejoining_discards_what_only_the_old_primary_has(victim: Lab) -> None:
    old = victim.primary
    victim.promote(fence=False)
    # The old primary waits for a replica that has left it: confirm nothing.
    victim.sql(
        "WITH lone AS MATERIALIZED "
        "(SELECT set_config('synchronous_commit', 'local', true)) "
        "INSERT INTO kept SELECT 13 FROM lone",
        node=old,
    )
    _insert(victim, 1)
    assert _kept(victim, old) == [13]
    assert victim.rejoin(old).how == "pg_rewind"
    victim.wait_replayed()
    assert _kept(victim, old) == [1]


def test_promotion_shuts_a_running_old_primary_down_first(victim: Lab) -> None:
    old = victim.primary
    _insert(victim, 1)
    victim.promote()
    assert victim.server(old).condition() == "down"
    assert _kept(victim) == [1]


def test_losing_the_replica_blocks_commits_until_it_is_back(victim: Lab) -> None:
    victim.kill("replica")
    writer = threading.Thread(target=_insert, args=(victim, 1))
    writer.start()
    until(lambda: _waits_for_a_replica(victim), "the commit waits")
    assert "commits wait: no replica is there to confirm them" in (
        victim.status().findings
    )
    assert victim.rejoin("replica").how == "restarted"
    writer.join(20)
    assert not writer.is_alive()
    assert _kept(victim) == [1]


def test_a_node_that_cannot_be_rewound_gets_a_fresh_base_backup(victim: Lab) -> None:
    old = victim.primary
    victim.kill()
    victim.promote()
    _insert(victim, 1)
    shutil.rmtree(victim.server(old).data / "pg_wal")
    said: list[str] = []
    done = victim.rejoin(old, progress=said.append)
    assert done.how == "base backup"
    assert done.reason is not None
    assert any("fresh base backup" in step for step in said)
    victim.wait_replayed()
    assert _kept(victim, old) == [1]


def test_a_node_left_behind_is_neither_promoted_nor_started(victim: Lab) -> None:
    old = victim.primary
    victim.promote()
    with pytest.raises(LabError, match="is no replica"):
        victim.promote(old)
    with pytest.raises(LabError, match="rejoin it instead"):
        victim.start(old)
    victim.start(old, stale=True)
    assert victim.sql("SELECT pg_is_in_recovery()", node=old) == [(False,)]


def test_what_makes_no_sense_is_refused_in_words(victim: Lab) -> None:
    with pytest.raises(LabError, match="is the primary"):
        victim.rejoin(victim.primary)
    with pytest.raises(LabError, match="has no node 'node9'"):
        victim.kill("node9")
    with pytest.raises(LabError, match="already running"):
        victim.start()
    victim.kill("replica")
    with pytest.raises(LabError, match="no running replica"):
        victim.promote()
    victim.kill()
    with pytest.raises(LabError, match="is down"):
        victim.rejoin("replica")


def test_a_replica_that_streams_has_nothing_to_rejoin(victim: Lab) -> None:
    assert victim.rejoin("replica").how == "already streaming"


def test_a_pid_file_that_names_another_process_does_not_stop_a_start(
    victim: Lab,
) -> None:
    server = victim.server("replica")
    victim.kill("replica")
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    # A process that runs as the same account, and is no PostgreSQL.
    with server.account.spawn(["/bin/sleep", "60"], home=Path("/")) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        victim.start("replica")
        other.kill()
    assert server.condition() == "running"


def test_the_other_replicas_follow_a_promoted_one_and_confirm_its_commits(
    roomy: Path,
) -> None:
    with cluster(replicas=2, root=roomy, config={"fsync": "off"}) as lab:
        lab.sql("CREATE TABLE kept (n int PRIMARY KEY)")
        with pytest.raises(LabError, match="2 replicas"):
            lab.kill("replica")
        lab.kill()
        lab.promote("node3")
        assert lab.replicas == ("node2",)
        assert lab.sql("SHOW synchronous_standby_names") == [("ANY 1 (node2)",)]
        _insert(lab, 1)
        lab.rejoin("node1")
        assert lab.replicas == ("node1", "node2")
        lab.wait_replayed()
        assert _kept(lab, "node1") == _kept(lab, "node2") == [1]


def test_a_replica_that_is_ahead_of_the_promoted_one_is_rewound(roomy: Path) -> None:
    with cluster(replicas=2, root=roomy, config={"fsync": "off"}) as lab:
        lab.sql("CREATE TABLE kept (n int PRIMARY KEY)")
        lab.wait_replayed()
        lab.kill("node2")
        _insert(lab, 13)
        lab.kill()
        lab.start("node2")
        lab.promote("node2")
        _insert(lab, 1)
        lab.wait_replayed()
        assert lab.replicas == ("node3",)
        assert _kept(lab, "node2") == _kept(lab, "node3") == [1]
