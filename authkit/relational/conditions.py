"""Conditions of a permission: a small language of data, and it fails closed.

A condition is a JSON object; every member must hold:

- `{"equals": {"region": "eu"}}`: the request's `region` is exactly `"eu"`.
- `{"in": {"tier": ["gold", "silver"]}}`: the request's `tier` is one of these.
- `{"owner": "author_id"}`: the request's `author_id` is the user who asks.
- `{"window": {"start": "08:00", "end": "18:00", "zone": "Europe/Berlin",
  "days": [1, 2, 3, 4, 5]}}`: local time is in [start, end); ISO weekdays, Monday is 1.
  An end before the start crosses midnight and belongs to the day it started on.

A name that the request does not carry never matches, and neither does an operator
that this version does not know: a newer rule must not become a wider one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.relational.canonical import MAX_SAFE_INTEGER, canonical

Conditions = Mapping[str, object]
Context = Mapping[str, object]

OPERATORS = frozenset({"equals", "in", "owner", "window"})
_SCALAR = (str, int, float, bool, type(None))
_EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def parse(given: object) -> dict[str, object]:
    """Return the conditions if every part of them is understood.

    Raises:
        InvalidInput: it is no object, or an operator is unknown or malformed; or jsonb
            or the audit trail cannot hold it, or it is longer than 64 KiB.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput("conditions are an object of operators")
    conditions = cast("Conditions", given)
    unknown = sorted(set(conditions) - OPERATORS)
    if unknown:
        raise InvalidInput(f"unknown condition {unknown[0]!r}")
    for name in ("equals", "in"):
        if name in conditions:
            _check_members(name, conditions[name])
    owner = conditions.get("owner", "x")
    if not isinstance(owner, str) or not owner:
        raise InvalidInput("condition 'owner' is not the name of an attribute")
    if "window" in conditions and _window(conditions["window"]) is None:
        raise InvalidInput("condition 'window' is malformed")
    found = inputs.json_object(conditions, "condition")
    canonical(found)
    return found


def holds(
    conditions: Conditions, *, user: UUID, context: Context, now: datetime
) -> bool:
    """Tell whether every condition holds; an empty object always does.

    Args:
        conditions: as stored with the permission.
        user: who asks.
        context: what the caller knows of the request, by name.
        now: with a time zone.
    """
    return all(
        _holds(operator, argument, user, context, now)
        for operator, argument in conditions.items()
    )


def _holds(
    operator: str, argument: object, user: UUID, context: Context, now: datetime
) -> bool:
    match operator:
        case "equals" if isinstance(argument, Mapping):
            wanted = cast("Mapping[str, object]", argument)
            return all(k in context and _same(context[k], v) for k, v in wanted.items())
        case "in" if isinstance(argument, Mapping):
            lists = cast("Mapping[str, object]", argument)
            return all(
                k in context and _member(context[k], v) for k, v in lists.items()
            )
        case "owner" if isinstance(argument, str):
            return argument in context and str(context[argument]) == str(user)
        case "window":
            return _inside(argument, now)
        case _:
            return False


def _same(left: object, right: object) -> bool:
    # JSON tells true from 1; Python's == does not.
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _member(value: object, options: object) -> bool:
    if not isinstance(options, list | tuple):
        return False
    return any(_same(value, option) for option in cast("list[object]", options))


def _check_members(name: str, argument: object) -> None:
    if not isinstance(argument, Mapping):
        raise InvalidInput(f"condition {name!r} is not an object")
    for value in cast("Mapping[object, object]", argument).values():
        options: object = value if name == "in" else [value]
        if not isinstance(options, list) or not all(
            isinstance(option, _SCALAR) for option in cast("list[object]", options)
        ):
            raise InvalidInput(f"condition {name!r} compares with plain values only")
        # jsonb gives a larger float back as an integer, which no trail can hold.
        if any(
            isinstance(option, float) and abs(option) > MAX_SAFE_INTEGER
            for option in cast("list[object]", options)
        ):
            raise InvalidInput("a number beyond 2**53 - 1 is not safe in JSON")


_Window = tuple[time, time, ZoneInfo, tuple[int, ...]]


def _window(argument: object) -> _Window | None:
    if not isinstance(argument, Mapping):
        return None
    window = cast("Mapping[str, object]", argument)
    days = window.get("days", list(_EVERY_DAY))
    if set(window) - {"start", "end", "zone", "days"} or not isinstance(days, list):
        return None
    listed = cast("list[object]", days)
    try:
        start = time.fromisoformat(str(window["start"]))
        end = time.fromisoformat(str(window["end"]))
        zone = ZoneInfo(str(window.get("zone", "UTC")))
    except (KeyError, ValueError, OSError, ZoneInfoNotFoundError):
        return None
    if start.tzinfo or end.tzinfo or not all(day in _EVERY_DAY for day in listed):
        return None
    return start, end, zone, tuple(cast("list[int]", listed))


def _inside(argument: object, now: datetime) -> bool:
    window = _window(argument)
    if window is None:
        return False
    start, end, zone, days = window
    local = now.astimezone(zone)
    clock = local.time()
    today = local.isoweekday() in days
    if start <= end:
        return today and start <= clock < end
    yesterday = (local - timedelta(days=1)).isoweekday() in days
    return (today and clock >= start) or (yesterday and clock < end)
