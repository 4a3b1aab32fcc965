"""Faults on the way to a laboratory's nodes, and a second primary among them."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from authkit.lab.proxy import Proxy

if TYPE_CHECKING:
    from authkit.lab import Lab


def port_of(url: str) -> int:
    """Return the port that a laboratory's URL names.

    Raises:
        LookupError: it names none.
    """
    port = urlsplit(url).port
    if port is None:
        raise LookupError("a laboratory's URL names its port")
    return port


class Proxies:
    """A proxy before every node, which can do the way harm."""

    def __init__(self) -> None:
        self._proxies: dict[str, Proxy] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def lead(self, node: str, port: int) -> None:
        """Start the proxy that leads to a node."""
        self._proxies[node] = self._stack.enter_context(Proxy(port))

    def url(self, node: str, url: str) -> str:
        """Return a node's URL by way of its proxy."""
        return url.replace(f":{port_of(url)}/", f":{self._proxies[node].port}/")

    def blackhole(self, node: str) -> None:
        """Deliver nothing any more; connections stay open."""
        self._proxies[node].blackhole()

    def refuse(self, node: str) -> None:
        """Break every connection and refuse new ones."""
        self._proxies[node].refuse()

    def delay(self, node: str, seconds: float) -> None:
        """Deliver everything later, in both directions."""
        self._proxies[node].delay(seconds)

    def heal(self, node: str) -> None:
        """Be a plain way again; what a blackhole held is delivered."""
        self._proxies[node].heal()


class LabImpostors:
    """A replica of the embedded lab that believes to be the primary.

    Args:
        lab: the running lab.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def impersonate(self, node: str) -> None:
        """Have a replica be a primary without a promotion: it begins no timeline."""
        self._lab.stop(node)
        (self._lab.server(node).data / "standby.signal").unlink()
        self._lab.start(node)

    def restore(self, node: str) -> None:
        """Make it a replica again, from a fresh copy of the primary."""
        server, primary = self._lab.server(node), self._lab.server("primary")
        server.kill()
        server.clone(primary)
        server.configure(upstream=primary)
        server.start()
        self._lab.rejoin(node)
