"""What a drill asks the servers themselves, past whatever the clients' way suffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from authkit.harness.drills.ledger import COUNTS, LATE, TABLE

if TYPE_CHECKING:
    from authkit.harness.drills.servers import Servers

_OPTIONS = "-c statement_timeout=20000 -c application_name=authkit-drill"
_TIMELINE: LiteralString = """
SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
"""
_HELD: LiteralString = """
SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* held */'
AND pid <> pg_backend_pid()
"""
# A commit that waits for a standby is not seen by anybody; cancelled, it stands.
_UNVEIL: LiteralString = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
"""
_WAITING: LiteralString = """
SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'
"""


class Inspection:
    """Questions to the nodes, each on a connection of its own."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def prepare(self) -> None:
        """Make the table of the drill's writes."""
        node = self._servers.primary
        with psycopg.connect(self._servers.admin_url(node), options=_OPTIONS) as admin:
            admin.execute(TABLE)
        self._servers.wait_replayed()

    def timeline(self, node: str) -> int:
        """Return the timeline of a primary."""
        return int(self._ask(node, _TIMELINE)[0][0])

    def counts(self, first: int) -> dict[int, int]:
        """Return how often each number, from the first on, is on the primary."""
        return dict(self._ask(self._servers.primary, COUNTS, (first,)))

    def late(self, node: str, first: int) -> frozenset[int]:
        """Return the numbers that were written when the epoch was known to be later."""
        return frozenset(number for (number,) in self._ask(node, LATE, (first,)))

    def holds(self, node: str) -> bool:
        """Whether somebody is in a long statement on a node."""
        return bool(self._ask(node, _HELD))

    def unveil(self, node: str) -> None:
        """Let commits stand that wait for a standby which will not come."""
        self._ask(node, _UNVEIL)

    def waits(self, node: str) -> bool:
        """Whether a commit waits for a standby."""
        return bool(self._ask(node, _WAITING))

    def _ask(
        self,
        node: str,
        sql: LiteralString,
        parameters: tuple[Any, ...] | None = None,
    ) -> list[tuple[Any, ...]]:
        with psycopg.connect(
            self._servers.admin_url(node),
            autocommit=True,
            options=_OPTIONS,
            connect_timeout=5,
        ) as admin:
            return admin.execute(sql, parameters).fetchall()
