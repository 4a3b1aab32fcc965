"""JSON in one form only: the canonicalisation scheme of RFC 8785 (JCS).

An audit entry is hashed as bytes, so one value must have one writing: keys sorted by
UTF-16 code unit, no space, numbers as ECMAScript prints them, strings escaped only
where they must be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import cast

from authkit.errors import InvalidInput

# RFC 7493 section 2.2: beyond these an integer is not the same number to every reader.
MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64

# ECMA-262 section 6.1.6.1.20: decimal notation from 1e-6 up to 21 digits.
_MAX_PLAIN = 21
_MIN_PLAIN = -6


def canonical(value: object) -> bytes:
    """Return the RFC 8785 form of a JSON value, as UTF-8.

    Raises:
        InvalidInput: the value is not JSON (another type, NaN, infinity, an integer
            beyond 2**53 - 1, a lone surrogate, nesting deeper than 64), or holds a
            NUL character, which PostgreSQL's jsonb cannot.
    """
    return _write(value, 0).encode("utf-8")


def _write(value: object, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"the JSON value is nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            return _integer(value)
        case float():
            return number(value)
        case Mapping():
            return _object(cast("Mapping[object, object]", value), depth)
        case list() | tuple():
            items = cast("list[object]", value)
            return "[" + ",".join(_write(item, depth + 1) for item in items) + "]"
        case _:
            raise InvalidInput(f"a {type(value).__name__} is not a JSON value")


def _object(value: Mapping[object, object], depth: int) -> str:
    names: list[str] = []
    for name in value:
        if not isinstance(name, str):
            raise InvalidInput("the names of a JSON object must be strings")
        names.append(name)
    written = [(_string(name), _write(value[name], depth + 1), name) for name in names]
    written.sort(key=lambda item: item[2].encode("utf-16-be"))
    return "{" + ",".join(f"{name}:{text}" for name, text, _ in written) + "}"


def _string(value: str) -> str:
    if "\x00" in value:
        raise InvalidInput("a NUL character cannot be stored in PostgreSQL's jsonb")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("a lone surrogate is not a Unicode character") from None
    # Python's escapes are those of RFC 8785 section 3.2.2.2: the two-character ones
    # where they exist, \u00xx in lower case for other controls, nothing else.
    return json.dumps(value, ensure_ascii=False)


def _integer(value: int) -> str:
    if abs(value) > MAX_SAFE_INTEGER:
        raise InvalidInput("an integer beyond 2**53 - 1 is not safe in JSON")
    return str(int(value))


def number(value: float) -> str:
    """Write a double as ECMAScript's Number::toString does (RFC 8785 section 3.2.2.3).

    Raises:
        InvalidInput: it is NaN or an infinity.
    """
    if not math.isfinite(value):
        raise InvalidInput("NaN and infinities are not JSON numbers")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    # repr gives the shortest digits that read back as the same double, as ECMA does.
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    all_digits = whole + fraction
    digits = all_digits.lstrip("0")
    point = len(whole) + int(exponent_text or 0) - (len(all_digits) - len(digits))
    digits = digits.rstrip("0")
    return sign + _notation(digits, point)


def _notation(digits: str, point: int) -> str:
    """Place the decimal point: the value is 0.`digits` times ten to the `point`."""
    count = len(digits)
    if count <= point <= _MAX_PLAIN:
        return digits + "0" * (point - count)
    if 0 < point <= _MAX_PLAIN:
        return f"{digits[:point]}.{digits[point:]}"
    if _MIN_PLAIN < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    head = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{head}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
