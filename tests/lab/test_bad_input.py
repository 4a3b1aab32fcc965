from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from authkit.errors import ConfigError, InvalidInput, LabError
from authkit.lab import cluster, find, labs, programs, up
from authkit.lab.account import choose

AARCH64_ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(64)


@pytest.fixture
def root(roomy: Path, request: pytest.FixtureRequest) -> Path:
    """A state folder of the test's own, not there yet."""
    return roomy / f"state-{abs(hash(request.node.name)):x}"


def _programs_that_do_not_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "psql", "pg_basebackup"):
        program = folder / name
        program.write_bytes(AARCH64_ELF)
        program.chmod(0o755)
    return folder


def test_a_port_that_is_taken_is_named_and_nothing_is_left(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} on 127.0.0.1 is taken"):
            up(root=root, port=port)
    assert not root.exists()


@pytest.mark.parametrize("port", [0, 80, 65_536, -1])
def test_a_port_that_cannot_be_is_refused(root: Path, port: int) -> None:
    with pytest.raises(InvalidInput, match="is not between 1024 and"):
        up(root=root, port=port)
    assert not root.exists()


@pytest.mark.parametrize("name", ["", "UPPER", "../up", "a b", "-x", "a" * 32])
def test_a_name_that_cannot_be_a_folder_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a lab"):
        up(name, root=root)
    assert not root.exists()


@pytest.mark.parametrize("replicas", [-1, 9])
def test_a_number_of_replicas_that_makes_no_sense_is_refused(
    root: Path, replicas: int
) -> None:
    with pytest.raises(InvalidInput, match="a lab has 0 to 8"):
        up(replicas=replicas, root=root)
    assert not root.exists()


def test_degrading_faster_than_replicas_report_is_refused(root: Path) -> None:
    with pytest.raises(InvalidInput, match="2 seconds at least"):
        up(root=root, degrade_after_s=0.1)
    assert not root.exists()


@pytest.mark.parametrize("lab", [{"replicas": 0}, {"synchronous": False}])
def test_degrading_without_a_synchronous_replica_is_refused(
    root: Path, lab: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="only a lab whose commits wait"):
        up(root=root, degrade_after_s=5, **lab)
    assert not root.exists()


def test_a_named_folder_without_postgresql_is_never_skipped_silently(
    root: Path, roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHKIT_PG_BINDIR", str(roomy / "nothing"))
    with pytest.raises(LabError, match=r"nothing/postgres does not exist"):
        up(root=root)
    assert labs(root=root) == ()


def test_programs_for_another_platform_are_said_to_be_that(
    root: Path, roomy: Path
) -> None:
    foreign = _programs_that_do_not_run(roomy / "foreign" / "bin")
    with pytest.raises(LabError, match="built for another platform"):
        up(root=root, bindir=foreign)
    assert labs(root=root) == ()


def test_without_any_postgresql_every_place_is_named(
    root: Path, roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _programs_that_do_not_run(roomy / "wheel" / "pginstall" / "bin")
    monkeypatch.setattr(programs, "_wheel", lambda: roomy / "wheel")
    monkeypatch.setattr(programs, "_INSTALLED", ())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("AUTHKIT_PG_BINDIR", raising=False)
    with pytest.raises(LabError) as caught:
        up(root=root)
    sentence = str(caught.value)
    assert "no PostgreSQL 15 or later to run" in sentence
    assert "wheel" in sentence
    assert "another platform" in sentence
    assert "pip install 'authkit[lab]'" in sentence
    assert "AUTHKIT_PG_BINDIR" in sentence
    assert labs(root=root) == ()


def test_root_without_an_account_to_use_is_told_to_make_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LabError, match="useradd --system postgres"):
        up(root=root)
    assert not root.exists()


def test_a_state_folder_that_is_a_file_is_refused(root: Path) -> None:
    root.write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        up(root=root)


def _unwritable(folder: Path) -> list[str]:
    """Make a folder that a child process cannot write; return how to start it."""
    folder.mkdir()
    folder.chmod(0o555)
    if os.geteuid() != 0:
        return []
    # Root may write everywhere, unless it leaves that right behind and is no owner.
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed: root cannot be held back")
    os.chown(folder, choose().uid, choose().gid)
    rights = "-dac_override,-dac_read_search"
    return [setpriv, f"--bounding-set={rights}", f"--inh-caps={rights}"]


def test_a_read_only_state_folder_is_one_sentence_and_exit_code_2(
    root: Path,
) -> None:
    prefix = _unwritable(root)
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [*prefix, sys.executable, "-m", "authkit", "lab", "up", "--dir", str(root)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "cannot be written (Permission denied)" in run.stderr
    assert "--dir" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert list(root.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers are another's")
def test_a_state_folder_that_the_servers_cannot_enter_is_refused(
    tmp_path: Path,
) -> None:
    # pytest's own folder is closed to others.
    with pytest.raises(ConfigError, match="cannot enter the state folder"):
        up(root=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers are another's")
def test_a_wheel_that_the_servers_cannot_enter_is_copied_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = programs._wheel()
    assert wheel is not None
    tmp_path.chmod(0o700)
    for part in wheel.parent.glob(f"{wheel.name}*"):
        (tmp_path / part.name).symlink_to(part)
    monkeypatch.setattr(programs, "_wheel", lambda: tmp_path / wheel.name)
    monkeypatch.delenv("AUTHKIT_PG_BINDIR", raising=False)
    with cluster(0, root=root, config={"fsync": "off"}) as lab:
        assert lab.state.bindir.startswith(str(root / "programs"))
        assert lab.sql("SELECT 1") == [(1,)]
    (copied,) = (root / "programs").iterdir()
    before = copied.stat().st_mtime_ns
    found = programs.find(None, choose(), root / "programs")
    assert found.bindir.is_relative_to(copied)
    assert copied.stat().st_mtime_ns == before


def test_a_long_path_with_spaces_and_quotes_is_no_obstacle(root: Path) -> None:
    odd = root / 'it\'s a "lab" with $PATH; and so on' / ("long" * 20)
    with cluster(root=odd, config={"fsync": "off"}) as lab:
        sockets = Path(lab.state.sockets)
        assert not sockets.is_relative_to(odd)
        assert len(str(sockets / ".s.PGSQL.65535.lock")) < 107
        lab.kill()
        lab.promote()
        lab.rejoin("node1")
        assert lab.status().findings == ()
    assert not sockets.exists()


def test_a_setting_that_the_server_refuses_is_named_and_nothing_is_left(
    root: Path,
) -> None:
    with pytest.raises(LabError, match=r"node1 did not start.*no_such_setting"):
        up("wrong", 0, root=root, config={"no_such_setting": "1"})
    assert labs(root=root) == ()


def test_a_lab_that_is_not_there_is_said_to_be_not_there(root: Path) -> None:
    with pytest.raises(LabError, match="`authkit lab up` starts one"):
        find("absent", root=root)


def test_a_malformed_environment_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_POOL_MIN", "many")
    with pytest.raises(ConfigError, match="DATABASE_POOL_MIN"):
        up("never")
