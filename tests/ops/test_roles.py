"""What members of each group role can and can not do with the operator's commands."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from authkit.errors import BackupError, NotPermitted
from authkit.ops.backup import Folder, create
from authkit.ops.backup.moment import mark
from authkit.ops.fsck import check
from authkit.ops.maintain import maintain
from authkit.schema.roles import ANALYST, APP, BACKUP, MAINTENANCE, ROLES


@pytest.fixture(scope="module")
def logins(migrated_url: str) -> Iterator[dict[str, str]]:
    """A login for each group role, by the group's name: its URL."""
    parts = conninfo_to_dict(migrated_url)
    urls: dict[str, str] = {}
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        for group in ROLES:
            name, word = f"{group}_{secrets.token_hex(4)}", secrets.token_hex(12)
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(name), sql.Literal(word), sql.Identifier(group)
                )
            )
            urls[group] = (
                f"postgresql://{name}:{word}@{parts['host']}:{parts['port']}"
                f"/{parts['dbname']}"
            )
    yield urls
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        for url in urls.values():
            name = str(conninfo_to_dict(url)["user"])
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_the_application_and_the_backup_may_check_and_the_others_may_not(
    logins: dict[str, str],
):
    for group in (APP, BACKUP):
        assert check(logins[group]).clean
    for group in (ANALYST, MAINTENANCE):
        with pytest.raises(NotPermitted, match=f"a member of {APP} or {BACKUP}, or"):
            check(logins[group])


@pytest.mark.parametrize("group", [APP, BACKUP, ANALYST])
def test_whoever_may_not_maintain_is_told_so_and_holds_up_nobody(
    logins: dict[str, str], migrated_url: str, group: str
):
    with pytest.raises(NotPermitted, match=f"use a member of {MAINTENANCE}, or the"):
        maintain(logins[group])
    # The lock that keeps two runs apart is not left behind.
    assert not maintain(migrated_url, dry_run=True).busy


@pytest.mark.parametrize("group", ROLES)
def test_none_may_copy_the_cluster_or_name_a_point_without_more_rights(
    logins: dict[str, str], group: str, tmp_path: Path
):
    # REPLICATION reads every database of the server: it is given to a login by itself.
    with pytest.raises(BackupError, match=r"(?i)permission denied"):
        create(logins[group], Folder(tmp_path))
    with pytest.raises(NotPermitted, match=f"superuser, or a member of {BACKUP} that"):
        mark(logins[group])


@pytest.mark.parametrize("group", ROLES)
def test_none_may_become_more_than_it_is(logins: dict[str, str], group: str):
    statements: tuple[Any, ...] = (
        "CREATE TABLE authkit.mine (n int)",
        "CREATE ROLE another",
        "ALTER TABLE authkit.audit_logs DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT pg_read_file('postmaster.pid')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_promote()",
    )
    with psycopg.connect(logins[group], autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
