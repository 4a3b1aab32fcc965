from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from authkit.errors import LabError
from authkit.lab import Lab, cluster, find, labs, processes, state, up
from authkit.lab.places import memory_root, state_root
from authkit.lab.processes import Process
from authkit.testing.waiting import until

FAST = {"fsync": "off"}


def _processes_below(folder: Path) -> list[str]:
    """Every process whose arguments name the folder: servers, programs, watcher."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in arguments:
            found.append(arguments)
    return found


def _with_this_checkout() -> dict[str, str]:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _program(code: str, folder: Path) -> subprocess.Popen[str]:
    """Run a program that starts a lab below `folder` and talks through its output."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        env=_with_this_checkout(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _said(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def _segments_of(lab: Lab) -> set[str]:
    """The System V shared memory that the lab's pid files name."""
    return {
        (lab.server(node).data / "postmaster.pid")
        .read_text()
        .splitlines()[6]
        .split()[1]
        for node in lab.nodes
    }


def _segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}


def test_a_lab_ends_without_a_process_a_file_or_shared_memory(roomy: Path) -> None:
    with cluster(root=roomy, config=FAST) as lab:
        folder, segments = lab.folder, _segments_of(lab)
        assert segments <= _segments()
        assert len(_processes_below(folder)) > 1
        lab.kill("replica")
        lab.freeze("primary")
    assert _processes_below(folder) == []
    assert segments.isdisjoint(_segments())
    assert not folder.exists()


def test_a_program_that_is_killed_takes_its_lab_along(roomy: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from authkit.lab import cluster
        with cluster(0, root=Path(sys.argv[1]), config={"fsync": "off"}) as lab:
            print(lab.folder, flush=True)
            sys.stdin.read()
    """
    with _program(code, roomy) as program:
        folder = Path(_said(program))
        assert folder.exists()
        program.kill()
    until(lambda: not folder.exists(), "the lab's folder is gone")
    until(lambda: _processes_below(folder) == [], "the lab's processes are gone")


def test_a_program_that_is_killed_while_its_lab_starts_leaves_nothing(
    roomy: Path,
) -> None:
    code = """
        import sys
        from pathlib import Path
        from authkit.lab import cluster
        with cluster(root=Path(sys.argv[1]), name="half", progress=lambda step: print(
            step, flush=True
        )):
            pass
    """
    with _program(code, roomy) as program:
        while "Making" not in _said(program):
            assert program.poll() is None
        program.kill()
    folder = roomy / "labs" / "half"
    until(lambda: not folder.exists(), "the lab's folder is gone")
    until(lambda: _processes_below(folder) == [], "the lab's processes are gone")


def test_a_forked_child_that_leaves_the_block_does_not_end_the_lab(
    roomy: Path,
) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from authkit.lab import cluster
        with cluster(0, root=Path(sys.argv[1]), config={"fsync": "off"}) as lab:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                print(lab.sql("SELECT 1"), flush=True)
    """
    with _program(code, roomy) as program:
        assert _said(program) == "[(1,)]"
    assert program.returncode == 0


def test_a_lab_started_in_a_thread_outlives_the_thread(roomy: Path) -> None:
    block = cluster(root=roomy, config=FAST, replicas=0)
    entered: list[Lab] = []
    thread = threading.Thread(target=lambda: entered.append(block.__enter__()))
    thread.start()
    thread.join()
    (lab,) = entered
    try:
        assert lab.sql("SELECT 1") == [(1,)]
        assert lab.status().findings == ()
    finally:
        block.__exit__(None, None, None)
    assert not lab.folder.exists()


def test_a_lab_that_is_up_outlives_the_program_that_started_it(roomy: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from authkit.lab import up
        up("lasting", 0, root=Path(sys.argv[1]), config={"fsync": "off"})
        print("up", flush=True)
        sys.stdin.read()
    """
    with _program(code, roomy) as program:
        assert _said(program) == "up"
        program.kill()
    lab = find("lasting", root=roomy)
    with psycopg.connect(lab.env()["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    lab.down()
    assert _processes_below(lab.folder) == []
    with pytest.raises(LabError, match="there is no lab lasting"):
        lab.status()


def test_two_labs_run_side_by_side_and_one_name_is_given_once(
    roomy: Path, victim: Lab
) -> None:
    other = up("other", 0, root=roomy, config=FAST)
    try:
        assert {victim.name, "other"} <= {lab.name for lab in labs(root=roomy)}
        assert other.url() != victim.url()
        with pytest.raises(LabError, match="lab other exists already"):
            up("other", 0, root=roomy)
        assert other.sql("SELECT 1") == victim.sql("SELECT 1") == [(1,)]
    finally:
        other.down()


def test_a_lab_in_memory_is_found_without_being_told_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AUTHKIT_STATE_DIR", raising=False)
    memory = memory_root()
    if memory is None:
        pytest.skip("this machine has no room in memory for a lab")
    with cluster(0, in_memory=True) as lab:
        assert lab.folder.is_relative_to(memory)
        assert find(lab.name).folder == lab.folder
        assert lab.name in {other.name for other in labs()}
        assert lab.sql("SHOW fsync") == [("on",)]


def test_a_named_state_folder_goes_before_memory(
    roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHKIT_STATE_DIR", str(roomy / "named"))
    assert memory_root() is None
    assert state_root() == roomy / "named"


def test_what_is_left_behind_is_found_named_and_removed(roomy: Path) -> None:
    lab = up("left", 0, root=roomy, config=FAST)
    # Nothing of it runs: the next lab to be started leaves it as it is.
    lab.kill()
    # As if program and watcher had been killed together; the pid lives again, but
    # belongs to a process that began later.
    stranger = Process(os.getpid(), 1)
    state.save(lab.folder, replace(lab.state, owner=stranger, watcher=stranger))
    found = lab.status()
    assert found.condition == "left behind"
    assert "authkit lab down left" in found.findings[0]
    lab.down()
    assert _processes_below(lab.folder) == []


FROZEN = """
    import sys
    from pathlib import Path
    from authkit.lab import cluster
    with cluster(0, root=Path(sys.argv[1]), config={"fsync": "off"}) as lab:
        lab.freeze()
        print(lab.folder, lab.state.watcher.pid, flush=True)
        sys.stdin.read()
"""


def test_a_frozen_lab_whose_program_and_watcher_were_killed_goes_with_the_next_start(
    roomy: Path,
) -> None:
    with _program(FROZEN, roomy) as program:
        folder, watcher = _said(program).rsplit(" ", 1)
        os.kill(int(watcher), signal.SIGKILL)
        program.kill()
    assert _processes_below(Path(folder)) != []
    with cluster(0, root=roomy, config=FAST):
        until(lambda: not Path(folder).exists(), "the lab's folder is gone")
        until(lambda: _processes_below(Path(folder)) == [], "its processes are gone")


def test_a_watcher_that_is_asked_to_end_takes_the_frozen_lab_along_first(
    roomy: Path,
) -> None:
    with _program(FROZEN, roomy) as program:
        folder, watcher = _said(program).rsplit(" ", 1)
        os.kill(int(watcher), signal.SIGTERM)
        program.kill()
    until(lambda: not Path(folder).exists(), "the lab's folder is gone")
    until(lambda: _processes_below(Path(folder)) == [], "its processes are gone")


def test_a_frozen_lab_whose_folder_is_deleted_leaves_no_process(roomy: Path) -> None:
    code = FROZEN.replace("cluster(0", "cluster(0, name='deleted'")
    with _program(code, roomy) as program:
        folder = Path(_said(program).rsplit(" ", 1)[0])
        servers = [p for p in processes.pids() if _is_of("deleted", p)]
        assert len(servers) > 2
        shutil.rmtree(folder)
        until(
            lambda: not any(_is_of("deleted", p) for p in processes.pids()),
            "its processes are gone",
        )
        program.kill()


def _is_of(name: str, pid: int) -> bool:
    said = " ".join(processes.arguments_of(pid))
    return f"/labs/{name}/" in said or f"postgres: {name}." in said


def test_a_half_made_lab_is_found_and_removed(roomy: Path) -> None:
    folder = roomy / "labs" / "cut-off"
    folder.mkdir()
    assert Lab(folder).status().condition == "half-made"
    Lab(folder).down()
    assert not folder.exists()


def test_a_lab_with_a_damaged_state_file_is_removed_with_its_processes(
    roomy: Path,
) -> None:
    lab = up("damaged", 0, root=roomy, config=FAST)
    (lab.folder / "lab.json").write_text('{"format": 1}')
    assert lab.status().condition == "damaged"
    with pytest.raises(LabError, match="damaged"):
        lab.sql("SELECT 1")
    lab.down()
    until(lambda: _processes_below(lab.folder) == [], "its processes are gone")


def test_reset_empties_a_lab_and_keeps_its_addresses(victim: Lab) -> None:
    victim.sql("CREATE TABLE gone ()")
    victim.promote()
    before = {node: victim.url(node) for node in victim.nodes}
    victim.reset()
    assert {node: victim.url(node) for node in victim.nodes} == before
    assert victim.status().findings == ()
    assert victim.sql("SELECT to_regclass('gone')::text") == [(None,)]
    victim.sql("CREATE TABLE kept (n int PRIMARY KEY)")


def test_statements_are_counted_in_every_new_database(victim: Lab) -> None:
    assert victim.sql("SELECT count(*) > 0 FROM pg_stat_statements") == [(True,)]
    victim.create_database("fresh")
    victim.sql("SELECT count(*) FROM pg_stat_statements", database="fresh")
    victim.drop_database("fresh")


def test_psql_and_the_log_are_at_hand(victim: Lab) -> None:
    assert victim.psql("SELECT 6 * 7") == "42"
    with pytest.raises(LabError, match=r"psql: .*does not exist"):
        victim.psql("SELECT * FROM nowhere")
    assert "nowhere" in victim.logs("primary", lines=5)


def test_only_the_owner_can_read_the_password(victim: Lab) -> None:
    secret = victim.state.password
    holding = [
        path
        for path in victim.folder.rglob("*")
        if path.is_file() and "data" not in path.parts
        if secret.encode() in path.read_bytes()
    ]
    assert {path.name for path in holding} == {"lab.json", "pgpass"}
    assert {path.stat().st_mode & 0o077 for path in holding} == {0}
    assert secret not in repr(victim.state)
    assert secret not in repr(victim.server())
    assert secret not in repr(victim.status())


def test_a_notebook_shows_the_nodes_and_their_roles(victim: Lab) -> None:
    shown = victim._repr_html_()
    assert "node1" in shown
    assert "primary" in shown
    assert victim.state.password not in shown


def test_a_stranger_without_the_password_is_turned_away(victim: Lab) -> None:
    url = victim.url().replace(victim.state.password, "guess")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_frozen_process_counts_as_stopped_and_a_reused_pid_as_ended() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeper:
        process = processes.identify(sleeper.pid)
        assert process is not None
        sleeper.send_signal(signal.SIGSTOP)
        until(lambda: processes.stopped(process), "the process is stopped")
        assert not processes.alive(replace(process, started=process.started - 1))
        sleeper.kill()
        until(lambda: not processes.alive(process), "a zombie counts as ended")


def test_a_process_whose_name_was_cut_in_the_middle_of_a_letter_is_read() -> None:
    # The kernel keeps 15 bytes of a name.
    rename = "open('/proc/self/comm', 'wb').write('Anmeldedatenprüfung'.encode()[:15])"
    with subprocess.Popen(
        [sys.executable, "-c", f"{rename}; print(flush=True); open(0).read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as named:
        assert named.stdout is not None
        named.stdout.readline()
        assert processes.identify(named.pid) is not None
