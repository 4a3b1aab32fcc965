"""Where a drill is played: servers, clients at work, and what is seen of both."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

from authkit.cluster import Health, Verdict
from authkit.cluster.events import Quarantined
from authkit.harness.database import node_name
from authkit.harness.drills.inspection import Inspection
from authkit.harness.drills.judging import Course, Evidence, judged
from authkit.harness.drills.ledger import WRITES
from authkit.harness.drills.promotion import PromotionWatch
from authkit.harness.drills.rounds import Round
from authkit.lab.replication import wait_until

if TYPE_CHECKING:
    from authkit.harness.drills.crew import Crew
    from authkit.harness.drills.servers import Impostors, Links, Servers

_PATIENCE_S = 60.0


class Field:
    """One colour's clients on the servers, and the rounds that they play.

    Args:
        servers: what is hurt.
        links: faults on the way to them, where there are any.
        impostors: how a second primary is made, where one can be.
        crew: at work already.
        chance: decides where a drill has a choice.
    """

    def __init__(
        self,
        servers: Servers,
        crew: Crew,
        chance: Random,
        *,
        links: Links | None = None,
        impostors: Impostors | None = None,
    ) -> None:
        self.servers = servers
        self.crew = crew
        self.chance = chance
        self.impostors = impostors
        self.number = 0
        self._links = links
        self._inspect = Inspection(servers)
        self._names = {node: node_name(servers.url(node)) for node in servers.nodes}
        self._course = self._begun("")

    def _begun(self, drill: str) -> Course:
        ledger = self.crew.ledger
        return Course(
            drill=drill,
            number=self.number,
            began=monotonic(),
            first=ledger.number(),
            timeline=self._inspect.timeline(self.servers.primary),
            repeated_before=ledger.repeated,
        )

    @property
    def links(self) -> Links:
        """Faults on the way.

        Raises:
            LookupError: these servers have none; the drill says that it needs them.
        """
        if self._links is None:
            raise LookupError("these servers have no links to hurt")
        return self._links

    # --- a round ----------------------------------------------------------------------

    def play(self, drill: str, scenario: Callable[[Field], None]) -> Round:
        """Play one round on a cluster that is whole, and judge it.

        Raises:
            LabError: something that must happen did not; the round proves nothing.
        """
        self.number += 1
        self.settle()
        self.crew.ledger.take()
        self.crew.events.clear()
        self._course = self._begun(drill)
        scenario(self)
        self.settle()
        return self._judged()

    def _judged(self) -> Round:
        course, ledger = self._course, self.crew.ledger
        written = ledger.written(course.timeline, course.hurt)
        calls, spans = ledger.take()
        self.examine(self.servers.primary)
        numbers = [call.number for call in calls if call.kind in WRITES]
        evidence = Evidence(
            colour=self.crew.colour,
            calls=calls,
            spans=spans,
            written=written,
            writers=self.crew.writers,
            rows=self._inspect.counts(min(numbers, default=0)),
            repeated=ledger.repeated,
            given_up=frozenset(
                event.node
                for _, event in self.crew.events
                if isinstance(event, Quarantined)
            ),
            ended=monotonic(),
        )
        return judged(course, evidence)

    # --- what a scenario does ---------------------------------------------------------

    def fault(self, node: str, hurt: Callable[[str], object]) -> None:
        """Hurt a node; the clock of the round's fault starts."""
        course = self._course
        course.node = self._names[node]
        course.harmed.add(course.node)
        course.fault = monotonic()
        hurt(node)
        course.hurt = monotonic()

    def take_over(
        self,
        node: str,
        hurt: Callable[[str], object],
        *,
        fence: bool,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Hurt the primary and have a replica promoted in its place.

        Args:
            node: the primary.
            hurt: what is done to it.
            fence: shut it down before the promotion, if it runs.
            first: is waited for between the two.
        """
        replicas = {
            name: self.servers.admin_url(name) for name in self.servers.replicas
        }
        with PromotionWatch(replicas) as watch:
            self.fault(node, hurt)
            if first is not None:
                first()
            new = self.servers.promote(fence=fence)
            self._course.possible = watch.moment(new)
            self._course.since = "promotion"
        self._course.timeline = self._inspect.timeline(new)

    def split(self, seconds: float) -> None:
        """Wait until the clients see two primaries of one timeline; count writes then.

        Raises:
            LabError: they did not see it.
        """
        cluster = self.crew.clients.cluster
        self.until(
            lambda: cluster.topology.verdict is Verdict.SPLIT_BRAIN,
            "the clients see two primaries",
        )
        since = monotonic()
        self.wait(seconds)
        answers = self.crew.ledger.answers
        self._course.split_writes = sum(
            answers(name, since) for name in self.crew.writers
        )

    def named(self, drill: str) -> None:
        """Say which drill this round turned out to be."""
        self._course.drill = drill

    def idle_errors_from_now(self) -> None:
        """Count the errors of callers who come from now on."""
        self._course.idle_since = monotonic()

    def possible(self, since: str) -> None:
        """Say that from now on a write can succeed again, and thanks to what."""
        self._course.possible, self._course.since = monotonic(), since

    def hold(self, node: str) -> None:
        """Have a caller inside a long statement on a node; returns when it is there."""
        on_primary = node == self.servers.primary
        self.crew.hold(None if on_primary else self._names[node])
        self.until(lambda: self._inspect.holds(node), f"a long statement on {node}")

    def released(self) -> None:
        """Wait until every caller in a long statement is free."""
        self.until(self.crew.all_released, "the blocked callers are free")

    def written(self, *, times: int = 1) -> None:
        """Wait until every writer was acknowledged so many times from now on."""
        self._worked(self.crew.writers, times, "every writer wrote")

    def read(self, *, times: int = 1) -> None:
        """Wait until every reader was answered so many times from now on."""
        self._worked(self.crew.readers, times, "every reader read")

    def _worked(self, workers: tuple[str, ...], times: int, what: str) -> None:
        now, ledger = monotonic(), self.crew.ledger
        self.until(
            lambda: all(ledger.answers(name, now) >= times for name in workers), what
        )

    def down_for(self, seconds: float, nodes: tuple[str, ...], calls: int) -> None:
        """Kill nodes; let so many callers arrive; start the nodes after a while."""
        began = monotonic()
        for node in nodes:
            self.fault(node, self.servers.kill)
        self.crew.storm(calls)
        for node in nodes:
            self.unusable(node)
        self.wait(seconds)
        for node in nodes:
            self.servers.start(node)
        self.possible("restart")
        self.until(self.crew.storm_over, "the callers of the outage were answered")
        self._course.outage = began, monotonic()

    def newcomers(self, old: str) -> None:
        """Let clients that were restarted write, one of which reaches the old only."""
        self.crew.newcomer(5)
        self.crew.newcomer(2, self.servers.url(old))

    def refused(self, node: str) -> None:
        """Wait until the clients know a node to be of an old timeline.

        An engine may have made it a replica again before anybody saw it as that.
        """
        name = self._names[node]

        def known() -> bool:
            view = self.crew.clients.cluster.topology.node(name)
            return view.health is Health.REFUSED or view.streaming

        self.until(known, f"{node} is known to be left behind")

    def unusable(self, node: str) -> None:
        """Wait until the clients know that a node cannot be used."""
        name, cluster = self._names[node], self.crew.clients.cluster
        self.until(
            lambda: not cluster.topology.node(name).usable,
            f"{node} is known to be gone",
        )

    def examine(self, node: str) -> None:
        """Look on a node for writes that were sent when the epoch was known.

        An engine that rewinds an old primary by itself has removed them by now; if one
        was acknowledged, it is missed on the new one.
        """
        if node != self.servers.primary:
            if self.servers.decides:
                return
            self._inspect.unveil(node)
            self.until(lambda: not self._inspect.waits(node), f"{node} has settled")
        course = self._course
        course.late.update(self._inspect.late(node, course.first))

    def rejoin(self, node: str) -> None:
        """Bring a node back as a replica."""
        self.servers.rejoin(node)

    def settle(self) -> None:
        """Wait until clients see a primary and every replica, and all are served."""
        primary = self._names[self.servers.primary]
        wanted = len(self.servers.nodes) - 1

        def whole() -> bool:
            topology = self.crew.clients.cluster.topology
            there = topology.primary is not None and topology.primary.name == primary
            streaming = sum(view.streaming for view in topology.replicas)
            return there and streaming >= wanted

        self.until(whole, "the clients see every node at work")
        self.written()
        self.read()

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        end = monotonic() + seconds
        self.until(lambda: monotonic() >= end, "time passes")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that must come; a worker that ended is told at once.

        Raises:
            LabError: it did not come.
        """

        def checked() -> bool:
            self.crew.check()
            return bool(condition())

        wait_until(checked, f"drill: not so: {what}", timeout_s=_PATIENCE_S)
