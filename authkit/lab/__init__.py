"""The embedded cluster: a real PostgreSQL primary with streaming replicas on loopback.

`with authkit.lab.cluster(replicas=1) as lab:` starts one, hands it over and removes
it; `up` starts one that outlives the program, `find` and `labs` reach such labs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.lab.failover import Rejoined
    from authkit.lab.lab import Lab
    from authkit.lab.looking import LabStatus, NodeStatus
    from authkit.lab.starting import cluster, find, labs, up

__all__ = [
    "Lab",
    "LabStatus",
    "NodeStatus",
    "Rejoined",
    "cluster",
    "find",
    "labs",
    "up",
]

_HOMES = {
    "Lab": "authkit.lab.lab",
    "LabStatus": "authkit.lab.looking",
    "NodeStatus": "authkit.lab.looking",
    "Rejoined": "authkit.lab.failover",
    "cluster": "authkit.lab.starting",
    "find": "authkit.lab.starting",
    "labs": "authkit.lab.starting",
    "up": "authkit.lab.starting",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use: the lab brings psycopg with it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'authkit.lab' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
