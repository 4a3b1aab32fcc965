"""The embedded cluster: a real PostgreSQL primary with streaming replicas on loopback.

`with authkit.lab.cluster(replicas=1) as lab:` starts one, hands it over and removes
it; `up` starts one that outlives the program, `find` and `labs` reach such labs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.lab.lab import Lab, NodeStatus
    from authkit.lab.starting import cluster, up

__all__ = ["Lab", "NodeStatus", "cluster", "up"]


def __getattr__(name: str) -> object:
    """Load the lab on first use: it brings psycopg with it."""
    from importlib import import_module

    homes = {"Lab": "lab", "NodeStatus": "lab", "cluster": "starting", "up": "starting"}
    if name not in homes:
        raise AttributeError(f"module 'authkit.lab' has no attribute {name!r}")
    return getattr(import_module(f"authkit.lab.{homes[name]}"), name)
