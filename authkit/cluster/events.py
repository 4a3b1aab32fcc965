"""What happens in the cluster, as a stream of typed events.

Subscribers are plain functions, called in the thread or task that saw the event; they
must be quick. One that fails is logged and does not disturb the cluster.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time
from typing import TypeAlias

from authkit.cluster.breaker import BreakerState
from authkit.cluster.topology import Verdict
from authkit.cluster.views import Health, Role

logger = logging.getLogger("authkit.cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `at` is the wall clock, in seconds since 1970."""

    at: float = field(default_factory=time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed(Event):
    """A node answered a probe, or did not (`reason`)."""

    node: str
    seconds: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected(Event):
    """A node gave cause to look closer."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Event):
    """A node became usable, or ceased to be."""

    node: str
    before: Health
    after: Health
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChanged(Event):
    """A node was promoted or demoted, or said for the first time what it is."""

    node: str
    before: Role
    after: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRaised(Event):
    """A later timeline was seen; what stands on an earlier one is quarantined."""

    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochNotKept(Event):
    """The file of the highest timeline could not be written: a restart forgets it."""

    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChanged(Event):
    """Writes became possible (`primary` names where), or impossible."""

    before: Verdict
    after: Verdict
    primary: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """A node's circuit breaker opened, is being tried, or closed."""

    node: str
    before: BreakerState
    after: BreakerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined(Event):
    """A node was given up: its pool was dropped and these sockets were shut."""

    node: str
    reason: str
    sockets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted(Event):
    """A node was given a pool, or one of another size."""

    node: str
    role: Role
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Event):
    """A transaction is about to run again."""

    attempt: int
    sqlstate: str | None
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent(Event):
    """A transaction was not repeated: too many already are."""

    sqlstate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted(Event):
    """A write's outcome is not known."""

    node: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """The cluster was opened."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained(Event):
    """The cluster was closed; `cut` connections were still in use at the deadline."""

    seconds: float
    cut: int


Subscriber: TypeAlias = Callable[[Event], None]

_LEVELS: dict[type[Event], int] = {
    Probed: logging.DEBUG,
    Suspected: logging.INFO,
    HealthChanged: logging.WARNING,
    RoleChanged: logging.WARNING,
    EpochRaised: logging.WARNING,
    EpochNotKept: logging.ERROR,
    VerdictChanged: logging.WARNING,
    BreakerChanged: logging.WARNING,
    Quarantined: logging.WARNING,
    BudgetSpent: logging.WARNING,
    Doubted: logging.ERROR,
}


class Events:
    """The stream: subscribe a function, optionally to some kinds of event only."""

    __slots__ = ("_lock", "_subscribers")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[tuple[Subscriber, tuple[type[Event], ...]], ...] = ()

    def subscribe(
        self, subscriber: Subscriber, *kinds: type[Event]
    ) -> Callable[[], None]:
        """Call `subscriber` for each event (of these kinds); returns how to stop it."""
        entry = (subscriber, kinds or (Event,))
        with self._lock:
            self._subscribers = (*self._subscribers, entry)

        def stop() -> None:
            with self._lock:
                self._subscribers = tuple(
                    other for other in self._subscribers if other is not entry
                )

        return stop

    def publish(self, event: Event) -> None:
        """Tell the log and every subscriber."""
        level = _LEVELS.get(type(event), logging.INFO)
        if logger.isEnabledFor(level):
            logger.log(level, "%s", event)
        for subscriber, kinds in self._subscribers:
            if isinstance(event, kinds):
                try:
                    subscriber(event)
                except Exception:
                    logger.exception("a subscriber of cluster events failed")
