"""Where an analysis should read: beside the traffic, if there is such a place."""

from __future__ import annotations

from authkit.cluster import Topology
from authkit.cluster.credentials import login_urls
from authkit.cluster.target import targets
from authkit.errors import NoPrimary
from authkit.settings import Settings


def url_for_reading(settings: Settings, topology: Topology) -> str:
    """Return the URL of a replica, else of the primary, else the first; a secret."""
    named = _named(settings)
    preferred = [node.name for node in topology.replicas if node.usable]
    if topology.primary is not None:
        preferred.append(topology.primary.name)
    for name in preferred:
        if name in named:
            return named[name]
    return next(iter(named.values()))


def url_for_writing(settings: Settings, topology: Topology) -> str:
    """Return the URL of the primary; a secret.

    Raises:
        NoPrimary: no node is known to be it.
    """
    named = _named(settings)
    if topology.primary is None or topology.primary.name not in named:
        raise NoPrimary("no node is known to be the primary")
    return named[topology.primary.name]


def _named(settings: Settings) -> dict[str, str]:
    named: dict[str, str] = {}
    for url in login_urls(settings):
        for target in targets([url]):
            named[target.name] = url
    return named
