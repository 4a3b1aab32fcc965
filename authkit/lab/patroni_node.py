"""One node of a Patroni lab: its files and its processes."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import memory, patroni_processes
from authkit.lab.account import Account
from authkit.lab.endpoint import Endpoint
from authkit.lab.patroni_configuration import Ports, node_configuration
from authkit.lab.processes import Process, alive, end, stopped, with_children
from authkit.lab.programs import Programs
from authkit.lab.replication import wait_until

_STOP_S = 90.0


class PatroniNode:
    """A Patroni, and the PostgreSQL that it runs.

    Args:
        name: of the node.
        folder: of the lab.
        scope: the cluster's name.
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
        scope: str,
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
        self.programs = tools
        self._text = node_configuration(
            scope=scope,
            node=name,
            ports=ports,
            etcd_port=etcd_port,
            home=self._home,
            programs=tools,
            password=password,
        )
        self._process: Process | None = None

    @property
    def patroni(self) -> Process | None:
        """Its Patroni, while that runs, whichever program started it."""
        if not alive(self._process):
            self._process = patroni_processes.told("patroni", self._file)
        return self._process

    @property
    def answers(self) -> bool:
        """Whether it is worth asking."""
        process = self.patroni
        return process is not None and not stopped(process)

    @property
    def condition(self) -> str:
        """What its processes say: running, frozen or down, or which part is."""
        process = self.patroni
        server = patroni_processes.postmaster_of(self._data)
        if any(one is not None and stopped(one) for one in (process, server)):
            return "frozen"
        if process is None:
            return "down" if server is None else "without Patroni"
        return "running" if server is not None else "without PostgreSQL"

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
        self._process = self._who.launch(
            [*command, self._file],
            home=self._home,
            environment=environment,
            log=self.log,
        )

    def stop(self) -> None:
        """Let Patroni hand the lead over and stop PostgreSQL.

        Raises:
            LabError: it does not end.
        """
        self.thaw()
        if not end(self.patroni, signal.SIGTERM, wait_s=_STOP_S):
            raise LabError(f"{self.name} does not end within {_STOP_S:g} s")

    def freeze(self) -> int:
        """Stop (SIGSTOP) every process."""
        return patroni_processes.signal_all(self._all(), signal.SIGSTOP)

    def thaw(self) -> int:
        """Let a frozen node go on."""
        frozen = [process for process in self._all() if stopped(process)]
        return patroni_processes.signal_all(frozen, signal.SIGCONT)

    def kill(self, *, patroni: bool = True) -> int:
        """Kill every process as a power cut would, or PostgreSQL's alone.

        Raises:
            LabError: one does not end.
        """
        roots = self._roots(patroni=patroni)
        # Stopped first, so that nobody starts anything meanwhile.
        patroni_processes.signal_all(roots, signal.SIGSTOP)
        killed = with_children(roots)
        patroni_processes.signal_all(killed, signal.SIGKILL)
        wait_until(
            lambda: not any(alive(each) for each in killed),
            f"{self.name} does not end",
        )
        if patroni:
            memory.forget(self._data)
        return len(killed)

    def _all(self) -> tuple[Process, ...]:
        return with_children(self._roots())

    def _roots(self, *, patroni: bool = True) -> list[Process]:
        own = self.patroni if patroni else None
        server = patroni_processes.postmaster_of(self._data)
        return [process for process in (own, server) if process is not None]
