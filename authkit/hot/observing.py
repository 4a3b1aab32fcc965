"""Who watches operations: a plain function, told of every call and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from authkit.cluster import NodeView

logger = logging.getLogger("authkit.hot")

# Operation's name, node's name, node's role, seconds (waiting for a connection counts),
# and the error that the caller got, or None.
Observer: TypeAlias = Callable[[str, str, str, float, BaseException | None], None]


class Served:
    """Where a call was served last; empty while it waits for its first node."""

    __slots__ = ("node", "role")

    def __init__(self) -> None:
        self.node = ""
        self.role = ""

    def saw(self, view: NodeView) -> None:
        """It is served there."""
        self.node = view.name
        self.role = view.role.value


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
        node: str,
        role: str,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Call each; one that fails is logged and does not disturb the caller."""
        for observer in self.watching:
            try:
                observer(operation, node, role, seconds, error)
            except Exception:
                logger.exception("an observer of operations failed")
