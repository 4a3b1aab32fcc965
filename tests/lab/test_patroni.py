"""Patroni as an engine: real nodes and an etcd; who leads is what they decide."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from authkit.errors import LabError
from authkit.lab.patroni import patroni_cluster
from authkit.lab.patroni_configuration import TIMES, Ports, node_configuration
from authkit.lab.patroni_status import Member, ask, members, post
from authkit.lab.places import plan_nodes
from authkit.lab.programs import Programs


def test_the_times_are_such_that_patroni_takes_them():
    # Patroni corrects others silently (documentation, "Dynamic configuration").
    assert TIMES["ttl"] >= 20
    assert TIMES["loop_wait"] + 2 * TIMES["retry_timeout"] <= TIMES["ttl"]


def test_a_node_listens_on_loopback_only_and_confirms_synchronously():
    text = node_configuration(
        scope="s",
        node="node1",
        ports={"node1": Ports(15001, 15002)},
        etcd_port=15003,
        home=Path("/home/node1"),
        programs=Programs(Path("/bin"), (18, 6), "explicit"),
        password="secret",
    )
    said = json.loads(text)
    assert said["postgresql"]["listen"] == "127.0.0.1:15001"
    assert said["restapi"]["listen"] == "127.0.0.1:15002"
    assert said["bootstrap"]["dcs"]["synchronous_mode"] is True


def test_a_patroni_that_does_not_answer_is_told_as_such():
    nobody = plan_nodes(0, None)[0].port
    assert ask(nobody, "/primary") is None
    assert members(nobody) is None
    with pytest.raises(LabError, match="does not answer"):
        post(nobody, "/switchover", {})


def test_only_a_running_leader_leads_and_only_a_streaming_replica_follows():
    assert Member("a", "leader", "running", 1).leads
    assert not Member("a", "leader", "stopped", 1).leads
    assert Member("a", "sync_standby", "streaming", 1).streams
    assert not Member("a", "replica", "running", 1).streams


def test_a_number_of_nodes_that_cannot_fail_over_is_refused():
    with pytest.raises(LabError, match="2 to 4"), patroni_cluster(1):
        pass


@pytest.mark.slow
def test_a_killed_leader_is_followed_by_one_that_has_every_acknowledged_write():
    with patroni_cluster(3, in_memory=True) as lab:
        old = lab.primary
        assert len(lab.replicas) == 2
        with psycopg.connect(lab.url(old), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            for number in range(20):
                connection.execute("INSERT INTO kept VALUES (%s)", [number])
        assert lab.kill(old) > 2
        new = lab.promote()
        assert new != old
        with psycopg.connect(lab.url(new), autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (20,)
        lab.rejoin(old)
        assert old in lab.replicas
        lab.wait_replayed()
    assert not lab.folder.exists()
