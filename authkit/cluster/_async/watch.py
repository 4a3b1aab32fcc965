"""Watches one node: asks on its own socket, calmly or in bursts, and tells the cluster.

One worker per node, so that at most one question is under way, and a second only to
confirm that the first one's silence is the node's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._async.probe import AsyncProbe, Hung, Refused
from authkit.cluster._primitives.aio import Signal, Worker, join, nap, spawn
from authkit.cluster.cadence import Cadence
from authkit.cluster.chance import fraction
from authkit.cluster.credentials import LIMIT_S
from authkit.cluster.events import Events, Probed, Suspected, logger
from authkit.cluster.views import Health, Loss, Observation


class AsyncWatch:
    """The watcher of one node."""

    def __init__(
        self,
        node: AsyncNode,
        cadence: Cadence,
        events: Events,
        tell: Callable[[Observation | Loss], Awaitable[None]],
        troubled_for: Callable[[], float | None],
        ask_all: Callable[[], None],
        suspect: Callable[[AsyncNode, str], None],
    ) -> None:
        self._node = node
        self._cadence = cadence
        self._events = events
        self._tell = tell
        self._troubled_for = troubled_for
        self._ask_all = ask_all
        self._suspect = suspect
        self._served = 0
        self._stood = False
        self._probe = AsyncProbe(node.target)
        self._wake = Signal()
        self._stopping = False
        self._worker: Worker | None = None
        self._second: Worker | None = None
        self._second_answer: Observation | None = None
        self._second_is_evidence = False

    def start(self) -> None:
        """Begin to watch."""
        self._worker = spawn(self._run, name=f"authkit watch {self._node.name}")

    def hurry(self) -> None:
        """Ask now."""
        self._wake.raised()

    async def stop(self, limit_s: float) -> None:
        """End the worker; the probe's socket is closed."""
        self._stopping = True
        self._wake.raised()
        for worker in (self._worker, self._second):
            if worker is not None:
                await join(worker, limit_s)
        self._probe.close()

    async def _run(self) -> None:
        while not self._stopping:
            seen, began = self._wake.count, monotonic()
            try:
                await self._look()
            except Exception:  # noqa: BLE001 # a watcher that ends is blind for ever
                logger.exception("the probe of %s failed", self._node.name)
            await self._rest(seen, began)

    async def _rest(self, seen: int, began: float) -> None:
        """Wait for the next question, with a glance at the connections in use.

        Whoever has cause may have it asked at once, but no storm of causes makes it
        more often than a burst.
        """
        floor = began + self._cadence.burst_s - monotonic()
        if floor > 0:
            await nap(floor)
        pause = self._cadence.pause(
            troubled_for_s=self._troubled_for(), chance=fraction
        )
        until = began + pause
        while (left := until - monotonic()) > 0:
            if await self._wake.wait(seen, min(left, self._cadence.glance_s)):
                return
            for connection in self._glance(monotonic()):
                connection.poison()
                await self._node.release(connection)

    def _glance(self, now: float) -> list[AsyncNodeConnection]:
        """Shut what is past its deadline; ask at once when all that is in use stands.

        A statement that takes long looks the same as a server that has stopped: one
        question tells them apart, long before the next one is due.

        Returns:
            What is out and has nobody who would give it back.
        """
        node = self._node
        for connection in tuple(node.out):
            if connection.deadline < now and not connection.overdue:
                connection.overdue = True
                connection.cut()
        stands = node.in_flight > 0 and node.served == self._served
        if stands and not self._stood:
            self._ask_all()
        self._stood = stands
        self._served = node.served
        return [connection for connection in tuple(node.out) if connection.left]

    async def _look(self) -> None:
        """Ask once and draw the conclusion."""
        began = monotonic()
        served = self._node.served
        known = self._node.view.health is Health.UP
        limit = self._cadence.limit_s if known else self._cadence.first_limit_s
        if not known and self._node.target.password is not None:
            limit += LIMIT_S  # it is asked for before anything is sent
        self._second_answer = None
        self._second_is_evidence = False
        try:
            answer = await self._probe.ask(
                limit,
                late_s=self._cadence.late_s,
                on_late=self._confirm if known else None,
            )
        except Refused as exc:
            await self._lost(began, str(exc))
        except Hung as exc:
            await self._hung(began, served, known=known, late=exc.late)
        else:
            await self._answered(began, answer)

    async def _answered(self, began: float, answer: Observation) -> None:
        now = monotonic()
        self._node.probed(now)
        self._events.publish(Probed(node=self._node.name, seconds=now - began))
        await self._tell(answer)

    async def _lost(self, began: float, reason: str) -> None:
        now = monotonic()
        self._events.publish(
            Probed(node=self._node.name, seconds=now - began, reason=reason)
        )
        if not self._stopping:
            await self._tell(Loss(self._node.name, now, reason))

    async def _hung(
        self, began: float, served: int, *, known: bool, late: bool
    ) -> None:
        """Two probes that hung, and not a byte on any socket: then it is given up."""
        if not known:
            await self._lost(began, "it does not answer")
            return
        if self._second is not None:
            await join(self._second, self._cadence.limit_s)
        answer = self._second_answer
        if answer is not None:
            await self._answered(began, answer)
            return
        silence_ms = 1000 * (monotonic() - began)
        if late or not self._second_is_evidence:
            reason = "this process was late itself: the probe is no evidence"
        elif self._node.served != served or self._node.heard_within(silence_ms):
            reason = "the probe hung while other sockets were answered"
        else:
            await self._lost(began, "it does not answer: two probes hung")
            return
        self._events.publish(Suspected(node=self._node.name, reason=reason))

    def _confirm(self) -> None:
        """Send a second question on a fresh socket beside the first.

        Every node is looked at closely from now on: one of the others may be promoted
        before this one is given up.
        """
        self._suspect(self._node, "the probe's answer is late")
        self._second = spawn(
            self._ask_again, name=f"authkit second probe {self._node.name}"
        )

    async def _ask_again(self) -> None:
        probe = AsyncProbe(self._node.target)
        try:
            self._second_answer = await probe.ask(self._cadence.limit_s)
        except Hung as exc:
            self._second_is_evidence = not exc.late
        except Refused:
            self._second_is_evidence = True
        finally:
            probe.close()
