"""What is known of the nodes: probe results in, an immutable picture out. Pure.

The primary is the node that is out of recovery on the highest timeline ever seen of
this system (its epoch). Two of them refuse writes. A node of another system is refused.
A lag that is not known is infinite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from authkit.cluster.views import (
    Health,
    Loss,
    NodeView,
    Observation,
    Role,
    describe,
)

MIN_VERSION = 150_000
# Positions of the primary that are kept, to date what a replica has replayed. At one
# probe every half second this reaches back over a minute.
HISTORY = 128


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
    history: tuple[tuple[float, int], ...] = ()
    version: int = 0

    @classmethod
    def of(
        cls,
        names: Iterable[tuple[str, str | None]],
        *,
        epoch: int = 0,
        system_id: str = "",
    ) -> Topology:
        """Begin with nodes nobody has asked, and what an earlier client knew."""
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
        observed_at=seen.received,
        round_trip_s=seen.received - seen.sent,
        started=seen.started,
        version=seen.version,
        streaming=seen.streaming,
        reason="",
    )
    system_id = picture.system_id or seen.system_id
    history = picture.history
    epoch = picture.epoch
    if after.version < MIN_VERSION:
        after = _refuse(after, "PostgreSQL 15 or later is needed")
    elif after.system_id != system_id:
        after = _refuse(after, "it belongs to another system (system identifier)")
    elif (twin := _same_server(picture, after)) is not None:
        after = _refuse(after, f"it is the same server as {twin}")
    else:
        if after.timeline > epoch:
            epoch, history = after.timeline, ()
        if after.role is Role.PRIMARY and after.timeline == epoch:
            history = (*history, (seen.sent, seen.lsn))[-HISTORY:]
    return _settle(picture, after, epoch, system_id, history)


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


def _refuse(node: NodeView, reason: str) -> NodeView:
    return replace(node, health=Health.REFUSED, reason=reason)


def _same_server(picture: Topology, node: NodeView) -> str | None:
    """Name the node that is the same running server under another address.

    Two servers do not share a system, a start time to the microsecond and the role of
    a primary; one server reached by two names does.
    """
    for other in picture.nodes:
        if other.name == node.name:
            return None
        if (
            other.health is Health.UP
            and other.started
            and (other.system_id, other.started) == (node.system_id, node.started)
        ):
            return other.name
    return None


def _settle(
    picture: Topology,
    changed: NodeView,
    epoch: int,
    system_id: str,
    history: tuple[tuple[float, int], ...],
) -> Topology:
    nodes = tuple(
        _judge(changed if node.name == changed.name else node, epoch, system_id)
        for node in picture.nodes
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
    history: tuple[tuple[float, int], ...],
) -> NodeView:
    """Date what a replica has replayed by the primary's own positions."""
    if node.role is not Role.REPLICA or node.timeline != epoch:
        return node if node.lag_bytes is None else replace(node, lag_bytes=None)
    fresh_at = node.fresh_at
    for asked, lsn in reversed(history):
        if lsn <= node.lsn:
            fresh_at = max(fresh_at, asked)
            break
    lag = None if primary is None else max(0, primary.lsn - node.lsn)
    if fresh_at == node.fresh_at and lag == node.lag_bytes:
        return node
    return replace(node, fresh_at=fresh_at, lag_bytes=lag)
