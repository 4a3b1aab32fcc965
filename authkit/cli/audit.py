"""`authkit audit`: verify the trail, read it, keep signed checkpoints of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli.showing import progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from authkit.kit import Kit
    from authkit.relational import AuditEntry, Checkpoint, Verification
    from authkit.relational.checkpoint_log import CheckpointLog

app = typer.Typer(
    help="Verify the audit trail, read it, keep signed checkpoints of it.",
    no_args_is_help=True,
)

EnvFile = Annotated[
    Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the result there; - is standard output."),
]
_ENV = Path(".env")
# Checkpoints further apart than this leave too much time to cut the trail unseen.
MAX_APART_S = 60


@app.command()
def verify(
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", help="File that `audit checkpoint` wrote."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", help="Of the key that signed them, PEM."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            help="The server's newest pg_wal/*.history, if its role may not read it.",
        ),
    ] = None,
    pruned: Annotated[
        bool,
        typer.Option("--pruned", help="Months were dropped; no checkpoint seals them."),
    ] = False,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Check every entry, link and head; exit 1 at the first that is broken."""
    from datetime import UTC, datetime
    from time import perf_counter

    from authkit.errors import InvalidInput
    from authkit.relational.checkpoint import longest_gap

    if (checkpoints is None) != (public_key is None):
        raise InvalidInput("--checkpoints and --public-key are given together")
    kept = _read_checkpoints(checkpoints, public_key)
    left = _read_history(history)
    started = datetime.now(UTC)
    with _connect(env_file) as kit, progress() as show:
        began = perf_counter()
        with kit.unit_of_work(read_only=True) as uow:
            whole = sum(head.seq for head in uow.audit.heads())
            found = uow.audit.verify(
                pruned=pruned,
                evidence=uow.audit.evidence(kept, left=left),
                progress=lambda done: show("entries", done, whole),
            )
        seconds = perf_counter() - began
        show("entries", found.entries, found.entries)
    gap_s = longest_gap(kept).total_seconds() if kept else None
    if to != "-":
        _tell(found, len(kept), seconds)
        if gap_s is not None and gap_s > MAX_APART_S:
            typer.echo(f"The longest time without a checkpoint was {gap_s:,.0f} s.")
    if to is not None:
        _report(found, started, seconds, to, checkpoints=len(kept), gap_s=gap_s)
    raise typer.Exit(0 if found.intact else 1)


@app.command()
def trail(
    actor: Annotated[str | None, typer.Option(help="Who acted, kind:id.")] = None,
    target: Annotated[str | None, typer.Option(help="On what, kind:id.")] = None,
    action: Annotated[str | None, typer.Option(help="What, e.g. role.grant.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Of a request.")] = None,
    since: Annotated[datetime | None, typer.Option(help="UTC, included.")] = None,
    until: Annotated[datetime | None, typer.Option(help="UTC, excluded.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Entries at most.")] = 100,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Print entries, the newest first."""
    from dataclasses import asdict
    from datetime import UTC, datetime
    from time import perf_counter

    from authkit.figures import Report, figure

    started, began = datetime.now(UTC), perf_counter()
    found: list[AuditEntry] = []
    page_size = 1000
    with _connect(env_file) as kit, kit.unit_of_work(read_only=True) as uow:
        while len(found) < limit:
            page = uow.audit.trail(
                actor=actor,
                target=target,
                action=action,
                correlation_id=correlation_id,
                since=_utc(since),
                until=_utc(until),
                before=found[-1] if found else None,
                limit=min(page_size, limit - len(found)),
            )
            found += page
            if not page:
                break
    if to != "-":
        for entry in found:
            _print_entry(entry)
    if to is not None:
        Report(
            "audit trail",
            started,
            perf_counter() - began,
            (figure("entries", len(found)),),
            extra={"entries": [asdict(entry) for entry in found]},
        ).write_json(to)


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="Where to write it; FILE.pub beside.")],
) -> None:
    """Make a key for checkpoints; keep it from the application and its database."""
    import os

    from authkit.crypto import SigningKey
    from authkit.errors import InvalidInput

    made = SigningKey.generate()
    public = file.with_name(f"{file.name}.pub")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as private:
            private.write(made.to_pem())
        public.write_bytes(made.public.to_pem())
    except OSError as exc:
        raise InvalidInput(f"cannot write {file}: {exc.strerror}") from exc
    typer.echo(f"Key {made.public.id}: sign with {file}, verify with {public}.")


@app.command()
def checkpoint(
    key: Annotated[Path, typer.Option("--key", help="Private key, Ed25519, PEM.")],
    out: Annotated[Path, typer.Option("--out", help="File to add signed lines to.")],
    every: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=MAX_APART_S, help="Go on, one every so many seconds."
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="With --every: stop after so many.")
    ] = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Sign every shard's head and the timeline; exit 1 if the trail got shorter."""
    from authkit.crypto import SigningKey
    from authkit.relational import CheckpointLog

    log = CheckpointLog(out, SigningKey.from_pem(_read(key)))
    with _connect(env_file) as kit:
        if every is None:
            _take(kit, log)
        else:
            _keep_on(lambda: _take(kit, log), every, rounds)


def _keep_on(take: Callable[[], None], every_s: float, rounds: int | None) -> None:
    from itertools import count
    from threading import Event

    from authkit.errors import RetryLater, Unavailable

    never = Event()
    for done in count(1):
        try:
            take()
        except (Unavailable, RetryLater) as exc:
            # A failover is under way: the next round finds the new primary.
            typer.secho(f"No checkpoint: {exc}", fg=typer.colors.YELLOW, err=True)
        if done == rounds:
            return
        never.wait(every_s)


def _take(kit: Kit, log: CheckpointLog) -> None:
    with kit.unit_of_work(read_only=True) as uow:
        seen = log.add(uow.audit.checkpoint)
    if isinstance(seen, str):
        typer.secho(f"NOT SIGNED: {seen}.", fg=typer.colors.RED, err=True)
        raise typer.Exit(1)
    sealed = "".join(
        f", sealed {seal.period:%Y-%m} with {seal.entries:,}" for seal in seen.seals
    )
    typer.echo(
        f"{seen.at:%Y-%m-%d %H:%M:%S}Z: {sum(h.seq for h in seen.heads):,} entries in"
        f" {len(seen.heads)} shards on timeline {seen.timeline}{sealed}."
    )


def _tell(found: Verification, checkpoints: int, seconds: float) -> None:
    against = f", against {checkpoints:,} checkpoints" if checkpoints else ""
    if found.broken is not None:
        typer.secho(f"BROKEN: {found.broken}.", fg=typer.colors.RED)
        typer.echo(f"{found.entries:,} entries before it hold{against}.")
        return
    typer.echo(
        f"{found.entries:,} entries in {len(found.heads)} shards hold{against}"
        f" ({seconds:.1f} s)."
    )
    for period in found.dropped:
        typer.echo(f"{period:%Y-%m}: dropped whole; its seal fits what follows.")
    for head in found.lost:
        typer.secho(
            f"Shard {head.shard}: a failover lost entries up to {head.seq}.",
            fg=typer.colors.YELLOW,
        )
    if not checkpoints:
        typer.echo("Without checkpoints nobody sees a tail that was cut off.")


def _report(
    found: Verification,
    started: datetime,
    seconds: float,
    to: str,
    *,
    checkpoints: int,
    gap_s: float | None,
) -> None:
    from authkit.figures import Report, figure

    Report(
        "audit verify",
        started,
        seconds,
        (
            figure("broken", int(not found.intact), goal=("==", 0)),
            figure("entries", found.entries),
            figure("entries_per_s", found.entries / seconds, "1/s"),
            figure("checkpoints", checkpoints),
            figure("longest_gap", gap_s, "s"),
            figure("shards_that_lost", len(found.lost)),
        ),
        extra={
            "first_broken": None if found.broken is None else str(found.broken),
            "lost": [{"shard": h.shard, "up_to": h.seq} for h in found.lost],
            "dropped": [period.isoformat() for period in found.dropped],
        },
    ).write_json(to)


def _print_entry(entry: AuditEntry) -> None:
    where = "" if entry.ip is None else f" from {entry.ip}"
    on = "" if entry.target is None else f" on {entry.target}"
    typer.echo(
        f"{entry.recorded_at:%Y-%m-%d %H:%M:%S.%f}Z {entry.shard}/{entry.seq} "
        f"{entry.actor} {entry.action}{on}: {entry.outcome}{where}"
    )


def _connect(env_file: Path) -> Kit:
    from authkit.kit import connect
    from authkit.settings import Settings

    return connect(Settings.load(env_file))


def _read_checkpoints(
    file: Path | None, public_key: Path | None
) -> tuple[Checkpoint, ...]:
    from authkit.crypto import VerifyKey
    from authkit.relational.checkpoint_log import read_file

    if file is None or public_key is None:
        return ()
    return read_file(file, VerifyKey.from_pem(_read(public_key)))


def _read_history(file: Path | None) -> dict[int, int] | None:
    from authkit.cluster.timelines import parse_history

    return None if file is None else parse_history(_read(file).decode())


def _read(file: Path) -> bytes:
    from authkit.errors import InvalidInput

    try:
        return file.read_bytes()
    except OSError as exc:
        raise InvalidInput(f"cannot read {file}: {exc.strerror}") from exc


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if moment is None else moment.replace(tzinfo=UTC)
