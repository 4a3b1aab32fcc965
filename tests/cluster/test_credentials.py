"""Passwords that change: from a callable, from a command, and when there is none."""

from __future__ import annotations

import secrets
import shlex
import sys
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.cluster import Cluster
from authkit.cluster.credentials import Login, PasswordCommand, login_urls
from authkit.errors import ConfigError, Unavailable
from authkit.kit.reading import url_for_reading
from authkit.ops.health import look
from authkit.settings import Settings


@pytest.fixture
def someone(pair, shared_database):
    """A login whose password may be changed: settings without one, and a setter."""
    name = f"someone_{secrets.token_hex(4)}"
    pair.sql(f"CREATE ROLE {name} LOGIN")
    urls = []
    for url in shared_database:
        given = conninfo_to_dict(url)
        del given["password"]
        urls.append(make_conninfo(**{**given, "user": name}))
    settings = Settings.load(
        None, database_url=urls[0], database_replica_urls=tuple(urls[1:])
    )

    def change(password: str) -> None:
        pair.sql(f"ALTER ROLE {name} PASSWORD '{password}'")
        pair.wait_replayed()

    change("first")
    yield settings, change
    pair.sql(f"DROP ROLE {name}")


def test_a_rotated_password_is_asked_for_anew(drive, someone):
    settings, change = someone
    current = ["first"]
    asked: list[Login] = []

    def password(login: Login) -> str:
        asked.append(login)
        return current[0]

    driver = drive(settings, password=password).open()
    change("second")
    current[0] = "second"
    before = len(asked)
    with ExitStack() as stack:
        held = [stack.enter_context(driver.writer()) for _ in range(6)]
        pids = {c.execute("SELECT pg_backend_pid()")[0][0] for c in held}
    assert len(pids) == 6
    assert len(asked) > before
    assert {login.user for login in asked} == {settings_user(settings)}


def settings_user(settings: Settings) -> str:
    url = settings.urls[0].get_secret_value()
    return str(conninfo_to_dict(url)["user"])


def script(folder, body: str) -> str:
    path = folder / "password.py"
    path.write_text(f"{body}\n")
    return shlex.join([sys.executable, str(path)])


def test_a_command_prints_it(drive, someone, tmp_path):
    settings, _ = someone
    command = script(tmp_path, "import os\nassert os.environ['PGUSER']\nprint('first')")
    with_command = settings.model_copy(
        update={"authkit_password_command": type(settings.urls[0])(command)}
    )
    driver = drive(with_command).open()
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]
    assert "first" not in repr(with_command)
    assert [conninfo_to_dict(url)["password"] for url in login_urls(with_command)] == [
        "first",
        "first",
    ]


def test_what_connects_by_itself_asks_the_command_too(someone, tmp_path):
    """Health, the commands and the frames do not go through the pools."""
    settings, _ = someone
    command = script(tmp_path, "print('first')")
    with_command = settings.model_copy(
        update={"authkit_password_command": type(settings.urls[0])(command)}
    )
    found = {finding.name for finding in look(with_command).findings}
    assert "unreachable" not in found
    with Cluster(with_command) as cluster:
        url = url_for_reading(with_command, cluster.topology)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert "unreachable" in {f.name for f in look(settings).findings}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import sys\nprint('hunter2')\nsys.exit(3)", r"failed \(exit 3\)"),
        ("print()", "printed nothing"),
        ("import sys\nsys.stdout.buffer.write(bytes([255]))", "cannot be run"),
    ],
)
def test_a_command_that_gives_none_is_each_nodes_reason(
    drive, someone, tmp_path, body, said
):
    settings, _ = someone
    broken = settings.model_copy(
        update={
            "authkit_password_command": type(settings.urls[0])(script(tmp_path, body))
        }
    )
    with pytest.raises(Unavailable, match=said) as caught:
        drive(broken).open()
    assert "hunter2" not in str(caught.value)
    assert "password.py" not in str(caught.value)


def test_an_error_of_the_callers_function_shows_its_kind_only(drive, someone):
    settings, _ = someone

    def password(_: Login) -> str:
        raise RuntimeError("hunter2")

    with pytest.raises(Unavailable, match="RuntimeError") as caught:
        drive(settings, password=password).open()
    assert "hunter2" not in str(caught.value)


def test_an_answer_is_shared_by_those_who_ask_at_once_and_hidden(tmp_path):
    log = tmp_path / "log"
    command = PasswordCommand(
        script(tmp_path, f"open({str(log)!r}, 'a').write('x')\nprint('p w')")
    )
    login = Login("h", "1", "u", "d")
    assert [command(login) for _ in range(5)] == ["p w"] * 5
    assert log.read_text() == "x"
    assert "password.py" not in repr(command)


def test_what_is_no_command_is_refused_at_once(settings):
    unclosed = settings.model_copy(
        update={"authkit_password_command": type(settings.urls[0])("pass 'word")}
    )
    with pytest.raises(ConfigError, match="AUTHKIT_PASSWORD_COMMAND"):
        Cluster(unclosed)
