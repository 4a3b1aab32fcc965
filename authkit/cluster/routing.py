"""Which replica serves a read: fresh enough, near, and the less busy of two. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from authkit.cluster.consistency import Token
from authkit.cluster.views import NodeView

# What a reader accepts when it names no bound: no replica that is further behind than
# this, or of which nothing is known. A read that must be fresh asks the primary.
DEFAULT_MAX_LAG_S = 10.0


class Candidate(Protocol):
    """What is compared of a node."""

    @property
    def view(self) -> NodeView:
        """The node as it was last seen."""
        ...

    @property
    def in_flight(self) -> int:
        """Connections that are out."""
        ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


def contains(view: NodeView, token: Token) -> bool:
    """Whether a node was seen to have replayed a token's commit.

    Positions compare within one timeline only.
    """
    return view.timeline == token.timeline and view.lsn >= token.lsn


def prefer_zone(
    candidates: Sequence[CandidateT], preferred: str | None
) -> Sequence[CandidateT]:
    """Keep those of a zone (or the node of that name) where there are any."""
    if preferred is None:
        return candidates
    near = [c for c in candidates if preferred in {c.view.zone, c.view.name}]
    return near or candidates


def choose(
    candidates: Sequence[CandidateT], draw: Callable[[int], int]
) -> CandidateT | None:
    """Take the better of two drawn at random: fewer in flight, then the quicker.

    Args:
        candidates: nodes that may serve.
        draw: returns a number below its argument.

    Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"
    (IEEE Transactions on Parallel and Distributed Systems 12, 2001).
    """
    count = len(candidates)
    if count == 0:
        return None
    if count == 1:
        return candidates[0]
    first = draw(count)
    second = draw(count - 1)
    if second >= first:
        second += 1
    one, other = candidates[first], candidates[second]
    return one if _burden(one) <= _burden(other) else other


def _burden(node: Candidate) -> tuple[int, float]:
    return node.in_flight, node.view.round_trip_s or 0.0
