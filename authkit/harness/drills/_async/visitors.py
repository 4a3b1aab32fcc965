"""Users who read what they wrote: each carries a token, from node to node."""

from __future__ import annotations

from time import monotonic

from authkit.cluster import AsyncCluster, AsyncNodeConnection, Intent, Role, Token
from authkit.errors import AuthkitError
from authkit.harness.drills.tally import READ, WRITE, Known, Tally, Users

PATIENCE_S = 10.0
# After so many writes somebody reads at once without the token, to show what it is for.
CONTROL = 0.3


class AsyncVisitors:
    """Visits of users, on one cluster, which they open and close.

    Args:
        cluster: not open yet.
        users: what each of them knows to be written.
        writes: the share of visits that write.
    """

    def __init__(self, cluster: AsyncCluster, users: Users, *, writes: float) -> None:
        self.cluster = cluster
        self._users = users
        self._writes = writes

    async def open(self) -> None:
        """Open the cluster; wait until every replica streams."""
        await self.cluster.open(wait=PATIENCE_S)
        await self.cluster.wait_for(replicas=1)

    async def close(self) -> None:
        """Close the cluster."""
        await self.cluster.close(timeout=1.0)

    async def visit(self, tally: Tally) -> None:
        """Visit until enough was read."""
        while self._users.wanted():
            user = self._users.draw()
            try:
                if self._users.chance() < self._writes:
                    await self._write(user, tally)
                else:
                    await self._read(user, tally)
            except AuthkitError as exc:
                tally.failed(exc)

    async def _write(self, user: int, tally: Tally) -> None:
        async def work(connection: AsyncNodeConnection) -> int:
            cursor = await connection.execute(WRITE, (user,))
            row = await cursor.fetchone()
            return 0 if row is None else int(row[0])

        value, token = await self.cluster.run_with_token(work, deadline=PATIENCE_S)
        if token is not None:
            self._users.wrote(user, Known(value, token))
            tally.writes += 1
        if self._users.chance() < CONTROL:
            found, _ = await self._look(user, None)
            tally.control(stale=found < value)

    async def _read(self, user: int, tally: Tally) -> None:
        known = self._users.known(user)
        self._users.reads()
        began = monotonic()
        found, by_replica = await self._look(user, known.token)
        seconds = monotonic() - began
        tally.read(seconds, stale=found < known.value, by_replica=by_replica)

    async def _look(self, user: int, after: Token | None) -> tuple[int, bool]:
        """Read a user's value, and whether a replica told it.

        As a transaction: a replica ends a query that stands in the way of replay, and
        what is lost by that is asked again.
        """

        async def work(connection: AsyncNodeConnection) -> tuple[int, bool]:
            cursor = await connection.execute(READ, (user,))
            row = await cursor.fetchone()
            found = 0 if row is None else int(row[0])
            return found, connection.node.role is Role.REPLICA

        return await self.cluster.run(
            work, intent=Intent.READ, after=after, deadline=PATIENCE_S
        )
