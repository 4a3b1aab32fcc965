"""What a drill needs of the servers that it hurts, and a laboratory as such.

Any engine that offers `Engine` can be drilled: the embedded lab, or Patroni. `Links` is
a further ability: faults on the way between clients and a node, through a proxy each.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from authkit.harness.drills.servers_links import Proxies, port_of
from authkit.settings import Settings


class Engine(Protocol):
    """A primary and its replicas, by name, and what can be done to them."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node."""
        ...

    @property
    def primary(self) -> str:
        """The node that was last made primary."""
        ...

    @property
    def replicas(self) -> tuple[str, ...]:
        """The nodes that follow it."""
        ...

    @property
    def synchronous(self) -> bool:
        """Whether an acknowledged write must survive a failover."""
        ...

    @property
    def decides(self) -> bool:
        """Whether the engine makes a replica of an old primary by itself."""
        ...

    def url(self, node: str) -> str:
        """Return where clients reach a node, password included."""
        ...

    def kill(self, node: str) -> object:
        """End every process of a node at once."""
        ...

    def stop(self, node: str, *, immediate: bool = False) -> object:
        """Shut a node down."""
        ...

    def start(self, node: str) -> object:
        """Start a node as what it was."""
        ...

    def freeze(self, node: str) -> object:
        """Stop every process of a node; its sockets stay."""
        ...

    def thaw(self, node: str) -> object:
        """Let a frozen node go on."""
        ...

    def promote(self, node: str | None = None, *, fence: bool = True) -> str:
        """Make a replica the primary, or wait until one is; return its name.

        Args:
            node: which one; None leaves the choice to the engine.
            fence: shut a running old primary down first.
        """
        ...

    def rejoin(self, node: str) -> object:
        """Bring a node back as a replica; return once it streams."""
        ...

    def wait_replayed(self) -> object:
        """Wait until every replica has replayed what is written now."""
        ...


class Servers(Engine, Protocol):
    """An engine as clients and a drill reach it."""

    def admin_url(self, node: str) -> str:
        """Return where the drill reaches it, whatever the clients' way suffers."""
        ...

    def env(self) -> dict[str, str]:
        """Return DATABASE_URL and DATABASE_REPLICA_URLS for clients."""
        ...


class Links(Protocol):
    """Faults on the way between the clients and a node."""

    def blackhole(self, node: str) -> None:
        """Deliver nothing any more; connections stay open."""
        ...

    def refuse(self, node: str) -> None:
        """Break every connection and refuse new ones."""
        ...

    def delay(self, node: str, seconds: float) -> None:
        """Deliver everything later, in both directions."""
        ...

    def heal(self, node: str) -> None:
        """Be a plain way again."""
        ...


class Impostors(Protocol):
    """A second primary on the timeline of the first."""

    def impersonate(self, node: str) -> None:
        """Have a replica be a primary without a promotion: it begins no timeline."""
        ...

    def restore(self, node: str) -> None:
        """Make it a replica again, from a fresh copy of the primary."""
        ...


def settings_of(servers: Servers, *, epoch_file: Path | None = None) -> Settings:
    """Return the settings of clients of these servers.

    Args:
        servers: what they reach.
        epoch_file: where the highest timeline that they saw outlives them.
    """
    env = servers.env()
    return Settings.load(
        None,
        database_url=env["DATABASE_URL"],
        database_replica_urls=env["DATABASE_REPLICA_URLS"],
        authkit_epoch_file=epoch_file,
    )


class LabServers:
    """A laboratory; clients reach its nodes through proxies where these are asked.

    Args:
        lab: the running one, of either engine.
        proxied: put a proxy before every node, so that `links` is there.
        kill: how a node is killed; default: as the laboratory does.
    """

    def __init__(
        self,
        lab: Engine,
        *,
        proxied: bool = False,
        kill: Callable[[str], object] | None = None,
    ) -> None:
        self.lab = lab
        self.links = Proxies() if proxied else None
        self._kill = kill or lab.kill
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self.links is not None:
            self._stack.enter_context(self.links)
            for name in self.lab.nodes:
                self.links.lead(name, port_of(self.lab.url(name)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node."""
        return self.lab.nodes

    @property
    def primary(self) -> str:
        """The node that was last made primary."""
        return self.lab.primary

    @property
    def replicas(self) -> tuple[str, ...]:
        """The nodes that follow it."""
        return self.lab.replicas

    @property
    def synchronous(self) -> bool:
        """Whether commits wait for a replica."""
        return self.lab.synchronous

    @property
    def decides(self) -> bool:
        """Whether the engine makes a replica of an old primary by itself."""
        return self.lab.decides

    def url(self, node: str) -> str:
        """Return where clients reach a node, password included."""
        url = self.lab.url(node)
        return url if self.links is None else self.links.url(node, url)

    def admin_url(self, node: str) -> str:
        """Return where the drill reaches it."""
        return self.lab.url(node)

    def env(self) -> dict[str, str]:
        """Return DATABASE_URL and DATABASE_REPLICA_URLS for clients."""
        primary = self.primary
        others = [self.url(name) for name in self.nodes if name != primary]
        return {
            "DATABASE_URL": self.url(primary),
            "DATABASE_REPLICA_URLS": ",".join(others),
        }

    def kill(self, node: str) -> None:
        """End every process of a node at once."""
        self._kill(node)

    def stop(self, node: str, *, immediate: bool = False) -> None:
        """Shut a node down."""
        self.lab.stop(node, immediate=immediate)

    def start(self, node: str) -> None:
        """Start a node as what it was."""
        self.lab.start(node)

    def freeze(self, node: str) -> None:
        """Stop every process of a node; its sockets stay."""
        self.lab.freeze(node)

    def thaw(self, node: str) -> None:
        """Let a frozen node go on."""
        self.lab.thaw(node)

    def promote(self, node: str | None = None, *, fence: bool = True) -> str:
        """Make a replica the primary; return its name."""
        return self.lab.promote(node, fence=fence)

    def rejoin(self, node: str) -> None:
        """Bring a node back as a replica; return once it streams."""
        self.lab.rejoin(node)

    def wait_replayed(self) -> None:
        """Wait until every replica has replayed what is written now."""
        self.lab.wait_replayed()
