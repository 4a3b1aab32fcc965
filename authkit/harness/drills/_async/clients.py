"""The clients of a drill: what an application does, every call noted in the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import LiteralString

from authkit.cluster import AsyncCluster, AsyncNodeConnection, Intent, Resolution
from authkit.cluster.events import Retried
from authkit.errors import AuthkitError, InDoubt
from authkit.harness.drills.ledger import INSERT, Call, Kind, Ledger, Outcome

# Longer than any failover takes: what fails has been given up, not merely waited for.
PATIENCE_S = 10.0
RESOLVE_S = 20.0
LAG_S = 60.0
# Some milliseconds of one processor.
BUSY: LiteralString = "SELECT sum(n) FROM generate_series(1, 20000) AS n"


class AsyncClients:
    """Writers and readers on one cluster, which they open and close.

    Args:
        cluster: not open yet.
        ledger: where every call is noted.
        pause: waits between two calls of one client.
        label: makes keys unlike those of other clients.
    """

    def __init__(
        self,
        cluster: AsyncCluster,
        ledger: Ledger,
        pause: Callable[[], Awaitable[object]],
        *,
        label: str,
    ) -> None:
        self.cluster = cluster
        self.stopping = False
        self._ledger = ledger
        self._pause = pause
        self._label = label
        cluster.events.subscribe(ledger.repeats, Retried)

    async def open(self) -> None:
        """Open the cluster."""
        await self.cluster.open(wait=PATIENCE_S)

    async def open_at_once(self) -> None:
        """Open the cluster if a node answers that can be used.

        Raises:
            Unavailable: none does.
        """
        await self.cluster.open()

    async def close(self) -> None:
        """Close the cluster; callers in it are cut off."""
        await self.cluster.close(timeout=1.0)

    async def work(self, kind: Kind, worker: str) -> None:
        """Call until told to stop."""
        calls = {
            "write": self.write,
            "keyed": self.keyed,
            "read": self.read,
            "busy": self.busy,
        }
        call = calls[kind]
        while not self.stopping:
            await call(worker)
            await self._pause()

    async def write(self, worker: str) -> None:
        """Write a row in autocommit; nobody may repeat that."""
        number, began = self._ledger.number(), monotonic()
        answered, timeline = 0.0, 0
        outcome: Outcome = "done"
        error = ""
        try:
            async with self.cluster.writer(timeout=PATIENCE_S) as connection:
                timeline = await self._insert(connection, number)
                answered = monotonic()
        except AuthkitError as exc:
            outcome = "doubt" if isinstance(exc, InDoubt) else "failed"
            error = type(exc).__name__
        ended = answered or monotonic()
        self._ledger.add(
            Call("write", worker, number, began, ended, outcome, timeline, error)
        )

    async def keyed(self, worker: str) -> None:
        """Write a row in a transaction with a key; a doubt is resolved."""
        number, began = self._ledger.number(), monotonic()
        key = f"drill {self._label} {number}"

        async def work(connection: AsyncNodeConnection) -> int:
            return await self._insert(connection, number)

        timeline = 0
        outcome: Outcome = "done"
        error = ""
        try:
            timeline = await self.cluster.run(work, key=key, deadline=PATIENCE_S)
        except AuthkitError as exc:
            outcome, error = "failed", type(exc).__name__
            if isinstance(exc, InDoubt):
                outcome = await self._resolve(key)
        ended = monotonic()
        self._ledger.add(
            Call("keyed", worker, number, began, ended, outcome, timeline, error)
        )

    async def read(self, worker: str) -> None:
        """Read a row in a transaction that may run again elsewhere."""
        await self._read("read", worker, "SELECT 1")

    async def busy(self, worker: str) -> None:
        """Read something that keeps a processor of the server busy."""
        await self._read("busy", worker, BUSY)

    async def _read(self, kind: Kind, worker: str, sql: LiteralString) -> None:
        began = monotonic()

        async def work(connection: AsyncNodeConnection) -> None:
            sent, node = monotonic(), connection.node.name
            try:
                await connection.execute(sql)
            finally:
                self._ledger.spent(node, sent)

        outcome: Outcome = "done"
        error = ""
        try:
            await self.cluster.run(
                work,
                intent=Intent.READ,
                max_lag=LAG_S,
                stale_ok=True,
                deadline=PATIENCE_S,
            )
        except AuthkitError as exc:
            outcome, error = "failed", type(exc).__name__
        ended = monotonic()
        self._ledger.add(Call(kind, worker, 0, began, ended, outcome, 0, error))

    async def hold(self, node: str | None) -> None:
        """Stay in one long statement, on the primary or on this replica, until freed.

        How it ends is of no interest, when it does is: the ledger has it.
        """
        if node is None:
            lease = self.cluster.writer(timeout=PATIENCE_S)
        else:
            lease = self.cluster.reader(max_lag=LAG_S, prefer=node, timeout=PATIENCE_S)
        try:
            async with lease as connection:
                sent, name = monotonic(), connection.node.name
                try:
                    await connection.execute("SELECT pg_sleep(60) /* held */")
                finally:
                    self._ledger.spent(name, sent)
        except AuthkitError:
            return

    async def _insert(self, connection: AsyncNodeConnection, number: int) -> int:
        node = connection.node.name
        epoch = self._ledger.saw(self.cluster.topology.epoch)
        sent = monotonic()
        try:
            cursor = await connection.execute(INSERT, (number, epoch))
            row = await cursor.fetchone()
        finally:
            self._ledger.spent(node, sent)
        return 0 if row is None else int(row[0])

    async def _resolve(self, key: str) -> Outcome:
        try:
            found = await self.cluster.resolve(key, timeout=RESOLVE_S)
        except AuthkitError:
            return "doubt"
        return "applied" if found is Resolution.APPLIED else "void"
