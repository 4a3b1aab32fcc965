"""`authkit notebook`: JupyterLab on the notebooks, with a kernel that works."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from authkit.cli.extras import want
from authkit.errors import ConfigError, InvalidInput
from authkit.settings import Settings

_FIRST = "01_quickstart.ipynb"
_HOST = "127.0.0.1"
_DEFAULT_PORT = 8888


def notebook(
    directory: Annotated[
        Path,
        typer.Option("--dir", help="Where the copies go; what is there is kept."),
    ] = Path("authkit-notebooks"),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; default: 8888 or the next free."),
    ] = None,
    browser: Annotated[
        bool, typer.Option(help="Open a browser; otherwise the URL is printed.")
    ] = True,
    env_file: Annotated[
        Path, typer.Option(help="File of settings for the kernels.")
    ] = Path(".env"),
) -> None:
    """Open JupyterLab on copies of the notebooks, with this installation as kernel.

    Without a DATABASE_URL each notebook starts a lab of its own.
    """
    want("jupyterlab")
    settings = Settings.load(env_file)
    if port is not None:
        see_free(port)
    target = copy_notebooks(directory)
    with tempfile.TemporaryDirectory(prefix="authkit-jupyter-") as kernels:
        write_kernel(Path(kernels))
        environment = kernel_environment(Path(kernels), settings, os.environ)
        typer.echo(f"The notebooks are in {target}; Ctrl-C ends JupyterLab.")
        code = _run(jupyter_command(target, port=port, browser=browser), environment)
    if code:
        raise typer.Exit(1)


def notebooks_dir() -> Path:
    """Return where the notebooks stand: in a checkout, or inside the package.

    Raises:
        ConfigError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "notebooks", package / "notebooks"):
        if (folder / _FIRST).is_file():
            return folder
    raise ConfigError(["the notebooks are not part of this installation"])


def copy_notebooks(directory: Path) -> Path:
    """Copy the notebooks that are not there yet; nobody's work is written over.

    Raises:
        InvalidInput: the folder cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for source in sorted(notebooks_dir().glob("*.ipynb")):
            target = directory / source.name
            if not target.exists():
                shutil.copyfile(source, target)
    except OSError as exc:
        raise InvalidInput(f"cannot write to {directory}: {exc.strerror}") from exc
    return directory.resolve()


def write_kernel(root: Path) -> None:
    """Describe this interpreter as the kernel `python3`.

    A kernel of that name that some other environment left in the user's folder would
    otherwise be the one that starts, without authkit in it.
    """
    folder = root / "kernels" / "python3"
    folder.mkdir(parents=True)
    described = {
        "argv": [
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": "Python 3 (authkit)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(described, indent=1) + "\n")


def kernel_environment(
    kernels: Path, settings: Settings, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of JupyterLab: its kernels, and the nodes of `.env`.

    Kernels run in the notebooks' folder, where that `.env` is not.
    """
    paths = [str(kernels), *filter(None, [inherited.get("JUPYTER_PATH")])]
    made = {**inherited, "JUPYTER_PATH": os.pathsep.join(paths)}
    if settings.database_url is not None:
        made["DATABASE_URL"] = settings.database_url.get_secret_value()
    if settings.database_replica_urls:
        made["DATABASE_REPLICA_URLS"] = ",".join(
            url.get_secret_value() for url in settings.database_replica_urls
        )
    for name in ("authkit_token_key", "authkit_sealing_keys"):
        secret = getattr(settings, name)
        if secret is not None:
            made[name.upper()] = secret.get_secret_value()
    return made


def jupyter_command(directory: Path, *, port: int | None, browser: bool) -> list[str]:
    """Return the command that starts JupyterLab on loopback only."""
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.ip={_HOST}",
        f"--ServerApp.root_dir={directory}",
        f"--LabApp.default_url=/lab/tree/{_FIRST}",
        f"--ServerApp.port={port or _DEFAULT_PORT}",
        # No question at Ctrl-C, no news, no query to a package index.
        "--ServerApp.answer_yes=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if port is not None:
        command.append("--ServerApp.port_retries=0")
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def see_free(port: int) -> None:
    """See that nobody listens on a port.

    Raises:
        InvalidInput: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as exc:
            raise InvalidInput(
                f"port {port} is taken: choose another with --port"
            ) from exc


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    with subprocess.Popen(command, env=dict(environment)) as child:

        def end(_number: int, _frame: object) -> None:
            child.terminate()

        # Whoever ends this program by SIGTERM means JupyterLab and its kernels too.
        before = signal.signal(signal.SIGTERM, end)
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The terminal told JupyterLab as well; it ends its kernels, then itself.
            return child.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
