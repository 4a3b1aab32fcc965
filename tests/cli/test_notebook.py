from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from authkit.cli import notebook
from authkit.errors import InvalidInput
from authkit.settings import Settings

URL = "postgresql://a:secret@127.0.0.1:5432/x"


def no_settings() -> Settings:
    return Settings.load(env_file=None, database_url=None)


def test_the_notebooks_are_copied(tmp_path: Path):
    copied = notebook.copy_notebooks(tmp_path / "mine")
    names = {path.name for path in copied.iterdir()}
    assert names == {path.name for path in notebook.notebooks_dir().glob("*.ipynb")}
    assert "01_quickstart.ipynb" in names


def test_nobodys_work_is_written_over(tmp_path: Path):
    (tmp_path / "01_quickstart.ipynb").write_text("mine")
    notebook.copy_notebooks(tmp_path)
    assert (tmp_path / "01_quickstart.ipynb").read_text() == "mine"
    assert (tmp_path / "04_audit_trail.ipynb").is_file()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        notebook.copy_notebooks(tmp_path / "taken")


def test_the_kernel_is_this_interpreter(tmp_path: Path):
    notebook.write_kernel(tmp_path)
    described = json.loads((tmp_path / "kernels/python3/kernel.json").read_text())
    assert described["argv"][0] == sys.executable
    assert "{connection_file}" in described["argv"]


def test_our_kernel_goes_before_those_of_the_user(tmp_path: Path):
    made = notebook.kernel_environment(
        tmp_path, no_settings(), {"JUPYTER_PATH": "/theirs", "HOME": "/h"}
    )
    assert made["JUPYTER_PATH"].split(os.pathsep) == [str(tmp_path), "/theirs"]
    assert made["HOME"] == "/h"


def test_kernels_get_the_nodes_of_the_settings(tmp_path: Path):
    settings = Settings.load(env_file=None, database_url=URL)
    made = notebook.kernel_environment(tmp_path, settings, {})
    assert made["DATABASE_URL"] == URL


def test_jupyterlab_listens_on_loopback_only(tmp_path: Path):
    command = notebook.jupyter_command(tmp_path, port=None, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "--no-browser" in command
    assert URL not in " ".join(command)


def test_a_taken_port_is_named():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port {port} is taken"):
            notebook.see_free(port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url: str, deadline: float, child: subprocess.Popen[bytes]) -> bytes:
    """Ask until there is an answer."""
    while True:
        assert child.poll() is None, "JupyterLab ended by itself"
        assert time.monotonic() < deadline, f"no answer from {url}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 # http
                return answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            continue


@pytest.mark.slow
def test_jupyterlab_opens_with_our_kernel_and_ends_when_told(tmp_path: Path):
    port = free_port()
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "authkit",
            "notebook",
            "--no-browser",
            "--port",
            str(port),
            "--dir",
            str(tmp_path / "mine"),
        ],
        env={
            **os.environ,
            "JUPYTER_TOKEN": "token",
            "JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"),
        },
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            base = f"http://127.0.0.1:{port}/api"
            deadline = time.monotonic() + 90
            answer = ask(f"{base}/kernelspecs?token=token", deadline, child)
            spec = json.loads(answer)["kernelspecs"]["python3"]["spec"]
            listed = json.loads(ask(f"{base}/contents?token=token", deadline, child))
        finally:
            child.send_signal(signal.SIGTERM)
        child.wait(timeout=60)
    assert spec["argv"][0] == sys.executable
    assert spec["display_name"] == "Python 3 (authkit)"
    assert "01_quickstart.ipynb" in {entry["name"] for entry in listed["content"]}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
