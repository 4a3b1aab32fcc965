"""From an alert to everything around it: who, from where, with what, and when.

An entity is all the rows of one user, address, autonomous system or device; a pivot
goes from it to its neighbours. Masked and clear frames work alike.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from authkit.analysis.picture import needs
from authkit.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from pandas import DataFrame

Kind = Literal["user", "address", "network", "asn", "device", "country"]
KINDS: tuple[Kind, ...] = ("user", "address", "network", "asn", "device", "country")
_WRONG = ("failed", "denied")
_HEAD = 10


@dataclass(frozen=True, slots=True)
class Entity:
    """One user, address, network, autonomous system, device or country."""

    kind: Kind
    key: str
    rows: DataFrame = field(repr=False)

    def pivot(self, to: Kind) -> DataFrame:
        """Return its neighbours of a kind, by how much they have to do with it."""
        return pivot(self.rows, to)

    def summary(self) -> dict[str, object]:
        """Return what there is to say at a glance."""
        outcomes = self.rows["outcome"]
        return {
            "attempts": len(self.rows),
            "succeeded": int((outcomes == "succeeded").sum()),
            "wrong": int(outcomes.isin(_WRONG).sum()),
            "first": self.rows["occurred_at"].min(),
            "last": self.rows["occurred_at"].max(),
            **{
                kind: int(self.rows[kind].nunique())
                for kind in KINDS
                if kind != self.kind and kind in self.rows.columns
            },
        }

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in self.summary().items()
        )
        title = html.escape(f"{self.kind} {self.key}")
        return f"<h4>{title}</h4><table>{cells}</table>"


def entity(attempts: DataFrame, kind: Kind, key: object) -> Entity:
    """Return one entity of a frame of attempts.

    Args:
        attempts: as `frames.attempts()` returns them, with the column of that kind.
        kind: the column: user, address, network, autonomous system, device or country.
        key: its value there; a token when the frame is masked.

    Raises:
        InvalidInput: there is no such kind, or the frame lacks a column.
        NotFound: nothing in the frame is of it.
    """
    if kind not in KINDS:
        raise InvalidInput(f"{kind} is none of {', '.join(KINDS)}")
    needs(attempts, kind, "occurred_at", "outcome")
    rows = attempts[(attempts[kind] == key).fillna(False).astype(bool)]
    if rows.empty:
        raise NotFound(f"nothing in this frame is of that {kind}")
    return Entity(kind, str(key), rows)


def pivot(attempts: DataFrame, to: Kind) -> DataFrame:
    """Return each value of a column with its attempts, outcomes, times and reach.

    Returns:
        One row for each value, the busiest first: `attempts`, `wrong`, `succeeded`,
        `users`, `addresses`, `first`, `last`.

    Raises:
        InvalidInput: there is no such column, or the frame lacks one.
    """
    if to not in KINDS:
        raise InvalidInput(f"{to} is none of {', '.join(KINDS)}")
    needs(attempts, to, "occurred_at", "outcome", "user", "address")
    made = (
        attempts.assign(
            _wrong=attempts["outcome"].isin(_WRONG),
            _right=attempts["outcome"] == "succeeded",
        )
        .groupby(to, observed=True)
        .agg(
            attempts=("outcome", "size"),
            wrong=("_wrong", "sum"),
            succeeded=("_right", "sum"),
            users=("user", "nunique"),
            addresses=("address", "nunique"),
            first=("occurred_at", "min"),
            last=("occurred_at", "max"),
        )
    )
    return made.reset_index().sort_values(
        ["attempts", to], ascending=[False, True], ignore_index=True
    )


def sessionize(
    attempts: DataFrame, *, by: Kind = "user", gap: timedelta = timedelta(minutes=30)
) -> DataFrame:
    """Return visits: runs of attempts of one entity with no longer pause than `gap`.

    Returns:
        One row for each visit in order of its begin: the entity, `visit` (counted from
        1 for each), `first`, `last`, `attempts`, `wrong`, `succeeded`, `addresses`.

    Raises:
        InvalidInput: the gap is not positive.
    """
    if gap <= timedelta(0):
        raise InvalidInput("the gap must be positive")
    needs(attempts, by, "occurred_at", "outcome", "address")
    known = attempts[attempts[by].notna()].sort_values([by, "occurred_at"])
    pause = known.groupby(by, observed=True)["occurred_at"].diff()
    begins = (pause.isna() | (pause > gap)).astype("int64")
    visit = begins.groupby(known[by], observed=True).cumsum()
    made = (
        known.assign(
            visit=visit,
            _wrong=known["outcome"].isin(_WRONG),
            _right=known["outcome"] == "succeeded",
        )
        .groupby([by, "visit"], observed=True)
        .agg(
            first=("occurred_at", "min"),
            last=("occurred_at", "max"),
            attempts=("outcome", "size"),
            wrong=("_wrong", "sum"),
            succeeded=("_right", "sum"),
            addresses=("address", "nunique"),
        )
        .reset_index()
    )
    return made.sort_values(["first", by], ignore_index=True)
