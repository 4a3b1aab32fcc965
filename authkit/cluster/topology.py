"""What is known of the nodes: probe results in, an immutable picture out. Pure.

The primary is the node that is out of recovery on the highest timeline ever seen of
this system (its epoch). Two of them refuse writes. A node of another system is refused.
A lag that is not known is infinite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TypeAlias

from authkit.cluster.views import (
    Health,
    Loss,
    NodeView,
    Observation,
    Role,
    Snapshot,
    describe,
)

MIN_VERSION = 150_000
# Answers of the primary that are kept, to date what a replica has replayed; at this
# distance they reach back half a minute at least.
HISTORY = 150
SPACING_S = 0.2


@dataclass(frozen=True, slots=True)
class Mark:
    """What the primary had done when it was asked; the date is that of the question."""

    date: float
    lsn: int
    snapshot: Snapshot | None = None

    def reached_by(self, node: NodeView) -> bool:
        """Whether a replica has every commit that was made before the date.

        By its position, or by the transactions it knows to be complete: the insert
        position may stay ahead of all replicas for long, by WAL that is no commit
        (hint bits under checksums, for one) and that nothing flushes.
        """
        if self.lsn <= node.lsn:
            return True
        if self.snapshot is None or node.snapshot is None:
            return False
        return self.snapshot.seen_by(node.snapshot)


History: TypeAlias = tuple[Mark, ...]


class Verdict(Enum):
    """Whether there is somebody to write to."""

    WRITABLE = "writable"
    NO_PRIMARY = "no primary"
    SPLIT_BRAIN = "split brain"


@dataclass(frozen=True, slots=True)
class Topology:
    """The picture of the whole cluster; replaced whole, never changed."""

    nodes: tuple[NodeView, ...]
    epoch: int = 0
    system_id: str = ""
    verdict: Verdict = Verdict.NO_PRIMARY
    primary: NodeView | None = None
    replicas: tuple[NodeView, ...] = ()
    history: History = ()
    version: int = 0

    @classmethod
    def of(
        cls,
        names: Iterable[tuple[str, str | None]],
        *,
        epoch: int = 0,
        system_id: str = "",
    ) -> Topology:
        """Begin with nodes nobody has asked, and what an earlier client knew.

        Args:
            names: of the nodes, each with its zone or None.
            epoch: the highest timeline that was ever seen; 0 is none. A primary of a
                lower one is never taken.
            system_id: the system identifier that nodes must have; empty: that of the
                first node that answers.
        """
        nodes = tuple(NodeView(name, zone) for name, zone in names)
        return cls(nodes, epoch=epoch, system_id=system_id)

    def node(self, name: str) -> NodeView:
        """Return the view of one node.

        Raises:
            KeyError: no node has this name.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def why_not_writable(self) -> str:
        """Say in a sentence why there is no primary, with each node's reason."""
        each = "; ".join(
            f"{node.name} {describe(node, self.epoch)}" for node in self.nodes
        )
        if self.verdict is Verdict.SPLIT_BRAIN:
            return f"two nodes claim to be the primary of timeline {self.epoch}: {each}"
        return f"no node is the primary of timeline {self.epoch or 'any'}: {each}"


def observe(picture: Topology, seen: Observation) -> Topology:
    """Return the picture after a node answered.

    An answer older than what is known of the node can still prove a later timeline.
    """
    before = picture.node(seen.node)
    if seen.received < before.observed_at:
        system_id = picture.system_id or seen.system_id
        if seen.system_id != system_id or seen.timeline <= picture.epoch:
            return picture
        return _settle(picture, before, seen.timeline, system_id, ())
    after = replace(
        before,
        health=Health.UP,
        role=seen.role,
        timeline=seen.timeline,
        system_id=seen.system_id,
        lsn=seen.lsn,
        fresh_at=before.fresh_at if _goes_on(before, seen) else -inf,
        observed_at=seen.received,
        round_trip_s=seen.received - seen.sent,
        started=seen.started,
        version=seen.version,
        streaming=seen.streaming,
        snapshot=seen.snapshot,
        pooled=seen.pooled,
        reason="",
    )
    system_id = picture.system_id or seen.system_id
    history = picture.history
    epoch = picture.epoch
    if after.version < MIN_VERSION:
        after = _refuse(after, "PostgreSQL 15 or later is needed")
    elif after.system_id != system_id:
        after = _refuse(after, "it belongs to another system (system identifier)")
    else:
        if after.timeline > epoch:
            epoch, history = after.timeline, ()
        if after.role is Role.PRIMARY and after.timeline == epoch:
            history = _dated(history, seen)
    return _settle(picture, after, epoch, system_id, history)


def _goes_on(before: NodeView, seen: Observation) -> bool:
    """Whether a node has all that it had: one that crashed may have replayed less.

    A standby takes queries again as soon as its files are consistent, which may be long
    before the place to which it had come.
    """
    return seen.started == before.started and seen.lsn >= before.lsn


def lose(picture: Topology, loss: Loss) -> Topology:
    """Return the picture after a node was given up or could not be reached."""
    before = picture.node(loss.node)
    after = replace(
        before,
        health=Health.DOWN,
        streaming=False,
        observed_at=max(before.observed_at, loss.at),
        reason=loss.reason,
    )
    return _settle(picture, after, picture.epoch, picture.system_id, picture.history)


def _dated(history: History, seen: Observation) -> History:
    """Add what a primary's answer says of time, and thin out what came in a burst."""
    if len(history) >= 2 and seen.sent - history[-2].date < SPACING_S:
        history = history[:-1]
    return (*history, Mark(seen.sent, seen.lsn, seen.snapshot))[-HISTORY:]


def _refuse(node: NodeView, reason: str) -> NodeView:
    return replace(node, health=Health.REFUSED, reason=reason)


def _refuse_twins(nodes: Iterable[NodeView]) -> Iterable[NodeView]:
    """Keep the first name of each running server.

    Two servers do not share a system and a start time to the microsecond; one that is
    reached by two names does.
    """
    first: dict[tuple[str, str], str] = {}
    for node in nodes:
        server = (node.system_id, node.started)
        if node.health is Health.UP and node.started and server in first:
            yield _refuse(node, f"it is the same server as {first[server]}")
            continue
        if node.health is Health.UP:
            first[server] = node.name
        yield node


def _settle(
    picture: Topology,
    changed: NodeView,
    epoch: int,
    system_id: str,
    history: History,
) -> Topology:
    nodes = tuple(
        _refuse_twins(
            _judge(changed if node.name == changed.name else node, epoch, system_id)
            for node in picture.nodes
        )
    )
    claims = _distinct_servers(node for node in nodes if _claims(node, epoch))
    primary: NodeView | None = None
    if len(claims) > 1:
        verdict = Verdict.SPLIT_BRAIN
    elif claims and claims[0].usable:
        verdict, primary = Verdict.WRITABLE, claims[0]
    else:
        verdict = Verdict.NO_PRIMARY
    nodes = tuple(_measure(node, epoch, primary, history) for node in nodes)
    if primary is not None:
        primary = next(node for node in nodes if node.name == primary.name)
    return Topology(
        nodes=nodes,
        epoch=epoch,
        system_id=system_id,
        verdict=verdict,
        primary=primary,
        replicas=tuple(n for n in nodes if n.usable and n.role is Role.REPLICA),
        history=history,
        version=picture.version + 1,
    )


def _judge(node: NodeView, epoch: int, system_id: str) -> NodeView:
    """Refuse a primary that a later timeline has left behind."""
    if (
        node.health is Health.UP
        and node.role is Role.PRIMARY
        and node.timeline < epoch
        and node.system_id == system_id
    ):
        return _refuse(
            node, f"it is a primary of timeline {node.timeline}, now it is {epoch}"
        )
    return node


def _claims(node: NodeView, epoch: int) -> bool:
    """Whether it is, or was when last heard, the primary of this timeline.

    A promotion begins a new timeline: a second primary on the same one is no promoted
    replica, and the first may still be written to by others, reachable or not.
    """
    return (
        node.role is Role.PRIMARY
        and node.timeline == epoch
        and node.health in {Health.UP, Health.DOWN}
    )


def _distinct_servers(claims: Iterable[NodeView]) -> list[NodeView]:
    """One view of each running server, the usable one where an address is lost."""
    servers: dict[str, NodeView] = {}
    for node in claims:
        known = servers.get(node.started or node.name)
        if known is None or (node.usable and not known.usable):
            servers[node.started or node.name] = node
    return list(servers.values())


def _measure(
    node: NodeView,
    epoch: int,
    primary: NodeView | None,
    history: History,
) -> NodeView:
    """Date what a replica has replayed by the primary's own positions."""
    if node.role is not Role.REPLICA or node.timeline != epoch:
        return node if node.lag_bytes is None else replace(node, lag_bytes=None)
    fresh_at = node.fresh_at
    for mark in reversed(history):
        if mark.date <= fresh_at:
            break
        if mark.reached_by(node):
            fresh_at = mark.date
            break
    lag = None if primary is None else max(0, primary.lsn - node.lsn)
    if fresh_at == node.fresh_at and lag == node.lag_bytes:
        return node
    return replace(node, fresh_at=fresh_at, lag_bytes=lag)
