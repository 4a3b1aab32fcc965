"""Patroni as the engine of a lab: real nodes, an etcd, and nobody but them decides.

There run on loopback one etcd and, per node, a Patroni with its PostgreSQL. Who leads
is what Patroni says. `patroni_starting` brings one up.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from authkit.errors import LabError
from authkit.lab import (
    account,
    patroni_processes,
    places,
    programs,
    replication,
)  # fmt: skip
from authkit.lab.configuration import DATABASE, SUPERUSER
from authkit.lab.failover import Rejoined
from authkit.lab.lab import Progress, silent
from authkit.lab.looking import LabStatus
from authkit.lab.patroni_node import PatroniNode
from authkit.lab.patroni_state import PatroniState
from authkit.lab.patroni_status import Member, ask, candidates, members, post
from authkit.lab.patroni_store import Store

# The configuration store among the nodes, where something is done to one.
STORE = "etcd"
_START_S = 120.0
_FAILOVER_S = 90.0


class PatroniLab:
    """A running Patroni cluster; `patroni_cluster` starts one.

    Node names are `node1`, `node2` and so on. It has what drills ask of servers, and a
    `store` (etcd), without which no leader may go on, and none be elected.
    """

    def __init__(self, folder: Path, known: PatroniState) -> None:
        who = account.by_name(known.account)
        tools = programs.Programs.recorded(known.bindir, known.version)
        self.folder = folder
        self.name = folder.name
        self.version = known.version
        self.state = known
        self.store = Store(folder / STORE, known.store, who)
        # The node that was hurt last: a leader that will not answer a switchover.
        self._hurt: str | None = None
        self._nodes = {
            name: PatroniNode(
                name, folder, known.scope, known.nodes, known.store, who, tools,
                known.password,
            )
            for name in known.nodes
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<PatroniLab {self.name}>"

    # --- what it is -----------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node."""
        return tuple(self._nodes)

    @property
    def synchronous(self) -> bool:
        """Commits wait for a standby, which alone may be promoted."""
        return True

    @property
    def decides(self) -> bool:
        """Patroni rewinds an old primary and makes it a replica as soon as it can."""
        return True

    def members(self) -> tuple[Member, ...]:
        """Return what Patroni says of its nodes.

        Raises:
            LabError: no Patroni answers.
        """
        for node in self._nodes.values():
            if node.answers and (found := members(node.api)) is not None:
                return found
        raise LabError(f"no Patroni of {self.name} answers")

    @property
    def primary(self) -> str:
        """The node that leads; where none does, whoever comes to.

        Raises:
            LabError: none does, in time.
        """
        _wait(
            lambda: self._leader() is not None, f"{self.name} has no leader",
            timeout_s=_FAILOVER_S,
        )  # fmt: skip
        return self._leader() or self.primary

    @property
    def replicas(self) -> tuple[str, ...]:
        """The nodes that follow."""
        return tuple(m.name for m in self.members() if not m.leads)

    def url(self, node: str) -> str:
        """Return the URL of a node, password included."""
        secret = quote(self.state.password, safe="")
        port = self._node(node).endpoint.port
        return f"postgresql://{SUPERUSER}:{secret}@{places.HOST}:{port}/{DATABASE}"

    def env(self) -> dict[str, str]:
        """Return DATABASE_URL and DATABASE_REPLICA_URLS; roles are discovered."""
        primary = self.primary
        others = [self.url(name) for name in self.nodes if name != primary]
        return {
            "DATABASE_URL": self.url(primary),
            "DATABASE_REPLICA_URLS": ",".join(others),
        }

    def status(self) -> LabStatus:
        """Look at every node; never waits for one that does not answer."""
        from authkit.lab.patroni_looking import look

        return look(self)

    def logs(self, node: str = "primary", *, lines: int | None = None) -> str:
        """Return what a node's Patroni and PostgreSQL have said, or the last of it."""
        log = self.store.log if node == STORE else self._node(node).log
        said = log.read_text(encoding="utf-8", errors="replace")
        return said if lines is None else "\n".join(said.splitlines()[-lines:])

    def psql_command(self, node: str = "primary") -> tuple[list[str], dict[str, str]]:
        """Return the psql command of a node and the variables it needs."""
        chosen = self._node(node)
        return [str(chosen.programs.path("psql"))], chosen.endpoint.variables()

    def condition_of(self, node: str) -> str:
        """Return what the processes of a node, or of the store, say of it."""
        return (self.store if node == STORE else self._nodes[node]).condition

    def electable(self) -> bool:
        """Whether a synchronous standby is there to be promoted."""
        leader = self._leader()
        named = () if leader is None else candidates(self._nodes[leader].api)
        return any(self._answers(name, "/synchronous") for name in named)

    # --- what can be done to it -------------------------------------------------------

    def kill(self, node: str = "primary") -> int:
        """Kill Patroni and PostgreSQL of a node, as a power cut would; or the store."""
        if node == STORE:
            return self.store.kill()
        chosen = self._node(node)
        self._hurt = chosen.name
        return chosen.kill()

    def kill_postgres(self, node: str = "primary") -> int:
        """Kill PostgreSQL of a node alone; its Patroni gives the lead away."""
        chosen = self._node(node)
        self._hurt = chosen.name
        return chosen.kill(patroni=False)

    def stop(self, node: str = "primary", *, immediate: bool = False) -> None:
        """Shut a node down: Patroni hands the lead over, then stops PostgreSQL."""
        if immediate or node == STORE:
            self.kill(node)
        else:
            self._node(node).stop()

    def start(self, node: str) -> None:
        """Start a node's Patroni, which decides what the node becomes; or the store."""
        if node == STORE:
            self.store.start()
            return
        self._hurt = None
        self._node(node).start()

    def freeze(self, node: str = "primary") -> int:
        """Stop (SIGSTOP) Patroni and PostgreSQL of a node, or the store."""
        if node == STORE:
            return self.store.freeze()
        chosen = self._node(node)
        self._hurt = chosen.name
        return chosen.freeze()

    def thaw(self, node: str) -> int:
        """Let what is frozen go on."""
        return self.store.thaw() if node == STORE else self._node(node).thaw()

    def promote(self, node: str | None = None, *, fence: bool = True) -> str:
        """Switch over, or where the leader is gone wait until Patroni has another.

        Args:
            node: the candidate; None: Patroni's choice.
            fence: without meaning here: Patroni demotes whoever lost the lead.

        Raises:
            LabError: no other node leads in time, or Patroni refuses.
        """
        del fence
        candidate = {} if node is None else {"candidate": self._node(node).name}
        old = self._leader() or self._hurt
        # Who was hurt may be said to lead until its key has expired.
        if old is not None and old != self._hurt and self._nodes[old].answers:
            post(self._nodes[old].api, "/switchover", {"leader": old, **candidate})
        _wait(
            lambda: self._leader() not in {None, old} and self._accepts_writes(),
            f"no other node of {self.name} came to lead",
            timeout_s=_FAILOVER_S,
        )
        return self.primary

    def rejoin(self, node: str, *, progress: Progress = silent) -> Rejoined:
        """Bring a node back and wait until it streams, which Patroni sees to.

        Raises:
            LabError: it does not, in time.
        """
        began = monotonic()
        self.thaw(node)
        self.start(node)
        progress(f"Waiting until {node} streams")
        _wait(
            lambda: any(m.name == node and m.streams for m in self._said()),
            f"{node} did not come back to stream",
            timeout_s=_START_S,
        )
        self.wait_electable()
        return Rejoined(node, "Patroni", monotonic() - began)

    def wait_replayed(self) -> None:
        """Wait until every replica has replayed what is written now."""
        replication.wait_replayed(
            self._nodes[self.primary].endpoint,
            [self._nodes[m.name].endpoint for m in self.members() if m.streams],
        )

    def wait_electable(self, *, timeout_s: float = _START_S) -> None:
        """Wait until a synchronous standby is there to be promoted.

        Before it is, the loss of the leader is the loss of the service.

        Raises:
            LabError: none is, in time.
        """
        _wait(
            self.electable,
            f"no synchronous standby of {self.name} came to be electable",
            timeout_s=timeout_s,
        )

    # --- life -------------------------------------------------------------------------

    def up(self, progress: Progress = silent) -> None:
        """Start etcd and every node, and wait until one could lose its leader."""
        progress("Starting etcd")
        self.store.start()
        for node in self._nodes.values():
            progress(f"Starting {node.name}")
            node.prepare()
            node.start()
            # The first makes the cluster; who comes later finds its times set.
            _wait(
                self._accepts_writes, f"{node.name} did not come up",
                timeout_s=_START_S,
            )  # fmt: skip
        self._nodes[self.primary].endpoint.query("CREATE DATABASE authkit")
        progress("Waiting until a synchronous standby is electable")
        _wait(
            lambda: sum(m.streams for m in self._said()) == len(self.nodes) - 1,
            "not every replica came to stream",
            timeout_s=_START_S,
        )
        self.wait_electable()
        self.wait_replayed()

    def down(self) -> None:
        """End every process and remove the folder.

        Raises:
            LabError: one does not end.
        """
        patroni_processes.remove(self.folder, self.state.scope)

    def _node(self, name: str) -> PatroniNode:
        """Return a node by name, or by its role while only one has it."""
        if name == "primary":
            leader = self._leader()
            if leader is None:
                raise LabError(f"{self.name} has no leader now: name a node")
            return self._nodes[leader]
        if name == "replica":
            following = self.replicas
            if len(following) == 1:
                return self._nodes[following[0]]
            raise LabError(f"{self.name} has {len(following)} replicas: name a node")
        if name not in self._nodes:
            known = ", ".join((*self._nodes, STORE))
            raise LabError(f"lab {self.name} has no node {name!r}: it has {known}")
        return self._nodes[name]

    def _said(self) -> tuple[Member, ...]:
        try:
            return self.members()
        except LabError:
            return ()

    def _leader(self) -> str | None:
        return next((m.name for m in self._said() if m.leads), None)

    def _accepts_writes(self) -> bool:
        leader = self._leader()
        return leader is not None and self._answers(leader, "/primary")

    def _answers(self, node: str, path: str) -> bool:
        return ask(self._nodes[node].api, path) == HTTPStatus.OK


def _wait(
    condition: Callable[[], bool], otherwise: str, *, timeout_s: float = 30.0
) -> None:
    # Each look is a request to a Patroni, which has better things to do.
    replication.wait_until(condition, otherwise, timeout_s=timeout_s, every_s=0.1)
