"""Who watches operations: a plain function, told of every call and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Final, Self, TypeAlias

from authkit.cluster import NodeView
from authkit.cluster.views import PRIMARY

logger = logging.getLogger("authkit.hot")

# Operation's name, node's name, node's role, seconds (waiting for a connection counts),
# and the error that the caller got, or None.
Observer: TypeAlias = Callable[[str, str, str, float, BaseException | None], None]

# Of almost every call it is this one; the value is looked up by a function too.
_PRIMARY_S: Final = PRIMARY.value


class Observers:
    """The watching functions; the tuple is replaced whole, and false while empty."""

    __slots__ = ("watching",)

    def __init__(self) -> None:
        self.watching: tuple[Observer, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.watching)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Tell `observer` of every call from now on; returns how to stop it."""
        self.watching = (*self.watching, observer)

        def stop() -> None:
            self.watching = tuple(
                other for other in self.watching if other is not observer
            )

        return stop

    def tell(
        self,
        operation: str,
        view: NodeView | None,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Call each; one that fails is logged and does not disturb the caller."""
        if view is None:
            node = role = ""
        else:
            node = view.name
            role = _PRIMARY_S if view.role is PRIMARY else view.role.value
        for observer in self.watching:
            try:
                observer(operation, node, role, seconds, error)
            except Exception:
                logger.exception("an observer of operations failed")


class Call:
    """A block around what is left of a call; who watches is told how it ended.

    Args:
        observers: who watches.
        operation: its name.
        began: when the call did; now, where nobody watched then.
        view: the node it was served by; None while it waits for its first one.
    """

    __slots__ = ("_began", "_observers", "_operation", "view")

    def __init__(
        self,
        observers: Observers,
        operation: str,
        began: float | None,
        view: NodeView | None = None,
    ) -> None:
        self._observers = observers
        self._operation = operation
        self._began = perf_counter() if began is None else began
        self.view = view

    def __enter__(self) -> Self:
        """Return it: the node may be another in the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell."""
        spent = perf_counter() - self._began
        self._observers.tell(self._operation, self.view, spent, error)
