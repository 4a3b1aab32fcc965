"""The command line: parse, call, print. Rooms load when their command runs.

Exit codes: 0 done and every goal holds; 1 a goal or check does not hold; 2 bad input,
or a run that proves nothing; 130 ended by Ctrl-C, or as if by it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import typer

from authkit import __version__
from authkit.cli.extras import missing
from authkit.errors import AuthkitError, ConfigError

# One module per command; `app` is a group of commands, a function is one command.
_GROUPS = ("audit", "backup", "bench", "db", "export", "lab", "metrics", "rbac", "risk")
_COMMANDS = (
    "demo",
    "drill",
    "example",
    "fsck",
    "health",
    "ingest",
    "leakcheck",
    "load",
    "notebook",
)

app = typer.Typer(
    name="authkit",
    help="Operations toolkit and benchmark harness for authentication data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"authkit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Operate, load-test and analyse authentication data on PostgreSQL."""
    del version


def _mount() -> None:
    for name in _GROUPS:
        module = import_module(f"authkit.cli.{name}")
        app.add_typer(module.app, name=name)
    for name in _COMMANDS:
        module = import_module(f"authkit.cli.{name}")
        app.command(name)(getattr(module, name))


_mount()


def main() -> NoReturn:
    """Run the command line; a fault that the user can mend is one clear sentence."""
    try:
        app(standalone_mode=True)
    except ConfigError as exc:
        for problem in exc.problems:
            typer.secho(f"authkit: {problem}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except AuthkitError as exc:
        typer.secho(f"authkit: {exc}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "authkit":
            raise
        typer.secho(f"authkit: {missing(exc.name)}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("authkit: stopped", err=True)
        sys.exit(130)
    sys.exit(0)
