"""`authkit export parquet`: attempts as files that other machines read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Write data for other machines and programs.", no_args_is_help=True
)


@app.callback()
def group() -> None:
    """Write data for other machines and programs."""


@app.command()
def parquet(
    to: Annotated[
        Path, typer.Option("--to", help="Folder; an export in it is gone on with.")
    ],
    since: Annotated[
        str, typer.Option(help="Where it begins: 30d, 12h, 2026-11-01.")
    ] = "30d",
    until: Annotated[str | None, typer.Option(help="Where it ends; now.")] = None,
    of: Annotated[str, typer.Option(help="attempts, scores or audit.")] = "attempts",
    clear: Annotated[
        bool,
        typer.Option("--clear", help="People and addresses in clear, if you may."),
    ] = False,
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
    """Write Parquet by year and month, sorted by time, with a manifest.

    Masked unless `--clear` is given. Run again, it writes the days
    in which rows came or were settled since.
    """
    from datetime import UTC, datetime
    from time import perf_counter

    import authkit
    from authkit.cli.showing import progress
    from authkit.figures import Report, figure
    from authkit.settings import Settings

    settings = Settings.load(env_file).require_database()
    started, began = datetime.now(UTC), perf_counter()
    with authkit.connect(settings) as kit, progress() as show:
        frames = kit.frames.clear if clear else kit.frames
        manifest = frames.export(
            to,
            since,
            until,
            name=of,
            progress=lambda done, whole: show("days", done, whole),
        )
    if json is not None:
        Report(
            "export parquet",
            started,
            perf_counter() - began,
            (
                figure("rows", manifest.rows),
                figure("files", len(manifest.parts)),
                figure("size", manifest.bytes, "bytes"),
            ),
            extra={"manifest": manifest.as_dict()},
        ).write_json(json)
