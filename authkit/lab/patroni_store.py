"""The configuration store of a Patroni lab: one etcd."""

from __future__ import annotations

import signal
from http import HTTPStatus
from pathlib import Path

from authkit.lab.account import Account
from authkit.lab.patroni_configuration import etcd_arguments
from authkit.lab.patroni_processes import etcd_program, signal_all, told
from authkit.lab.patroni_status import ask
from authkit.lab.processes import Process, end, stopped
from authkit.lab.replication import wait_until

_END_S = 10.0


class Store:
    """An etcd that keeps what it knows while it is down.

    Args:
        folder: of its own.
        port: where it answers.
        who: runs it.
    """

    def __init__(self, folder: Path, port: int, who: Account) -> None:
        self._folder = folder
        self.port = port
        self.log = folder.with_suffix(".log")
        self._who = who

    def start(self) -> None:
        """Start it; return once it answers.

        Raises:
            LabError: it is not installed, or does not answer in time.
        """
        if self._process() is None:
            self._folder.mkdir(exist_ok=True)
            self._who.own(self._folder, 0o700)
            self._who.launch(
                etcd_arguments(self._folder, self.port, etcd_program()),
                home=self._folder,
                log=self.log,
            )
        wait_until(
            lambda: ask(self.port, "/health") == HTTPStatus.OK,
            "etcd did not start",
            timeout_s=30.0,
            every_s=0.1,
        )

    def kill(self) -> int:
        """End it at once; return how many processes there were."""
        process = self._process()
        if process is None:
            return 0
        end(process, signal.SIGKILL, wait_s=_END_S)
        return 1

    @property
    def condition(self) -> str:
        """Whether it runs, is frozen, or down."""
        process = self._process()
        if process is None:
            return "down"
        return "frozen" if stopped(process) else "running"

    def freeze(self) -> int:
        """Stop (SIGSTOP) it."""
        return self._tell(signal.SIGSTOP)

    def thaw(self) -> int:
        """Let it go on."""
        return self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> int:
        process = self._process()
        return 0 if process is None else signal_all([process], number)

    def _process(self) -> Process | None:
        return told("--data-dir", self._folder / "data")
