"""From PostgreSQL to an answer in a notebook: frames, pictures, the audit trail.

Needs the extra `notebook`. Names load on first use: pandas and Altair are not small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.analysis import plots
    from authkit.analysis.cases import Case, Cases
    from authkit.analysis.entities import Entity, entity, pivot, sessionize
    from authkit.analysis.frames import Frames
    from authkit.analysis.picture import Picture, save
    from authkit.analysis.tables import look_through, report
    from authkit.analysis.trail import Chain, forgeries, read_chain
    from authkit.analysis.unmasking import noting

__all__ = [
    "Case",
    "Cases",
    "Chain",
    "Entity",
    "Frames",
    "Picture",
    "entity",
    "forgeries",
    "look_through",
    "noting",
    "pivot",
    "plots",
    "read_chain",
    "report",
    "save",
    "sessionize",
]

_HOMES = {
    "Case": "authkit.analysis.cases",
    "Cases": "authkit.analysis.cases",
    "Chain": "authkit.analysis.trail",
    "Entity": "authkit.analysis.entities",
    "entity": "authkit.analysis.entities",
    "noting": "authkit.analysis.unmasking",
    "pivot": "authkit.analysis.entities",
    "sessionize": "authkit.analysis.entities",
    "Frames": "authkit.analysis.frames",
    "Picture": "authkit.analysis.picture",
    "forgeries": "authkit.analysis.trail",
    "look_through": "authkit.analysis.tables",
    "read_chain": "authkit.analysis.trail",
    "report": "authkit.analysis.tables",
    "save": "authkit.analysis.picture",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name == "plots":
        return import_module("authkit.analysis.plots")
    if name not in _HOMES:
        raise AttributeError(f"module 'authkit.analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
