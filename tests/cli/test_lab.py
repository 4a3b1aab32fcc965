from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from authkit import cli
from authkit.crypto.keyed import KeyedHash
from authkit.crypto.sealing import KeyRing
from authkit.lab import Lab, up
from authkit.lab.places import memory_root

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="authkit-test-", dir=memory_root()))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def default(root: Path) -> Iterator[Lab]:
    lab = up(root=root, config={"fsync": "off"})
    yield lab
    if lab.folder.exists():
        lab.down()


@pytest.fixture
def run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        line = ["authkit", "lab", command, "--dir", str(root), *arguments]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


def test_up_prints_the_variables_and_down_removes_the_lab(
    run: Run, root: Path, tmp_path: Path
) -> None:
    code, out, err = run("up", "short", "--replicas", "0")
    assert code == 0, err
    variables = dict(line.split("=", 1) for line in out.splitlines())
    assert list(variables) == [
        "DATABASE_URL",
        "DATABASE_REPLICA_URLS",
        "AUTHKIT_TOKEN_KEY",
        "AUTHKIT_SEALING_KEYS",
    ]
    assert KeyedHash.from_base64(variables["AUTHKIT_TOKEN_KEY"])
    assert KeyRing.parse(variables["AUTHKIT_SEALING_KEYS"])
    with psycopg.connect(variables["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert "Lab short is up after" in err

    file = tmp_path / "lab.env"
    code, again, err = run("up", "short", "--env-file", str(file))
    assert (code, again) == (0, "")
    assert "Lab short is up already." in err
    assert file.read_text() == out
    assert file.stat().st_mode & 0o777 == 0o600

    assert run("down", "short") == (0, "Lab short is gone.\n", "")
    assert not (root / "labs" / "short").exists()
    code, _, err = run("down", "short")
    assert code == 2
    assert "there is no lab short" in err


def test_status_says_what_is_wrong_and_what_to_do(run: Run, default: Lab) -> None:
    code, out, _ = run("status", "--json", "-")
    (found,) = json.loads(out)["labs"]
    assert (code, found["condition"], found["findings"]) == (0, "up", [])
    assert default.state.password not in out

    assert run("kill")[0] == 0
    code, out, _ = run("status")
    assert code == 1
    assert "`authkit lab promote`" in out.replace("\n", " ")
    assert run("up")[0] == 2

    assert run("promote") == (0, "node2 is the primary.\n", "")
    code, out, _ = run("rejoin", "node1")
    assert code == 0
    assert "node1 is a replica again (pg_rewind" in out
    assert run("status")[0] == 0


def test_a_node_is_frozen_thawed_stopped_and_started(run: Run, default: Lab) -> None:
    assert run("freeze", "replica")[0] == 0
    assert default.server("replica").condition() == "frozen"
    assert run("thaw", "replica")[0] == 0
    assert default.server("replica").condition() == "running"
    assert run("stop", "replica")[0] == 0
    assert default.server("replica").condition() == "down"
    assert run("start", "replica")[0] == 0
    assert default.server("replica").condition() == "running"


def test_a_switchover_leaves_the_old_primary_as_a_replica(
    run: Run, default: Lab
) -> None:
    old = default.primary
    code, out, err = run("switchover")
    assert code == 0, err
    assert f"{default.primary} is the primary, {old} a replica." in out
    assert default.primary != old
    assert default.replicas == (old,)
    assert default.status().findings == ()


def test_a_node_that_is_not_there_is_exit_code_2(run: Run, default: Lab) -> None:
    code, out, err = run("kill", "node9")
    assert (code, out) == (2, "")
    assert "has no node 'node9'" in err


def test_psql_is_handed_its_arguments_and_the_password(
    default: Lab, root: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "authkit", "lab", "psql", "--dir", str(root),
         "-X", "-A", "-t", "-c", "SELECT current_user, current_database()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "authkit|authkit\n"), done.stderr
    assert default.state.password not in done.stderr


def test_logs_shows_the_end_of_the_servers_log(run: Run, default: Lab) -> None:
    default.psql("DO $$ BEGIN RAISE LOG 'a word for the log'; END $$")
    code, out, _ = run("logs", "--lines", "5")
    assert code == 0
    assert "a word for the log" in out


def test_reset_asks_and_then_empties_the_lab(
    run: Run, default: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    default.sql("CREATE TABLE gone ()")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, _, _ = run("reset")
    assert code == 1
    assert default.sql("SELECT to_regclass('gone')::text") == [("gone",)]
    assert run("reset", "--yes")[0] == 0
    assert default.sql("SELECT to_regclass('gone')::text") == [(None,)]


def test_down_all_removes_every_lab(run: Run, root: Path, default: Lab) -> None:
    other = up("other", 0, root=root, config={"fsync": "off"})
    code, out, _ = run("down", "--all")
    assert code == 0
    assert out.splitlines() == ["Lab default is gone.", "Lab other is gone."]
    assert not other.folder.exists()
    assert not default.folder.exists()
    code, out, _ = run("status")
    assert (code, out) == (0, "There is no lab: `authkit lab up` starts one.\n")
