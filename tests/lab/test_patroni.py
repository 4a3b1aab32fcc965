"""Patroni as an engine: real nodes and an etcd; who leads is what they decide."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from authkit.errors import LabError
from authkit.lab import patroni_processes, patroni_state
from authkit.lab.patroni_configuration import TIMES, Ports, node_configuration
from authkit.lab.patroni_processes import of_lab
from authkit.lab.patroni_starting import patroni_cluster
from authkit.lab.patroni_state import PatroniState
from authkit.lab.patroni_status import Member, ask, members, post
from authkit.lab.places import plan_nodes
from authkit.lab.processes import Process, identify
from authkit.lab.programs import Programs
from authkit.lab.reaping import reap
from authkit.testing.waiting import until


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
def test_a_program_that_is_killed_takes_its_patroni_lab_along(roomy: Path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from authkit.lab.patroni_starting import patroni_cluster\n"
        "tell = lambda step: print(step, flush=True)\n"
        "with patroni_cluster(2, root=Path(sys.argv[1]), progress=tell): pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(roomy)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        # The first node runs by then: etcd, Patroni, PostgreSQL and its children.
        while "node2" not in (said := program.stdout.readline()):
            assert said, "it ended by itself"
        (folder,) = (roomy / "patroni" / "labs").iterdir()
        assert len(of_lab(folder)) > 4
        program.kill()
    until(lambda: not folder.exists(), "its folder is gone", within_s=30)
    until(lambda: not of_lab(folder), "its processes are gone", within_s=30)


def test_only_processes_of_a_lab_are_found_by_its_folder(tmp_path: Path):
    sleeper = ["sh", "-c", "read line", "sh"]
    told = [["-D", tmp_path / "node1" / "data"], ["tail", tmp_path / "node1.log"]]
    with ExitStack() as stack:
        mine, other = (
            stack.enter_context(
                subprocess.Popen([*sleeper, *map(str, more)], stdin=subprocess.PIPE)
            )
            for more in told
        )
        assert [found.pid for found in of_lab(tmp_path)] == [mine.pid]
        patroni_processes.remove(tmp_path)
        assert mine.wait() == -signal.SIGKILL
        assert other.poll() is None
    assert not tmp_path.exists()


def test_what_is_left_of_a_lab_whose_program_and_watcher_were_killed_is_reaped(
    tmp_path: Path,
):
    folder = tmp_path / "patroni" / "labs" / "left"
    folder.mkdir(parents=True)
    # This pid lives, but belongs to a process that began later.
    ended = Process(os.getpid(), 1)
    known = PatroniState(
        scope="patroni-1-abcdef",
        created="2026-03-01T12:00:00+00:00",
        bindir="/bin",
        version="18.6",
        account="nobody",
        password="secret",
        store=15003,
        nodes={"node1": Ports(15001, 15002)},
        owner=ended,
        watcher=ended,
    )
    patroni_state.save(folder, known)
    assert patroni_state.load(folder) == known
    etcd = ["sh", "-c", "read line", "sh", "--data-dir", str(folder / "etcd" / "data")]
    with subprocess.Popen(etcd, stdin=subprocess.PIPE) as left:
        patroni_state.save(folder, replace(known, watcher=_me()))
        assert folder.name not in reap()
        patroni_state.save(folder, known)
        until(lambda: not folder.exists() or folder.name in reap(), "it is reaped")
        assert left.wait() == -signal.SIGKILL
    assert not folder.exists()


def _me() -> Process:
    me = identify(os.getpid())
    assert me is not None
    return me
