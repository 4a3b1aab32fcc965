"""One detector, or many, over a frame of attempts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from authkit.analysis.detect.found import framed
from authkit.analysis.detect.history import HISTORY
from authkit.analysis.detect.sliding import SLIDING
from authkit.analysis.picture import needs
from authkit.errors import InvalidInput
from authkit.risk.detectors import DETECTORS

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NAMES = (*SLIDING, *HISTORY)
# What is common in honest use says little by itself; ask for it by name.
_COMMON = frozenset({"new_device", "new_network", "new_country"})
DEFAULT = tuple(name for name in NAMES if name not in _COMMON)
_NEEDED = ("id", "occurred_at", "user", "address", "outcome", "method", "stage")
_MISSING = ("session", "device", "country", "asn", "client", "failure_reason")


def findings(attempts: DataFrame, names: Iterable[str] = DEFAULT) -> DataFrame:
    """Return what several detectors find, in order of time; see `detect`.

    All but those of new devices, networks and countries, unless they are named.

    Args:
        attempts: as `frames.attempts()` returns them.
        names: of the detectors.

    Raises:
        InvalidInput: no detector is named, or there is none of a name.
    """
    made = [detect(attempts, name) for name in names]
    if not made:
        raise InvalidInput("there is no detector to ask")
    return pd.concat(made).sort_values(
        ["first", "detector", "about"], ignore_index=True
    )


def detect(
    attempts: DataFrame,
    name: str,
    /,
    *,
    created: Series[Any] | None = None,
    **changed: object,
) -> DataFrame:
    """Return what one detector finds, as `authkit risk detect` does in the database.

    The frame is all that it knows: what went before the frame went before everything.
    `refresh_reuse` sees what was refused and logged, not the tokens themselves.

    Args:
        attempts: as `frames.attempts()` returns them. Without `subject`, as in the
            frame of a case, people are told apart by `user`; a detector that needs
            another column that is not there finds nothing.
        name: one of `NAMES`.
        created: for `dormant_account`, when accounts were made, by user.
        changed: parameters of the detector other than its defaults, by name.

    Returns:
        One row for each finding: `detector`, `technique` (of MITRE ATT&CK), `severity`
        (`high` where a valid password or an approval followed, else `medium`), `first`,
        `last`, `about` (its key), `user` and `address` (where there is one only),
        `attempts`, `people`, `addresses`, and `evidence`, the ids.

    Raises:
        InvalidInput: there is no such detector or parameter, or the frame lacks a
            column.
    """
    if name not in NAMES:
        raise InvalidInput(f"{name} is none of {', '.join(NAMES)}")
    detector = DETECTORS[name]
    needs(attempts, *_NEEDED)
    values: dict[str, Any] = dict(detector.values())
    if strange := set(changed) - set(values):
        raise InvalidInput(f"{name} has no parameter {', '.join(sorted(strange))}")
    values |= changed
    if created is not None:
        values["created"] = created
    rows = _ready(attempts)
    found = (
        SLIDING[name].find(rows, values)
        if name in SLIDING
        else HISTORY[name](rows, values)
    )
    return framed([one.row(name, detector.technique) for one in found], attempts)


def _ready(attempts: DataFrame) -> DataFrame:
    """Return rows in order, with every column that a detector may ask for."""
    rows = attempts.sort_values(["occurred_at", "id"], ignore_index=True)
    if "subject" not in rows.columns:
        rows["subject"] = rows["user"]
    kind = rows["outcome"].dtype
    for column in _MISSING:
        if column not in rows.columns:
            rows[column] = pd.Series(pd.NA, index=rows.index, dtype=kind)
    # Every slice copies them, deeply: no more than a detector asks for.
    rows.attrs = {"masked": bool(attempts.attrs.get("masked"))}
    return rows
