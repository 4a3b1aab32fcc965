"""`authkit metrics`: served for Prometheus; alerts and a dashboard printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Serve metrics, liveness and readiness; print alerts and a dashboard.",
    no_args_is_help=True,
)


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; others than loopback can read it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any.")] = 9187,
    env_file: Annotated[
        Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
    ] = Path(".env"),
) -> None:
    """Serve /metrics, /live and /ready of the cluster, until Ctrl-C."""
    from prometheus_client import CollectorRegistry

    import authkit
    from authkit.cluster.credentials import login_urls
    from authkit.ops.metrics.database import DatabaseCollector
    from authkit.ops.metrics.prometheus import Collector
    from authkit.ops.metrics.serving import MetricsServer
    from authkit.settings import Settings

    settings = Settings.load(env_file).require_database()
    with authkit.connect(settings) as kit:
        registry = CollectorRegistry()
        registry.register(Collector(kit))
        registry.register(DatabaseCollector(login_urls(settings)[-1]))
        with MetricsServer(registry, kit.health, host=host, port=port) as server:
            typer.echo(f"{server.url}/metrics, /live and /ready; Ctrl-C ends it.")
            server.serve_forever()


@app.command()
def alerts() -> None:
    """Print alerting rules for Prometheus over these metrics."""
    from authkit.ops.metrics import ALERTS

    typer.echo(ALERTS.read_text(encoding="utf-8"), nl=False)


@app.command()
def dashboard() -> None:
    """Print a dashboard for Grafana over these metrics, to be imported there."""
    import json

    from authkit.ops.metrics.dashboard import dashboard as made

    typer.echo(json.dumps(made(), indent=1))


@app.command()
def bench(
    pairs: Annotated[
        int, typer.Option(min=10, help="Pairs of blocks of a hundred operations.")
    ] = 300,
    to: Annotated[
        str | None,
        typer.Option("--json", help="Write the figures there; - is standard output."),
    ] = None,
) -> None:
    """Measure what counting adds to an operation, on a lab of its own."""
    import authkit
    from authkit import lab
    from authkit.cli.showing import print_figures, progress
    from authkit.ids import uuid7
    from authkit.ops.database import setup
    from authkit.ops.metrics.costing import cost
    from authkit.settings import Settings

    with lab.cluster(0, in_memory=True) as made:
        setup(made.url())
        settings = Settings.load(
            None, database_url=made.url(), database_replica_urls=""
        )
        nobody = uuid7()
        with authkit.connect(settings) as kit, progress() as show:
            report = cost(
                kit,
                lambda: kit.auth_cache.get(nobody),
                pairs=pairs,
                postgres=made.state.version,
                progress=show,
            )
    if to is not None:
        report.write_json(to)
    print_figures(report, err=to == "-")
    raise typer.Exit(report.exit_code)
