"""Whether a node holds the commit that a token stands for: known, asked, or waited for.

A replica that has not replayed it yet is given a moment; then the primary serves. A
token of an earlier timeline is held against the point at which that one was left.
"""

from __future__ import annotations

from time import monotonic

from psycopg.errors import InsufficientPrivilege, UndefinedFile

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster._primitives.aio import nap
from authkit.cluster.consistency import Token, lsn_number
from authkit.cluster.routing import contains
from authkit.cluster.timelines import HISTORY
from authkit.cluster.views import NodeView, Role
from authkit.errors import TokenLost

# How long a replica is waited for before the primary serves.
REPLICA_WAIT_S = 0.02
FIRST_NAP_S = 0.001


def known(roster: AsyncRoster, node: AsyncNode, token: Token) -> bool:
    """Whether a node is known to hold it without being asked."""
    view, replayed = node.view, node.replayed
    if contains(view, token):
        return True
    if replayed is not None and replayed.timeline == token.timeline == view.timeline:
        return replayed.lsn >= token.lsn
    return view.timeline > token.timeline and _held(roster, view, token)


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
    if known(roster, node, token):
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
        cursor = await connection.execute("SELECT pg_last_wal_replay_lsn()::text")
        row = await cursor.fetchone()
        lsn = lsn_number(row[0]) if row is not None and row[0] is not None else 0
        node.replayed = Token(token.timeline, lsn).latest(node.replayed)
        if lsn >= token.lsn:
            return True
        if monotonic() + pause > until:
            return False
        await nap(pause)
        pause *= 2


async def _history(connection: AsyncNodeConnection, timeline: int) -> str | None:
    try:
        cursor = await connection.execute(HISTORY, (f"{timeline:08X}",))
        row = await cursor.fetchone()
    except (InsufficientPrivilege, UndefinedFile):
        return None
    return None if row is None else row[0]
