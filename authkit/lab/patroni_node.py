"""One node of a Patroni lab: its files and its processes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from authkit.lab import memory, patroni_processes
from authkit.lab.account import Account
from authkit.lab.endpoint import Endpoint
from authkit.lab.patroni_configuration import Ports, node_configuration
from authkit.lab.processes import Process, alive, identify
from authkit.lab.programs import Programs
from authkit.lab.replication import wait_until

_STOP_S = 90.0


class PatroniNode:
    """A Patroni, and the PostgreSQL that it runs.

    Args:
        name: of the node.
        folder: of the lab, which is its scope.
        ports: of every node.
        etcd_port: where the configuration store is.
        who: runs it.
        tools: PostgreSQL's programs.
        password: of the superuser.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        ports: Mapping[str, Ports],
        etcd_port: int,
        who: Account,
        tools: Programs,
        password: str,
    ) -> None:
        self.name = name
        self.endpoint = Endpoint(name, ports[name].postgres, password)
        self.api = ports[name].api
        self.log = folder / f"{name}.log"
        self._home = folder / name
        self._data = self._home / "data"
        self._file = folder / f"{name}.yml"
        self._who = who
        self._text = node_configuration(
            scope=folder.name,
            node=name,
            ports=ports,
            etcd_port=etcd_port,
            home=self._home,
            programs=tools,
            password=password,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: tuple[Process, ...] = ()

    @property
    def patroni(self) -> subprocess.Popen[bytes] | None:
        """Its Patroni, while that runs."""
        process = self._process
        return process if process is not None and process.poll() is None else None

    @property
    def answers(self) -> bool:
        """Whether it is worth asking."""
        return self.patroni is not None and not self._frozen

    def prepare(self) -> None:
        """Make its folder and its configuration."""
        self._home.mkdir()
        self._who.own(self._home, 0o700)
        self._file.write_text(self._text, encoding="utf-8")
        self._who.own(self._file, 0o600)

    def start(self) -> None:
        """Start its Patroni; one that runs stays as it is."""
        if self.patroni is not None:
            return
        if patroni_processes.postmaster_of(self._data) is None:
            memory.forget(self._data)
        command, environment = patroni_processes.patroni_program(self._who)
        with self.log.open("ab") as log:
            self._process = self._who.spawn(
                [*command, self._file],
                home=self._home,
                environment=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Let Patroni hand the lead over and stop PostgreSQL."""
        process = self.patroni
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_S)

    def freeze(self) -> int:
        """Stop (SIGSTOP) every process."""
        self._frozen = patroni_processes.with_children(self._roots())
        return patroni_processes.signal_all(self._frozen, signal.SIGSTOP)

    def thaw(self) -> int:
        """Let a frozen node go on."""
        frozen, self._frozen = self._frozen, ()
        return patroni_processes.signal_all(frozen, signal.SIGCONT)

    def kill(self, *, patroni: bool = True) -> int:
        """Kill every process as a power cut would, or PostgreSQL's alone.

        Raises:
            LabError: one does not end.
        """
        process = self.patroni if patroni else None
        roots = self._roots(patroni=patroni)
        # Stopped first, so that nobody starts anything meanwhile.
        patroni_processes.signal_all(roots, signal.SIGSTOP)
        killed = patroni_processes.with_children(roots)
        patroni_processes.signal_all(killed, signal.SIGKILL)
        if process is not None:
            process.wait()
        wait_until(
            lambda: not any(alive(each) for each in killed),
            f"{self.name} does not end",
        )
        self._frozen = ()
        if patroni:
            memory.forget(self._data)
        return len(killed)

    def gone(self) -> None:
        """Take note that every process of it was ended."""
        if self._process is not None:
            self._process.wait()
        self._frozen = ()

    def _roots(self, *, patroni: bool = True) -> list[Process]:
        own = self.patroni if patroni else None
        first = None if own is None else identify(own.pid)
        server = patroni_processes.postmaster_of(self._data)
        return [process for process in (first, server) if process is not None]
