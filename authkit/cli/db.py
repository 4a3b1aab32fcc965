"""`authkit db`: make, check, migrate and fill the database of DATABASE_URL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli.showing import (
    print_findings,
    print_maintained,
    print_setup,
    progress,
)

if TYPE_CHECKING:
    from authkit.settings import Settings

app = typer.Typer(
    help="Make, check, migrate and fill the database of DATABASE_URL.",
    no_args_is_help=True,
)

EnvFile = Annotated[
    Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the figures there; - is standard output."),
]
Named = Annotated[
    str | None,
    typer.Option("--database", help="Name of the database, where it is no lab's."),
]
Again = Annotated[
    str | None, typer.Option("--yes-really", help="The same name, once more.")
]
_ENV = Path(".env")


@app.command("test")
def accept(env_file: EnvFile = _ENV, to: Json = None) -> None:
    """Connect to every node, judge it, and take a row through its whole life."""
    from time import perf_counter

    from authkit.figures import Report
    from authkit.ops import acceptance

    settings = _settings(env_file)
    started, began = datetime.now(UTC), perf_counter()
    result = acceptance.accept(settings)
    if to != "-":
        print_findings(result.findings)
        typer.echo(
            "The database is fit for use."
            if result.passed
            else "The database is not fit for use: see the faults above."
        )
    if to is not None:
        Report(
            "db test",
            started,
            perf_counter() - began,
            result.figures,
            postgres=result.postgres,
            extra={"findings": [finding.as_dict() for finding in result.findings]},
        ).write_json(to)
    raise typer.Exit(0 if result.passed else 1)


@app.command()
def setup(
    create: Annotated[
        bool, typer.Option("--create", help="Create the database if it is missing.")
    ] = False,
    ahead_days: Annotated[
        int, typer.Option(min=0, max=365, help="Days of partitions to make ahead.")
    ] = 14,
    env_file: EnvFile = _ENV,
) -> None:
    """Migrate, make roles and partitions, seed reference data; safe to run twice."""
    from authkit.ops import database

    print_setup(
        database.setup(
            _url(_settings(env_file)),
            create=create,
            ahead=timedelta(days=ahead_days),
            say=lambda sentence: typer.echo(f"{sentence} ...", err=True),
        )
    )


@app.command()
def generate(
    message: Annotated[
        str, typer.Option("--message", "-m", help="What the revision does.")
    ],
    env_file: EnvFile = _ENV,
) -> None:
    """Write a revision with what differs between the code and the database."""
    from authkit.ops import migrate

    made = migrate.generate(_url(_settings(env_file)), message)
    if made is None:
        typer.echo("Nothing differs: no revision was written.")
    else:
        typer.echo(f"Wrote {made}. Read it before you commit it.")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="How far to go.")] = "head",
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL and run nothing.")
    ] = False,
    env_file: EnvFile = _ENV,
) -> None:
    """Migrate up to a revision, all of it or nothing."""
    from authkit.ops import migrate as migrations

    if as_sql:
        typer.echo(migrations.sql(revision))
        return
    state = migrations.upgrade(_url(_settings(env_file)), revision)
    typer.echo(f"The database is at revision {state.current}.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="How far; base removes all.")],
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL of a range FROM:TO.")
    ] = False,
    database: Named = None,
    yes_really: Again = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Migrate down: tables and their rows are lost, so a lab or named twice."""
    from authkit.ops import migrate as migrations
    from authkit.ops.connection import transaction
    from authkit.ops.guard import require_disposable

    if as_sql:
        typer.echo(migrations.sql(revision, down=True))
        return
    url = _url(_settings(env_file))
    with transaction(url) as connection:
        require_disposable(connection, database=database, again=yes_really)
    state = migrations.downgrade(url, revision)
    typer.echo(f"The database is at revision {state.current or 'base'}.")


@app.command()
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON to standard output.")
    ] = False,
    env_file: EnvFile = _ENV,
) -> None:
    """Show the revision, the partitions, the tables and their size."""
    from authkit.ops.connection import transaction
    from authkit.ops.findings import faults
    from authkit.ops.status import ENOUGH, database_status, judge

    with transaction(_url(_settings(env_file)), enough=ENOUGH) as connection:
        state = database_status(connection)
    findings = judge(state)
    if as_json:
        shown = {**state.as_dict(), "findings": [f.as_dict() for f in findings]}
        typer.echo(json.dumps(shown, indent=2, default=str))
    else:
        role = "replica" if state.is_replica else "primary"
        typer.echo(f"{state.database}: PostgreSQL {state.postgres}, {role}")
        print_findings(findings)
        for table in state.tables:
            rows = "?" if table.rows < 0 else f"{table.rows:,}"
            size = table.total_bytes / 1024
            typer.echo(f"  {table.name:<24} {rows:>14} rows {size:>12,.0f} KiB")
    raise typer.Exit(1 if faults(findings) else 0)


@app.command()
def validate(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON to standard output.")
    ] = False,
    env_file: EnvFile = _ENV,
) -> None:
    """Compare the live schema, its guards and its privileges with the code."""
    from authkit.ops.connection import transaction
    from authkit.ops.findings import faults
    from authkit.ops.status import ENOUGH
    from authkit.ops.validate import validate as compare

    with transaction(_url(_settings(env_file)), enough=ENOUGH) as connection:
        findings = compare(connection)
    if as_json:
        typer.echo(json.dumps([f.as_dict() for f in findings], indent=2))
    else:
        print_findings(findings)
    raise typer.Exit(1 if faults(findings) else 0)


@app.command()
def seed(
    users: Annotated[int, typer.Option(min=1, help="People with an account.")] = 1000,
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 30,
    seed: Annotated[
        int, typer.Option(help="Which world: the same seed, the same.")
    ] = 1,
    until: Annotated[
        datetime | None,
        typer.Option(help="Where the world ends (UTC); default: the last full hour."),
    ] = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Fill the database with a synthetic world, both layers; shows its progress.

    The counts of login scores are made from it too, so that logins are scored at once.
    """
    from authkit.cli import db_scores
    from authkit.ops.connection import transaction
    from authkit.ops.migrate import require_newest
    from authkit.risk import PastOnly
    from authkit.workload import load

    url = _url(_settings(env_file))
    with transaction(url) as connection:
        require_newest(connection)
    with progress() as show:
        summary = load.seed(
            url,
            users=users,
            days=days,
            seed=seed,
            progress=show,
            end=None if until is None else until.replace(tzinfo=UTC),
            score=PastOnly(),
        )
        db_scores.fill(url, summary.end, show)
    typer.echo(
        f"Seeded {summary.users:,} users, {summary.attempts:,} attempts"
        f" ({summary.attack_attempts:,} of them attacks), {summary.sessions:,} sessions"
        f" and {summary.audit_entries:,} audit entries in {summary.seconds:.1f} s."
    )


@app.command()
def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and count; change nothing.")
    ] = False,
    ahead_days: Annotated[
        int, typer.Option(min=0, max=365, help="Days of partitions to make ahead.")
    ] = 14,
    attempts_days: Annotated[
        int, typer.Option(min=1, help="Days for which attempts are kept.")
    ] = 90,
    records_days: Annotated[
        int, typer.Option(min=1, help="Days for which records of sessions are kept.")
    ] = 400,
    horizon_days: Annotated[
        int, typer.Option(min=1, help="Days that the counts of scores reach back.")
    ] = 182,
    to: Json = None,
    env_file: EnvFile = _ENV,
) -> None:
    """Make partitions ahead, drop old ones, purge what ended; run it daily.

    The counts of login scores forget what is older than their horizon.
    """
    from authkit.ops.maintain import Retention, report

    url = _url(_settings(env_file))
    with progress() as show:
        done, figures = report(
            url,
            retention_=Retention(
                attempts=timedelta(days=attempts_days),
                records=timedelta(days=records_days),
            ),
            ahead=timedelta(days=ahead_days),
            horizon=timedelta(days=horizon_days),
            dry_run=dry_run,
            progress=show,
        )
    if to != "-":
        print_maintained(done, dry_run=dry_run)
    if to is not None:
        figures.write_json(to)


@app.command()
def reset(
    database: Named = None, yes_really: Again = None, env_file: EnvFile = _ENV
) -> None:
    """Drop the schema with every row and set it up anew; a lab or named twice."""
    from authkit.ops import database as databases

    url = _url(_settings(env_file))
    print_setup(databases.reset(url, database=database, again=yes_really))


@app.command()
def clear(
    database: Named = None, yes_really: Again = None, env_file: EnvFile = _ENV
) -> None:
    """Remove every row and keep the tables; a lab or named twice."""
    from authkit.ops import database as databases

    url = _url(_settings(env_file))
    emptied = databases.clear(url, database=database, again=yes_really)
    typer.echo(f"Emptied {emptied} tables; roles and permissions are seeded anew.")


def _settings(env_file: Path) -> Settings:
    from authkit.settings import Settings

    return Settings.load(env_file).require_database()


def _url(settings: Settings) -> str:
    from authkit.cluster.locate import writer_url

    return writer_url(settings)
