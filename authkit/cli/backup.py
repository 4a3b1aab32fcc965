"""`authkit backup`: make, keep, verify, restore and drill backups of the cluster."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli.ending import tidy_when_told
from authkit.cli.showing import print_findings, progress

if TYPE_CHECKING:
    from authkit.ops.backup import Folder

app = typer.Typer(
    help="Make, keep, verify, restore and drill backups of the whole cluster.",
    no_args_is_help=True,
)

Where = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder of the backups.")
]
Id = Annotated[
    str | None, typer.Option("--backup", help="One backup; default: the newest.")
]
EnvFile = Annotated[
    Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the figures there; - is standard output."),
]
_ENV = Path(".env")


@app.callback()
def group() -> None:
    """Leave no process and no copy of the data behind, whatever ends the command."""
    tidy_when_told()


@app.command()
def create(
    where: Where,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what changed since the newest.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Then keep so many, and remove the rest."),
    ] = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Make a backup of the server of DATABASE_URL, and verify it."""
    from authkit.ops import backup
    from authkit.ops.backup.retention import retain

    folder = _folder(where)
    with progress() as show:
        made = backup.create(_url(env_file), folder, incremental=incremental, tell=show)
    typer.echo(
        f"Made the {made.kind} backup {made.id}: {made.size_bytes / 1e6:,.1f} MB in"
        f" {made.seconds:.1f} s."
    )
    if keep is not None:
        gone = retain(folder, keep)
        typer.echo(
            f"Removed {len(gone.backups)} older backups and {gone.segments} segments of"
            " the log."
        )


@app.command("list")
def show_list(where: Where) -> None:
    """Show the backups, and to which moment each can be restored at the least."""
    folder = _folder(where)
    folder.find()  # none at all, as where the name is wrong, is no empty answer
    for made in folder.backups():
        typer.echo(
            f"{made.id}  {made.kind:<11}  {made.finished:%Y-%m-%d %H:%M:%S%z}"
            f"  {made.size_bytes / 1e6:>10,.1f} MB  PostgreSQL {made.version}"
            + (f"  on {made.parent}" if made.parent else "")
        )


@app.command()
def verify(where: Where, backup_id: Id = None) -> None:
    """Compare a backup with its manifest; a damaged file is named."""
    from authkit.ops import backup

    with progress() as show:
        found = backup.verify(_folder(where), backup_id, tell=show)
    typer.echo(f"{' and '.join(b.id for b in found)}: every file is as it was written.")


@app.command()
def stream(where: Where, env_file: EnvFile = _ENV) -> None:
    """Keep the write-ahead log as it is written, until Ctrl-C; follows a failover."""
    from authkit.ops.backup import Stream

    # Asked again before each start: who leads, and the password of the moment.
    receiver = Stream(lambda: _url(env_file), _folder(where), tell=typer.echo)
    receiver.prepare()
    typer.echo("Keeping the log; Ctrl-C ends it, and the slot holds what comes then.")
    receiver.run()


@app.command()
def restore(
    where: Where,
    to: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder to make.")],
    time: Annotated[
        str | None,
        typer.Option("--time", help="Recover to then, as 2026-03-01T12:00:00+00:00."),
    ] = None,
    lsn: Annotated[
        str | None, typer.Option("--lsn", help="Recover to this position.")
    ] = None,
    point: Annotated[
        str | None, typer.Option("--name", help="Recover to this named point.")
    ] = None,
    backup_id: Id = None,
    replace: Annotated[
        str | None,
        typer.Option(
            "--replace", help="System identifier of a cluster that may make room."
        ),
    ] = None,
) -> None:
    """Restore into a data folder; a server started on it recovers to the moment."""
    from authkit.errors import InvalidInput
    from authkit.ops import backup
    from authkit.ops.backup.wal import position

    try:
        target = backup.Target(
            time=None if time is None else datetime.fromisoformat(time),
            lsn=None if lsn is None else position(lsn),
            name=point,
        )
    except InvalidInput:
        raise
    except ValueError as exc:
        raise InvalidInput(
            "that is no time (ISO 8601) or position (0/3000028)"
        ) from exc
    with progress() as show:
        done = backup.restore(
            _folder(where), to, target, backup_id=backup_id, replace=replace, tell=show
        )
    typer.echo(
        f"Restored {done.backup.id} to {done.data} in {done.restore_s:.1f} s"
        f" (verified in {done.verify_s:.1f} s). Start a server on it as its owner, with"
        f" `pg_ctl -D {shlex.quote(str(done.data))} start`: it recovers from the log,"
        " then takes writes."
    )
    if done.previous is not None:
        typer.echo(f"What was there is at {done.previous}.")


@app.command()
def drill(
    where: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Backups; default: a lab's of its own."),
    ] = None,
    fill_mb: Annotated[
        int, typer.Option("--fill-mb", min=0, help="Make the lab of its own so large.")
    ] = 0,
    at: Annotated[
        Path | None, typer.Option("--at", help="Folder on the disk to restore to.")
    ] = None,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Restore the newest backup on a server of its own, recover, compare, measure."""
    from authkit.ops.backup.drilling import drill as play
    from authkit.ops.backup.staging import drill_a_lab

    with progress() as show:
        if where is None:
            found = drill_a_lab(fill_mb=fill_mb, tell=show)
        else:
            found = play(_url(env_file), _folder(where), root=at, tell=show)
    report = found.report()
    if to != "-":
        print_findings(found.findings)
        typer.echo(
            f"Recovered to {found.moment.at:%Y-%m-%d %H:%M:%S} UTC in"
            f" {found.recovery_s:.1f} s ({found.recovery_s / found.copy_s:.1f} times"
            f" copying); verified in {found.verify_s:.1f} s; the log was"
            f" {found.lag_s:.2f} s behind."
        )
    if to is not None:
        report.write_json(to)
    raise typer.Exit(report.exit_code)


def _folder(where: Path) -> Folder:
    from authkit.ops.backup import Folder

    return Folder(where)


def _url(env_file: Path) -> str:
    from authkit.cluster.locate import writer_url
    from authkit.settings import Settings

    return writer_url(Settings.load(env_file))
