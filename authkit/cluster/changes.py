"""What is new between two pictures, as events. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from authkit.cluster.events import (
    EpochRaised,
    Event,
    HealthChanged,
    RoleChanged,
    VerdictChanged,
)
from authkit.cluster.topology import Topology


def changes(before: Topology, after: Topology) -> Iterator[Event]:
    """Yield an event for each difference that somebody may care about."""
    if after.epoch > before.epoch:
        yield EpochRaised(before=before.epoch, after=after.epoch)
    for old, new in zip(before.nodes, after.nodes, strict=True):
        if old.role is not new.role:
            yield RoleChanged(node=new.name, before=old.role, after=new.role)
        if old.health is not new.health:
            yield HealthChanged(
                node=new.name, before=old.health, after=new.health, reason=new.reason
            )
    old_primary = before.primary.name if before.primary else None
    new_primary = after.primary.name if after.primary else None
    if (before.verdict, old_primary) != (after.verdict, new_primary):
        yield VerdictChanged(
            before=before.verdict, after=after.verdict, primary=new_primary
        )
