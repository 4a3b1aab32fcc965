"""From PostgreSQL to an answer in a notebook: frames, pictures, the audit trail.

Needs the extra `notebook`. Names load on first use: pandas and Altair are not small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.analysis.frames import Frames

__all__ = ["Frames"]

_HOMES = {"Frames": "authkit.analysis.frames"}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'authkit.analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
