"""`authkit fsck`: does what must always hold in the data, hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from authkit.cli.showing import print_findings, progress


def fsck(
    session_cap: Annotated[
        int | None,
        typer.Option("--session-cap", min=1, help="Live sessions a user may have."),
    ] = None,
    pruned: Annotated[
        bool,
        typer.Option("--pruned", help="Old audit partitions were dropped on purpose."),
    ] = False,
    on_replica: Annotated[
        bool,
        typer.Option("--replica", help="Ask the first of DATABASE_REPLICA_URLS."),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option("--json", help="Write the figures there; - is standard output."),
    ] = None,
    env_file: Annotated[
        Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
    ] = Path(".env"),
) -> None:
    """Ask the data for every invariant, read-only; exit 1 when one is broken."""
    from datetime import UTC, datetime

    from authkit.cluster.credentials import login_urls
    from authkit.cluster.locate import writer_url
    from authkit.errors import InvalidInput
    from authkit.figures import Report
    from authkit.ops.connection import where
    from authkit.ops.fsck import check
    from authkit.settings import Settings

    settings = Settings.load(env_file)
    url = writer_url(settings)
    if on_replica:
        others = [other for other in login_urls(settings) if where(other) != where(url)]
        if not others:
            raise InvalidInput("DATABASE_REPLICA_URLS names no replica")
        url = others[0]
    started = datetime.now(UTC)
    with progress() as show:
        found = check(
            url,
            session_cap=session_cap,
            pruned=pruned,
            tell=show,
        )
    if to != "-":
        print_findings(found.findings)
        typer.echo(
            f"{len(found.held)} of {len(found.held) + len(found.violations)} invariants"
            f" hold on {found.where} ({'replica' if found.replica else 'primary'},"
            f" {found.seconds:.1f} s)."
        )
    if to is not None:
        Report(
            "fsck",
            started,
            found.seconds,
            found.figures,
            postgres=found.postgres,
            extra={
                "replica": found.replica,
                "violations": [v.finding.as_dict() for v in found.violations],
            },
        ).write_json(to)
    raise typer.Exit(0 if found.clean else 1)
