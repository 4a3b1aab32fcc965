"""Detectors that slide a window: what counts in each, by what key, what is too much.

What a window must hold comes from the parameters of the detector of the same name in
`authkit.risk.detectors`; only what SQL says of a row is said here of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from authkit.analysis.detect.found import TOLD, Found
from authkit.analysis.detect.windows import Inside, around, islands, microseconds

Values = Mapping[str, Any]
# pandas-stubs do not know what a mask or a grouping leaves of a frame.
Rows = Any
Mask = Any
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sliding:
    """A window: `key` and what is told apart are columns of a frame made ready.

    `halves` are the two parts of what is told apart, where the condition asks for each.
    """

    key: tuple[str, ...]
    counted: Callable[[Rows, Values], Mask]
    fulfils: Callable[[Inside, Values], bool] = lambda inside, values: True  # one word
    good: Callable[[Rows, Rows], Mask] | None = None
    other: str | None = None
    halves: tuple[str, str] | None = None

    def find(self, rows: Rows, values: Values) -> Iterator[Found]:
        """Yield what is found in rows in order of time."""
        there = rows[list(self.key)].notna().all(axis=1)
        counted = rows[self.counted(rows, values) & there]
        if counted.empty:
            return
        if self.other == "login":
            counted = counted.assign(login=_login(counted, rows))
        span = values["span"]
        one, two = self.halves or ("id", "id")
        whole = counted[one].notna() & counted[two].notna()
        times = microseconds(counted["occurred_at"])
        kinds = counted[self.other or "id"].fillna("").to_numpy(dtype=object)
        ones, twos = (
            counted[half].where(whole, "").to_numpy(dtype=object) for half in (one, two)
        )
        told = counted[TOLD]
        # The key of a single column comes bare, not as a tuple of one.
        groups: Any = (
            counted.groupby(list(self.key), sort=False).indices.items()
            if self.key
            else [((), np.arange(len(counted)))]
        )
        for found_key, positions in groups:
            key: tuple[Any, ...] = found_key if len(self.key) != 1 else (found_key,)
            if len(positions) < values["attempts"]:
                continue
            for first, last in islands(
                times[positions],
                kinds[positions],
                (ones[positions], twos[positions]),
                span,
                lambda inside: (
                    inside.attempts >= values["attempts"]
                    and self.fulfils(inside, values)
                ),
            ):
                found = told.iloc[positions[first : last + 1]]
                yield Found(
                    " ".join(map(str, key)) or "everybody",
                    found,
                    self._followed(rows, found, key, span),
                )

    def _followed(
        self, rows: Rows, found: Rows, key: tuple[Any, ...], span: timedelta
    ) -> bool:
        if self.good is None:
            return True
        begin, end = found["occurred_at"].iloc[0], found["occurred_at"].iloc[-1] + span
        times = rows["occurred_at"]
        soon = rows.iloc[times.searchsorted(begin) : times.searchsorted(end, "right")]
        good = self.good(soon, found)
        for name, value in zip(self.key, key, strict=True):
            good &= soon[name] == value
        return bool(good.fillna(False).any())


def _login(counted: Rows, rows: Rows) -> Any:
    """Return the login that a one-time code belongs to.

    Its session; before there is one, the user's accepted password of the last hour;
    else the attempt itself.
    """
    passed = rows[_primary(rows) & _succeeded(rows) & rows["user"].notna()]
    before = pd.merge_asof(
        counted[["occurred_at", "user"]],
        passed[["occurred_at", "user", "id"]],
        on="occurred_at",
        by="user",
        tolerance=_HOUR - pd.Timedelta(microseconds=1),
    )["id"].set_axis(counted.index)
    return counted["session"].fillna(before).fillna(counted["id"])


def _primary(rows: Rows) -> Mask:
    return rows["stage"] == "primary"


def _succeeded(rows: Rows) -> Mask:
    return rows["outcome"] == "succeeded"


def _wrong(rows: Rows, _values: Values) -> Mask:
    return rows["outcome"].isin(("failed", "denied")) & _primary(rows)


def _right(rows: Rows, _found: Rows) -> Mask:
    return _succeeded(rows)


def _theirs(rows: Rows, found: Rows) -> Mask:
    """A success from an address of the finding."""
    return (
        _succeeded(rows)
        & _primary(rows)
        & rows["address"].isin(found["address"].dropna().unique())
    )


def _shared(person: str, fewest: str | int) -> Callable[[Rows, Values], Mask]:
    """Wrong attempts from addresses that try several people at about that time."""

    def counted(rows: Rows, values: Values) -> Mask:
        wrong = _wrong(rows, values) & rows["address"].notna()
        if person == "user":
            wrong &= rows["user"].notna()
        least = values[fewest] if isinstance(fewest, str) else fewest
        part = rows.loc[wrong]
        enough = around(part, "address", person, values["span"]) >= least
        return pd.Series(enough, index=part.index).reindex(rows.index, fill_value=False)

    return counted


def _session(rows: Rows, _values: Values) -> Mask:
    return rows["device"].notna() & rows["address"].notna()


def _code(rows: Rows) -> Mask:
    return rows["method"] == "totp"


def _second(rows: Rows) -> Mask:
    return rows["stage"] == "second_factor"


SLIDING: dict[str, Sliding] = {
    "brute_force": Sliding(("subject", "address"), _wrong, good=_right),
    "distributed_brute_force": Sliding(
        ("subject",),
        _wrong,
        lambda inside, values: inside.kinds >= values["addresses"],
        _right,
        "address",
    ),
    "password_spray": Sliding(
        ("address",),
        _wrong,
        lambda inside, values: inside.few >= values["users"],
        _right,
        "subject",
    ),
    "distributed_spray": Sliding(
        (),
        _shared("user", 2),
        lambda inside, values: (
            len(inside.ones) >= values["addresses"]
            and len(inside.twos) >= values["users"]
        ),
        _theirs,
        halves=("address", "subject"),
    ),
    "credential_stuffing": Sliding(
        ("address",),
        lambda rows, _values: _primary(rows),
        lambda inside, values: inside.rare >= values["users"],
        _right,
        "subject",
    ),
    "distributed_stuffing": Sliding(
        (),
        _shared("subject", "each"),
        lambda inside, values: inside.rare >= values["users"],
        _theirs,
        "subject",
    ),
    "totp_guessing": Sliding(
        ("user",),
        lambda rows, _values: _code(rows) & (rows["outcome"] == "failed"),
        lambda inside, values: inside.kinds >= values["sessions"],
        lambda rows, _found: _code(rows) & _succeeded(rows),
        "login",
    ),
    "concurrent_countries": Sliding(
        ("user",),
        lambda rows, _values: _succeeded(rows) & rows["country"].notna(),
        lambda inside, values: inside.kinds >= values["countries"],
        other="country",
    ),
    "mfa_fatigue": Sliding(
        ("user",),
        lambda rows, _values: _second(rows) & (rows["outcome"] == "denied"),
        good=lambda rows, _found: _second(rows) & _succeeded(rows),
    ),
    "session_hijack": Sliding(
        ("session",),
        _session,
        lambda inside, values: (
            len(inside.ones) >= values["devices"]
            and len(inside.twos) >= values["addresses"]
        ),
        _right,
        halves=("device", "address"),
    ),
}
