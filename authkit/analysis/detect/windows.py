"""Rules applied to a frame: one pass over the wrong attempts of each key, by time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from authkit.analysis.detect.rules import RULES, Rule
from authkit.analysis.picture import needs
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

_WRONG = ("failed", "denied", "abandoned")
_COLUMNS = (
    "detector",
    "technique",
    "severity",
    "first",
    "last",
    "user",
    "address",
    "attempts",
    "people",
    "addresses",
    "entered",
    "evidence",
)


def findings(
    attempts: DataFrame, rules: Iterable[Rule] = tuple(RULES.values())
) -> DataFrame:
    """Return what every rule finds, in order of time; see `detect`."""
    made = [detect(attempts, rule) for rule in rules]
    if not made:
        raise InvalidInput("there is no rule")
    return pd.concat(made).sort_values(["first", "detector"], ignore_index=True)


def detect(attempts: DataFrame, rule: Rule | str) -> DataFrame:
    """Return what one rule finds.

    Args:
        attempts: as `frames.attempts()` returns them: `id`, `occurred_at`, `user`,
            `address`, `outcome`, `method`; with `subject`, names without an account
            count as people too.
        rule: a rule, or the name of one in `RULES`.

    Returns:
        One row for each finding: `detector`, `technique`, `severity` (`high` where a
        success of the same people from the same addresses follows within a window,
        else `medium`), `first`, `last`, `user` and `address` (where there is one
        only), `attempts`, `people`, `addresses`, `entered` (those who succeeded) and
        `evidence`, the ids. Windows that overlap are one finding.

    Raises:
        InvalidInput: there is no such rule, or the frame lacks a column.
    """
    if isinstance(rule, str):
        if rule not in RULES:
            raise InvalidInput(f"{rule} is none of {', '.join(RULES)}")
        rule = RULES[rule]
    needs(attempts, "id", "occurred_at", "user", "address", "outcome", "method")
    person = attempts["user"]
    if "subject" in attempts.columns:
        person = attempts["subject"].fillna(person)
    rows = attempts.assign(person=person)
    rows = rows[rows["person"].notna() & rows["address"].notna()]
    rows = rows.sort_values(["occurred_at", "id"])
    wrong = rows[rows["outcome"].isin(_WRONG)]
    if rule.method is not None:
        wrong = wrong[wrong["method"] == rule.method]
    right = rows[rows["outcome"] == "succeeded"]
    found: list[dict[str, Any]] = []
    for _, part in wrong.groupby(list(rule.by), sort=False, observed=True):
        if len(part) < rule.attempts:
            continue
        times = part["occurred_at"].to_numpy(dtype="datetime64[us]").astype("int64")
        people, addresses = part["person"].to_numpy(), part["address"].to_numpy()
        for first, last in _spans(rule, times, people, addresses):
            found.append(_finding(rule, part.iloc[first : last + 1], right))
    made = pd.DataFrame(found, columns=pd.Index(_COLUMNS))
    if not found:
        return _empty(made, attempts)
    return made.sort_values("first", ignore_index=True)


def _spans(
    rule: Rule, times: Any, people: Any, addresses: Any
) -> Iterator[tuple[int, int]]:
    """Yield first and last position of each run of windows that fulfil the rule."""
    reach = int(rule.window.total_seconds() * 1e6)
    each: Counter[str] = Counter()
    places: Counter[str] = Counter()
    inside: deque[int] = deque()
    enough = over = 0
    most = rule.most_each if rule.most_each is not None else len(times)
    span: tuple[int, int] | None = None
    for at in range(len(times)):
        inside.append(at)
        places[addresses[at]] += 1
        each[people[at]] += 1
        count = each[people[at]]
        enough += count == rule.fewest_each
        over += count == most + 1
        while times[at] - times[inside[0]] > reach:
            gone = inside.popleft()
            places[addresses[gone]] -= 1
            if not places[addresses[gone]]:
                del places[addresses[gone]]
            count = each[people[gone]]
            enough -= count == rule.fewest_each
            over -= count == most + 1
            each[people[gone]] = count - 1
        if (
            len(inside) >= rule.attempts
            and enough >= rule.people
            and not over
            and len(places) >= rule.addresses
        ):
            if span is not None and inside[0] <= span[1]:
                span = (span[0], at)
            else:
                if span is not None:
                    yield span
                span = (inside[0], at)
    if span is not None:
        yield span


def _finding(rule: Rule, part: DataFrame, right: DataFrame) -> dict[str, Any]:
    first, last = part["occurred_at"].iloc[0], part["occurred_at"].iloc[-1]
    soon = (right["occurred_at"] > first) & (right["occurred_at"] <= last + rule.window)
    theirs = right["person"].isin(part["person"].unique())
    if rule.method is None:
        theirs &= right["address"].isin(part["address"].unique())
    entered = cast("DataFrame", right.loc[soon & theirs])
    users, addresses = part["user"].dropna().unique(), part["address"].unique()
    return {
        "detector": rule.name,
        "technique": rule.technique,
        "severity": "high" if len(entered) else "medium",
        "first": first,
        "last": last,
        "user": users[0] if len(users) == 1 and "person" in rule.by else np.nan,
        "address": addresses[0] if len(addresses) == 1 else np.nan,
        "attempts": len(part),
        "people": part["person"].nunique(),
        "addresses": len(addresses),
        "entered": entered["person"].nunique(),
        "evidence": [*part["id"], *entered["id"]],
    }


def _empty(made: DataFrame, attempts: DataFrame) -> DataFrame:
    kinds = {
        "first": attempts["occurred_at"].dtype,
        "last": attempts["occurred_at"].dtype,
        **dict.fromkeys(("attempts", "people", "addresses", "entered"), "int64"),
        **dict.fromkeys(
            ("detector", "technique", "severity", "user", "address"),
            attempts["user"].dtype,
        ),
    }
    return made.astype(kinds)
