"""The configuration store of a Patroni lab: one etcd."""

from __future__ import annotations

import subprocess
from http import HTTPStatus
from pathlib import Path

from authkit.lab.account import Account
from authkit.lab.patroni_configuration import etcd_arguments
from authkit.lab.patroni_processes import etcd_program
from authkit.lab.patroni_status import ask
from authkit.lab.replication import wait_until


class Store:
    """An etcd that keeps what it knows while it is down.

    Args:
        folder: of its own.
        port: where it answers.
        who: runs it.
    """

    def __init__(self, folder: Path, port: int, who: Account) -> None:
        self._folder = folder
        self._port = port
        self._who = who
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return once it answers.

        Raises:
            LabError: it is not installed, or does not answer in time.
        """
        self._folder.mkdir(exist_ok=True)
        self._who.own(self._folder, 0o700)
        self._process = self._who.spawn(
            etcd_arguments(self._folder, self._port, etcd_program()),
            home=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: ask(self._port, "/health") == HTTPStatus.OK,
            "etcd did not start",
            timeout_s=30.0,
            every_s=0.1,
        )

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self.gone()

    def gone(self) -> None:
        """Take note that it was ended."""
        if self._process is not None:
            self._process.wait()
            self._process = None
