"""Up, down and up again; all of it or nothing; one at a time; on every version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg
import pytest
from sqlalchemy import text

from alembic import command
from authkit.errors import InvalidInput, RetryLater, SchemaMismatch, Unavailable
from authkit.lab import Lab, cluster
from authkit.ops import migrate
from authkit.ops.connection import transaction
from authkit.ops.findings import Level
from authkit.ops.validate import validate

OLDEST = Path("/usr/lib/postgresql/15/bin")
HEAD = "0006"
NOTHING = [("alembic_version",), ("alembic_version_pkc",)]


@pytest.fixture(scope="module")
def oldest() -> Iterator[Lab]:
    """A server of the oldest version that is supported, if one is installed."""
    if not (OLDEST / "postgres").exists():
        pytest.skip("PostgreSQL 15 is not installed here")
    with cluster(replicas=0, bindir=OLDEST, config={"fsync": "off"}) as lab:
        yield lab


@pytest.fixture(params=["newest", "oldest"])
def fresh_url(request: pytest.FixtureRequest) -> Iterator[str]:
    lab: Lab = request.getfixturevalue(
        "pair" if request.param == "newest" else "oldest"
    )
    lab.create_database("migrations")
    yield lab.url(database="migrations")
    lab.drop_database("migrations")


def left_over(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'authkit'::regnamespace"
            " UNION SELECT proname FROM pg_proc"
            " WHERE pronamespace = 'authkit'::regnamespace ORDER BY 1"
        ).fetchall()


def test_up_down_and_up_again(fresh_url: str):
    assert migrate.upgrade(fresh_url).current == HEAD
    first = left_over(fresh_url)
    assert migrate.downgrade(fresh_url, "base").current is None
    assert left_over(fresh_url) == NOTHING
    assert migrate.upgrade(fresh_url).current == HEAD
    assert left_over(fresh_url) == first


def test_one_step_down_and_up_at_a_time(fresh_url: str):
    migrate.upgrade(fresh_url)
    for revision in ("0005", "0004", "0003", "0002", "0001"):
        assert migrate.downgrade(fresh_url, revision).current == revision
        assert migrate.upgrade(fresh_url).current == HEAD
    with transaction(fresh_url) as connection:
        assert {f.level for f in validate(connection)} == {Level.GOOD}


def test_a_migrated_database_is_what_the_code_declares(fresh_url: str):
    migrate.upgrade(fresh_url)
    with transaction(fresh_url) as connection:
        command.check(migrate.config(connection=connection))
        (only,) = validate(connection)
    assert only.name == "as_declared"


def test_the_sql_of_the_migrations_does_what_they_do(fresh_url: str):
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute(migrate.sql().encode())
    with transaction(fresh_url) as connection:
        (only,) = validate(connection)
    assert only.name == "as_declared"
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute(migrate.sql(f"{HEAD}:base", down=True).encode())
    assert left_over(fresh_url) == NOTHING


def test_migrating_again_changes_nothing(empty_url: str):
    migrate.upgrade(empty_url)
    before = left_over(empty_url)
    assert migrate.upgrade(empty_url).is_head
    assert left_over(empty_url) == before


def test_what_is_pending_is_named_in_order(empty_url: str):
    state = migrate.upgrade(empty_url, "0002")
    assert (state.current, state.pending) == (
        "0002",
        ("0003", "0004", "0005", HEAD),
    )


def test_databases_of_one_server_may_be_migrated_at_once():
    """The group roles belong to the server: each database wants to make them."""
    statements = migrate.sql().encode()
    names = ["first", "second", "third", "fourth"]
    barrier = Barrier(len(names), timeout=30)

    def run(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            barrier.wait()
            connection.execute(statements)

    with cluster(replicas=0, config={"fsync": "off"}, in_memory=True) as lab:
        for name in names:
            lab.create_database(name)
        with ThreadPoolExecutor(len(names)) as pool:
            urls = [lab.url(database=name) for name in names]
            for done in [pool.submit(run, url) for url in urls]:
                done.result(timeout=60)


def test_threads_of_one_process_migrate_one_after_another(empty_url: str):
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(migrate.upgrade, empty_url) for _ in range(3)]:
            assert done.result(timeout=120).is_head


def test_downgrading_leaves_the_roles_that_other_databases_use(
    migrated_url: str, empty_url: str
):
    migrate.upgrade(empty_url)
    migrate.downgrade(empty_url, "base")
    with transaction(migrated_url) as connection:
        (only,) = validate(connection)
    assert only.name == "as_declared"


def test_a_database_of_a_newer_schema_is_refused_and_not_touched(empty_url: str):
    migrate.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute("UPDATE authkit.alembic_version SET version_num = '9999'")
    for act in (
        lambda: migrate.upgrade(empty_url),
        lambda: migrate.downgrade(empty_url, "base"),
        lambda: migrate.generate(empty_url, "anything"),
    ):
        with pytest.raises(SchemaMismatch, match=r"9999.*upgrade authkit"):
            act()
    assert len(left_over(empty_url)) > 50


def test_an_unknown_revision_is_refused_before_anything_changes(empty_url: str):
    with pytest.raises(InvalidInput, match="nowhere"):
        migrate.upgrade(empty_url, "nowhere")
    with psycopg.connect(empty_url) as connection:
        found = connection.execute(
            "SELECT FROM pg_namespace WHERE nspname = 'authkit'"
        ).fetchone()
    assert found is None


def test_a_migration_that_fails_leaves_nothing_behind(
    empty_url: str, broken_migrations: Path
):
    (broken_migrations / "sql" / "0004_roles.sql").write_text("SELECT 1/0")
    with pytest.raises(Exception, match="22012"):
        migrate.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        found = connection.execute(
            "SELECT FROM pg_namespace WHERE nspname = 'authkit'"
        ).fetchone()
    assert found is None


@pytest.fixture
def broken_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that a test may change."""
    copy = tmp_path / "alembic"
    shutil.copytree(migrate.migrations_dir(), copy)
    monkeypatch.setattr(migrate, "migrations_dir", lambda: copy)
    return copy


def test_a_table_in_use_is_waited_for_briefly_and_then_nothing_is_changed(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrate, "_TABLE_LOCK_WAIT", "100ms")
    migrate.upgrade(empty_url)
    with psycopg.connect(empty_url) as user:
        user.execute("SELECT count(*) FROM authkit.users")
        with pytest.raises(RetryLater):
            migrate.downgrade(empty_url, "base")
    with transaction(empty_url) as connection:
        assert migrate.version(connection).is_head


def test_a_second_migrator_waits_for_the_first(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrate, "_LOCK_WAIT", "100ms")
    with transaction(empty_url) as first:
        migrate.take_lock(first)
        with pytest.raises(RetryLater):
            migrate.upgrade(empty_url)


def test_a_replica_is_refused_in_words(pair: Lab):
    with pytest.raises(Unavailable, match="replica"):
        migrate.downgrade(pair.url("replica"), "base")


def test_generating_writes_what_differs(empty_url: str, broken_migrations: Path):
    migrate.upgrade(empty_url)
    with transaction(empty_url) as connection:
        connection.execute(text("ALTER TABLE authkit.users DROP COLUMN image"))
    made = migrate.generate(empty_url, "put the image back")
    assert made is not None
    assert made.parent == broken_migrations / "versions"
    assert "add_column" in made.read_text()
    assert "drop_table" not in made.read_text()


def test_generating_writes_nothing_where_nothing_differs(
    empty_url: str, broken_migrations: Path
):
    migrate.upgrade(empty_url)
    before = sorted((broken_migrations / "versions").glob("*.py"))
    assert migrate.generate(empty_url, "nothing") is None
    assert sorted((broken_migrations / "versions").glob("*.py")) == before


def test_generating_asks_for_the_newest_schema_and_a_message(empty_url: str):
    with pytest.raises(SchemaMismatch, match="no revision"):
        migrate.generate(empty_url, "anything")
    with pytest.raises(InvalidInput):
        migrate.generate(empty_url, "  ")


def test_an_installed_package_brings_its_migrations_and_takes_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "site-packages" / "authkit"
    shutil.copytree(migrate.migrations_dir(), package / "migrations")
    monkeypatch.setattr("authkit.__file__", str(package / "__init__.py"))
    assert migrate.migrations_dir() == package / "migrations"
    assert "CREATE TABLE authkit.users" in migrate.sql()
    with pytest.raises(InvalidInput, match="checkout"):
        migrate.generate("postgresql://unused", "anything")


def test_an_installation_without_migrations_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("authkit.__file__", str(tmp_path / "authkit" / "__init__.py"))
    with pytest.raises(SchemaMismatch, match="wheel"):
        migrate.migrations_dir()


def test_the_newest_revision_follows_from_the_first_in_one_line():
    revisions = migrate.sql()
    assert revisions.count("UPDATE authkit.alembic_version") == int(HEAD) - 1
    assert revisions.count("INSERT INTO authkit.alembic_version") == 1
