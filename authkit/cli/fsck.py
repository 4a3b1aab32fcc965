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
    from authkit.errors import InvalidInput
    from authkit.figures import Report
    from authkit.ops.fsck import check
    from authkit.settings import Settings

    urls = login_urls(Settings.load(env_file))
    if on_replica and len(urls) < 2:
        raise InvalidInput("DATABASE_REPLICA_URLS names no replica")
    started = datetime.now(UTC)
    with progress() as show:
        found = check(
            urls[1 if on_replica else 0],
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
