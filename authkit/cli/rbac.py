"""`authkit rbac`: who may do what, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from authkit.kit import Kit
    from authkit.relational import Holder, UnitOfWork

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True)

EnvFile = Annotated[
    Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the result there; - is standard output."),
]
Permission = Annotated[str, typer.Argument(help="resource:action, like user:read.")]
_ENV = Path(".env")


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help="Id or e-mail address of a user.")],
    permission: Permission,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", help="NAME=VALUE that conditions look at; repeat."),
    ] = None,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Say whether a user may do it, and by which roles; exit 1 if not."""
    from dataclasses import asdict
    from datetime import UTC, datetime
    from time import perf_counter

    from authkit.figures import Report, figure

    given = dict(_pair(text) for text in context or ())
    started = datetime.now(UTC)
    with _connect(env_file) as kit, kit.unit_of_work(read_only=True) as uow:
        user_id = _user_id(uow, user)
        began = perf_counter()
        found = uow.roles.explain(user_id, permission, **given)
        seconds = perf_counter() - began
    decision = found.decision
    if to != "-":
        typer.echo(str(found))
        for path in found.paths:
            until = "for good" if path.expires_at is None else f"to {path.expires_at}"
            by = "" if path.granted_by is None else f" by user {path.granted_by}"
            typer.echo(f"  {path.role}: granted {path.granted_at}{by}, {until}")
            if path.conditions:
                asked = json.dumps(path.conditions, sort_keys=True)
                typer.echo(f"  {path.permission}: only if {asked}")
    if to is not None:
        Report(
            "rbac explain",
            started,
            seconds,
            (figure("allowed", int(decision.allowed)),),
            extra={
                "user_id": str(user_id),
                "permission": found.permission,
                "reason": decision.reason.value,
                "role": decision.role,
                "paths": [{**asdict(p), "holds": p.holds} for p in found.paths],
            },
        ).write_json(to)
    raise typer.Exit(0 if decision.allowed else 1)


@app.command("who-can")
def who_can(
    permission: Permission,
    limit: Annotated[int, typer.Option(min=1, help="Users at most.")] = 1000,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """List who may do it now, and by which roles."""
    from datetime import UTC, datetime
    from time import perf_counter

    from authkit.figures import Report, figure

    started = datetime.now(UTC)
    found: list[Holder] = []
    page_size = 1000
    with _connect(env_file) as kit, kit.unit_of_work(read_only=True) as uow:
        began = perf_counter()
        while len(found) < limit:
            page = uow.roles.who_can(
                permission,
                after=found[-1].user_id if found else None,
                limit=min(page_size, limit - len(found)),
            )
            found += page
            if not page:
                break
        seconds = perf_counter() - began
    if to != "-":
        for holder in found:
            condition = " (under conditions)" if holder.conditional else ""
            typer.echo(f"{holder.user_id}  {', '.join(holder.roles)}{condition}")
        more = " or more" if len(found) == limit else ""
        typer.echo(f"{len(found):,}{more} may {permission}.", err=True)
    if to is not None:
        Report(
            "rbac who-can",
            started,
            seconds,
            (figure("holders", len(found)),),
            extra={
                "permission": permission,
                "holders": [
                    {
                        "user_id": str(holder.user_id),
                        "roles": holder.roles,
                        "conditional": holder.conditional,
                    }
                    for holder in found
                ],
            },
        ).write_json(to)


def _user_id(uow: UnitOfWork, user: str) -> UUID:
    from authkit.errors import NotFound

    try:
        return UUID(user)
    except ValueError:
        found = uow.users.find_by_email(user)
    if found is None:
        raise NotFound("there is no user of this id or e-mail address")
    return found.id


def _pair(text: str) -> tuple[str, object]:
    """Read NAME=VALUE; the value is JSON, or else the text itself."""
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise typer.BadParameter("a context is NAME=VALUE", param_hint="--context")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _connect(env_file: Path) -> Kit:
    from authkit.kit import connect
    from authkit.settings import Settings

    return connect(Settings.load(env_file))
