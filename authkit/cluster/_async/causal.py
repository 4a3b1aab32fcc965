"""Whether a node holds the commit that a token stands for: known, asked, or waited for.

A replica that has not replayed it yet is given a moment; then the primary serves. A
token of an earlier timeline is held against the point at which that one was left.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from psycopg.errors import InsufficientPrivilege, UndefinedFile

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._primitives.aio import nap
from authkit.cluster.consistency import Found, Token, lsn_number
from authkit.cluster.probe_query import REPLAYED
from authkit.cluster.routing import contains
from authkit.cluster.timelines import HISTORY
from authkit.cluster.views import NodeView, Role
from authkit.errors import TokenLost

if TYPE_CHECKING:
    from authkit.cluster._async.roster import AsyncRoster

# How long a replica is waited for before the primary serves.
REPLICA_WAIT_S = 0.02
FIRST_NAP_S = 0.001


def known(
    roster: AsyncRoster, node: AsyncNode, token: Token, born: float = -inf
) -> bool:
    """Whether a node is known to hold it without being asked.

    Args:
        roster: knows where timelines were left.
        node: which one.
        token: the commit.
        born: when the connection was made that is to be read from. A replica that
            restarts may have replayed less than it had: what was learnt before a
            connection was there says nothing of what is at its other end.
    """
    view, found = node.view, node.found
    if view.observed_at >= born:
        if contains(view, token):
            return True
        if view.timeline > token.timeline:
            return _held(roster, view, token)
    return (
        found is not None
        and found.at >= born
        and found.timeline == token.timeline == view.timeline
        and found.lsn >= token.lsn
    )


def _held(roster: AsyncRoster, view: NodeView, token: Token) -> bool:
    """Whether a node on a later timeline holds a token of an earlier one."""
    picture = roster.picture
    return (
        picture.primary is not None
        and view.timeline == picture.epoch
        and roster.timelines.holds(
            token, timeline=picture.epoch, primary=picture.primary.name
        )
    )


async def contained(
    roster: AsyncRoster, connection: AsyncNodeConnection, token: Token
) -> bool:
    """Make sure that the connection's node holds it; False: try the next node.

    Raises:
        TokenLost: it cannot be shown to be part of the present timeline.
    """
    node, view = connection.home, connection.node
    if known(roster, node, token, connection.born):
        return True
    if view.role is not Role.PRIMARY:
        return view.timeline == token.timeline and await _replays(connection, token)
    if view.timeline == token.timeline:
        return True
    if view.timeline < token.timeline:
        # Somebody else has seen a failover that we have not.
        roster.suspect(node, "a token of a later timeline was shown")
        return False
    if roster.timelines.of != view.timeline:
        text = await _history(connection, view.timeline)
        roster.timelines = roster.timelines.read(view.timeline, text)
    if _held(roster, view, token):
        return True
    raise TokenLost(
        f"the write on timeline {token.timeline} cannot be shown to be part of "
        f"timeline {view.timeline}: it was lost, or made just before the failover"
    )


async def _replays(connection: AsyncNodeConnection, token: Token) -> bool:
    """Ask a replica until it has replayed it, or the moment is over."""
    node = connection.home
    until = monotonic() + REPLICA_WAIT_S
    pause = FIRST_NAP_S
    while True:
        asked = monotonic()
        cursor = await connection.tuples().execute(REPLAYED)
        row = await cursor.fetchone()
        if row is None or row[0] is None or row[1] != token.timeline:
            return False  # it follows another timeline since it was last seen
        lsn = lsn_number(row[0])
        node.found = Found(token.timeline, lsn, asked)
        if lsn >= token.lsn:
            return True
        if monotonic() + pause > until:
            return False
        await nap(pause)
        pause *= 2


async def _history(connection: AsyncNodeConnection, timeline: int) -> str | None:
    try:
        if connection.autocommit:
            return await _file(connection, timeline)
        # What is refused here must not cost the caller's transaction.
        async with connection.transaction():
            return await _file(connection, timeline)
    except (InsufficientPrivilege, UndefinedFile):
        return None


async def _file(connection: AsyncNodeConnection, timeline: int) -> str | None:
    cursor = await connection.tuples().execute(HISTORY, (f"{timeline:08X}",))
    row = await cursor.fetchone()
    return None if row is None else row[0]
