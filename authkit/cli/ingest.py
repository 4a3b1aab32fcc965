"""`authkit ingest`: logs of other systems as attempts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from authkit.analysis.ingest import IngestSummary

_SHOWN = 8


def ingest(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="openssh, csv, jsonl, keycloak, okta or rba."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The log; packed by gzip or not.")],
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that says which field is what.")
    ] = None,
    year: Annotated[
        int | None,
        typer.Option(
            min=1970,
            max=9999,
            help="Year in which the log begins; default: by the file's time.",
        ),
    ] = None,
    tz: Annotated[str, typer.Option(help="Time zone of the log's clock.")] = "UTC",
    source: Annotated[
        str | None,
        typer.Option(help="Name under which its rows are known; default: the format."),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="File for unreadable lines; default: FILE.rejects.jsonl."),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    env_file: Annotated[
        Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
    ] = Path(".env"),
) -> None:
    """Read a log into the database; reading it again changes nothing.

    Names are stored as keyed hashes, so AUTHKIT_TOKEN_KEY must be set. Lines that
    cannot be read go to a file of their own, in clear.
    """
    from datetime import UTC, datetime

    from authkit.analysis.ingest import ingest as read
    from authkit.analysis.ingest import opened
    from authkit.analysis.ingest.formats import reader_of
    from authkit.cli.showing import progress
    from authkit.cluster.locate import writer_url
    from authkit.kit.keys import keyed_hash
    from authkit.settings import Settings

    settings = Settings.load(env_file).require_database()
    started = datetime.now(UTC)
    hashing = keyed_hash(settings)
    reader, guessed = reader_of(
        form, file, mapping=mapping, year=year, zone=tz, now=started
    )
    if guessed is not None:
        typer.echo(
            f"The log names no year: by the time of the file it begins in {guessed};"
            " --year says otherwise.",
            err=True,
        )
    with opened(file) as log, progress() as show:
        summary = read(
            writer_url(settings),
            log.lines,
            reader,
            source=source or form,
            hashing=hashing,
            rejects=rejects or file.with_name(f"{file.name}.rejects.jsonl"),
            progress=lambda _line: show("bytes", log.place(), log.size),
        )
    _report(summary, started, json)


def _report(summary: IngestSummary, started: datetime, json: str | None) -> None:
    from authkit.figures import Report, figure

    speed = summary.lines / summary.seconds if summary.seconds else None
    if json != "-":
        typer.echo(
            f"{summary.lines:,} lines, {summary.attempts:,} attempts:"
            f" {summary.new:,} new, {summary.known:,} there before."
        )
        if summary.first is not None and summary.last is not None:
            typer.echo(
                f"From {summary.first:%Y-%m-%d %H:%M} to"
                f" {summary.last:%Y-%m-%d %H:%M} UTC."
            )
        for kind, count in list(summary.passed.items())[:_SHOWN]:
            typer.echo(f"  {count:>10,}  {kind}")
        if len(summary.passed) > _SHOWN:
            rest = sum(list(summary.passed.values())[_SHOWN:])
            typer.echo(f"  {rest:>10,}  of {len(summary.passed) - _SHOWN} other kinds")
        if summary.rejects is not None:
            typer.echo(
                f"{summary.rejected:,} could not be read: {summary.rejects} says why."
            )
    if json is not None:
        Report(
            "ingest",
            started,
            summary.seconds,
            (
                figure("lines", summary.lines),
                figure("attempts", summary.attempts),
                figure("new", summary.new),
                figure("known", summary.known),
                figure("rejected", summary.rejected),
                figure("speed", speed, "lines/s"),
            ),
            extra={"source": summary.source, "passed": summary.passed},
        ).write_json(json)
