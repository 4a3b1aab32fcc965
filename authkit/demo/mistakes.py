"""Calls that fail, each with the error that it must raise: for the tour of the API."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from pydantic import SecretStr
from sqlalchemy import select

import authkit
import authkit.ids
from authkit import errors
from authkit.cluster import Token
from authkit.crypto import tokens
from authkit.kit import Kit
from authkit.relational import Work
from authkit.schema.relational import User
from authkit.settings import Settings

# What only a fault in the cluster brings about; `authkit demo` makes one.
ELSEWHERE: dict[type[errors.AuthkitError], str] = {
    errors.NodeLost: "the node went away in the middle of it",
    errors.SplitBrain: "two primaries on one timeline",
    errors.InDoubt: "the connection was lost while COMMIT was under way",
    errors.TokenLost: "a failover lost the write that a token stands for",
    errors.SchemaMismatch: "the database is of another version",
    errors.NotPermitted: "the database role lacks the right",
    errors.BackupError: "a backup cannot be made, trusted or restored",
    errors.LabError: "an embedded cluster cannot do what was asked",
}

Mistake = tuple[type[errors.AuthkitError], str, Callable[[], object]]


def mistakes(
    kit: Kit, settings: Settings, user: User, opened: ExitStack
) -> list[Mistake]:
    """Return calls that fail, each with the error it must raise."""
    nobody = authkit.ids.uuid7()
    mistakes: list[Mistake] = [
        (
            errors.ConfigError,
            "Settings.load(None, database_pool_max=0)",
            lambda: Settings.load(None, database_pool_max=0),
        ),
        (
            errors.InvalidInput,
            "kit.sessions.validate('guess')",
            lambda: kit.sessions.validate("guess"),
        ),
        (
            errors.AlreadyExists,
            "uow.users.create(the same e-mail)",
            lambda: _unit(kit, lambda uow: uow.users.create(user.email)),
        ),
        (
            errors.NotFound,
            "uow.roles.grant(an unknown user, ...)",
            lambda: _unit(kit, lambda uow: uow.roles.grant(nobody, "user")),
        ),
        (
            errors.Conflict,
            "uow.roles.grant(..., granted_by=nobody)",
            lambda: _unit(
                kit, lambda uow: uow.roles.grant(user.id, "admin", granted_by=nobody)
            ),
        ),
        (
            errors.DatabaseError,
            "a change in a read_only unit of work",
            lambda: _unit(
                kit, lambda uow: uow.users.update(user.id, name="x"), read_only=True
            ),
        ),
        (errors.RetryLater, "a lock that is not free", lambda: _locked(kit, user)),
        (
            errors.DeadlineExceeded,
            "kit.cluster.wait_for(primary='nobody')",
            lambda: kit.cluster.wait_for(primary="nobody", timeout=0.05),
        ),
        (errors.Saturated, "every connection in use", lambda: _saturated(settings)),
        (errors.Closed, "a kit after its close()", lambda: _closed(settings)),
        (
            errors.Unavailable,
            "authkit.connect(where nobody listens)",
            lambda: authkit.connect(_only(settings, "postgresql://a@127.0.0.1:1/a")),
        ),
    ]
    if not settings.database_replica_urls:
        return mistakes
    replica = settings.database_replica_urls[0].get_secret_value()
    alone = opened.enter_context(authkit.connect(_only(settings, replica)))
    ahead = Token(1, 2**62)
    token = tokens.issue().token
    return [
        *mistakes,
        (
            errors.NoPrimary,
            "a write where only a replica is known",
            lambda: alone.sessions.revoke_all(user.id),
        ),
        (
            errors.NoReplica,
            "kit.sessions.validate(token, after=the future)",
            lambda: alone.sessions.validate(token, after=ahead),
        ),
    ]


def _unit(
    kit: Kit, function: Callable[[Work], object], *, read_only: bool = False
) -> None:
    with kit.unit_of_work(read_only=read_only) as uow:
        uow.run(function)


def _only(settings: Settings, url: str) -> Settings:
    """Return settings of one node, that wait a fifth of a second at most."""
    changes = {
        "database_url": SecretStr(url),
        "database_replica_urls": (),
        "database_connection_timeout": 200,
        "database_pool_min": 0,
        "database_pool_max": 1,
        "database_replica_pool_min": 0,
        "database_replica_pool_max": 1,
    }
    return settings.model_copy(update=changes)


def _locked(kit: Kit, user: User) -> None:
    row = select(User.id).where(User.id == user.id)
    with kit.unit_of_work() as first, kit.unit_of_work() as second:
        first.session.execute(row.with_for_update())
        second.session.execute(row.with_for_update(nowait=True))


def _saturated(settings: Settings) -> None:
    small = _only(settings, settings.urls[0].get_secret_value())
    with authkit.connect(small) as kit, kit.cluster.writer():
        kit.sessions.validate(tokens.issue().token)


def _closed(settings: Settings) -> None:
    kit = authkit.connect(settings)
    kit.close()
    kit.sessions.validate(tokens.issue().token)
