"""The failover pool manager: writes to the primary, reads nearby, no unbounded wait.

`Cluster` for threads (and gevent), `AsyncCluster` for asyncio (and uvloop); the same
policy, written once.
"""

from __future__ import annotations

import logging

from authkit.cluster._async.cluster import AsyncCluster
from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.lease import AsyncLease
from authkit.cluster._sync.cluster import Cluster
from authkit.cluster._sync.connection import NodeConnection
from authkit.cluster._sync.lease import Lease
from authkit.cluster.attempt import Isolation
from authkit.cluster.breaker import BreakerState
from authkit.cluster.cadence import Cadence
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.keys import Resolution
from authkit.cluster.status import ClusterStatus, NodeStatus
from authkit.cluster.topology import Topology, Verdict
from authkit.cluster.views import Health, NodeView, Role

__all__ = [
    "AsyncCluster",
    "AsyncLease",
    "AsyncNodeConnection",
    "BreakerState",
    "Cadence",
    "Cluster",
    "ClusterStatus",
    "Health",
    "Intent",
    "Isolation",
    "Lease",
    "NodeConnection",
    "NodeStatus",
    "NodeView",
    "Resolution",
    "Role",
    "Token",
    "Topology",
    "Verdict",
]

# A library prints nothing unless its user asks for it; psycopg_pool has no handler of
# its own, and without one Python prints its warnings of every lost connection.
for _name in ("authkit", "psycopg.pool"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
