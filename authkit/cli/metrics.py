"""`authkit metrics`: what is watched, served for Prometheus; and the alerts for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Serve metrics, liveness and readiness; print alerts.", no_args_is_help=True
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
