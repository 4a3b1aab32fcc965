"""A real PgBouncer in transaction mode in front of a node."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import authkit
from authkit.cluster import Intent, Verdict
from authkit.hot import Cap
from authkit.settings import Settings
from authkit.testing.waiting import until

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

pytestmark = pytest.mark.skipif(
    not Path(PGBOUNCER).exists(),
    reason="PgBouncer is not installed (Debian: apt-get install pgbouncer)",
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def bouncer(folder: Path, url: str):
    """Run PgBouncer in front of a server; yields the URL through it."""
    to = conninfo_to_dict(url)
    port = free_port()
    (folder / "users.txt").write_text(f'"{to["user"]}" "{to["password"]}"\n')
    (folder / "pgbouncer.ini").write_text(
        "[databases]\n"
        f"* = host={to['host']} port={to['port']} user={to['user']}"
        f" password={to['password']}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder}/users.txt\n"
        "pool_mode = transaction\nignore_startup_parameters = options\n"
        f"logfile = {folder}/log\n"
    )
    as_nobody = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    process = subprocess.Popen(
        [PGBOUNCER, "--quiet", str(folder / "pgbouncer.ini")],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_nobody,
    )
    try:
        until(lambda: listens(port), "PgBouncer listens")
        yield f"postgresql://{to['user']}:{to['password']}@127.0.0.1:{port}/{to['dbname']}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


@pytest.fixture
def bounced(settings):
    folder = Path(tempfile.mkdtemp(prefix="authkit-bouncer-"))
    try:
        with bouncer(folder, settings.database_url.get_secret_value()) as url:
            yield Settings.load(None, database_url=url)
    finally:
        shutil.rmtree(folder)


def test_statements_are_not_prepared_and_roles_are_discovered(drive, bounced, table):
    driver = drive(bounced).open()
    assert driver.cluster.status().verdict is Verdict.WRITABLE
    assert driver.cluster.topology.primary.pooled
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    for n in range(20):  # psycopg would prepare at the sixth
        with driver.writer() as connection:
            connection.execute(f"INSERT INTO {table} VALUES (%s)", (n,))
    result = driver.run(
        lambda c: c.execute(f"SELECT count(*) FROM {table}"), intent=Intent.READ
    )
    assert result == [(20,)]


def test_the_hot_path_prepares_nothing_behind_it(bounced):
    url = bounced.database_url.get_secret_value()
    with authkit.connect(bounced) as kit, ThreadPoolExecutor(8) as threads:
        with kit.unit_of_work() as uow:
            user = uow.run(lambda w: w.users.create("pooled@example.com"))
        made = kit.sessions.create(user.id, cap=Cap(3))
        found = list(threads.map(kit.sessions.validate, [made.token] * 40))
        assert {session.id for session in found} == {made.id}
    # Each of these may be given another server of the pooler's.
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(
                psycopg.connect(url, prepare_threshold=None)
            )
            rows = connection.execute("SELECT name FROM pg_prepared_statements")
            assert rows.fetchall() == []
