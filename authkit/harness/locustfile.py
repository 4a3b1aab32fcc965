"""The locustfile of `authkit load` and `authkit demo`, for where there is no bench/."""

from __future__ import annotations

from authkit.harness.visitor import Visitor


class Application(Visitor):
    """A user who comes and goes, as the profile says."""
