"""Where an analysis should read: beside the traffic, if there is such a place."""

from __future__ import annotations

from authkit.cluster import Topology
from authkit.cluster.credentials import password_of
from authkit.cluster.target import Target, targets
from authkit.errors import NoPrimary
from authkit.settings import Settings


def url_for_reading(settings: Settings, topology: Topology) -> str:
    """Return how to connect to a replica, else the primary, else the first; a secret.

    Raises:
        Unavailable: the password command failed.
    """
    named = _named(settings)
    preferred = [node.name for node in topology.replicas if node.usable]
    if topology.primary is not None:
        preferred.append(topology.primary.name)
    found = next((named[name] for name in preferred if name in named), None)
    return _conninfo(found or next(iter(named.values())))


def url_for_writing(settings: Settings, topology: Topology) -> str:
    """Return how to connect to the primary; a secret.

    Raises:
        NoPrimary: no node is known to be it.
        Unavailable: the password command failed.
    """
    named = _named(settings)
    if topology.primary is None or topology.primary.name not in named:
        raise NoPrimary("no node is known to be the primary")
    return _conninfo(named[topology.primary.name])


def _named(settings: Settings) -> dict[str, Target]:
    """Return the nodes by the names that the cluster knows them by."""
    nodes = targets(
        (url.get_secret_value() for url in settings.urls),
        password=password_of(settings),
    )
    return {node.name: node for node in nodes}


def _conninfo(node: Target) -> str:
    return node.conninfo(node.ask_password())
