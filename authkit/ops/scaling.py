"""Where each statement of the hot path can run when one primary is not enough. Pure.

Read from the operations themselves: `python -m authkit.ops.scaling` prints the table.
The rules for shards are those of Citus (its documentation, "SQL Support and
Workarounds", https://docs.citusdata.com/en/stable/develop/reference_workarounds.html):
what one shard answers may be any SQL, but for a change that calls a volatile function,
which is refused in every case; across shards a read works, and a plain UPDATE or DELETE
of one table; row locks do not. It says nothing of WITH that modifies across shards any
more, which version 7.2 excluded: taken as refused still.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from authkit.hot.operation import AnyOperation, Intent
from authkit.hot.registry import BY_NAME

# The column that says in which shard a row is, and the parameters that name it.
SHARDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "active_sessions": "user",
        "auth_attempts": "attempt",  # whose it is may not be known
        "oauth_auth_codes": "user",
        "oauth_issued_tokens": "user",
        "oauth_state_tracking": "state",
        "oauth_token_cache": "user",
        "oauth_token_families": "user",
        "rate_limit_tracking": "identifier",
        "sessions": "user",
        "user_auth_cache": "user",
        "user_roles": "user",
        "users": "user",
        "write_keys": "key",
    }
)
# Small and the same everywhere: every shard has a copy.
EVERYWHERE: Final = frozenset({"permissions", "role_permissions", "roles"})
_NAMED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attempt": "id",
        "user": "user_id",
        "state": "state_digest",
        "identifier": "identifier",
    }
)
_TABLE: Final = re.compile(r"\bauthkit\.(\w+)\b(?!\()")
_NEEDS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "WITH that modifies": re.compile(r"\(\s*(?:INSERT|UPDATE|DELETE)\b"),
        "row locks": re.compile(r"\bFOR (?:NO KEY )?UPDATE\b"),
        "SKIP LOCKED": re.compile(r"\bSKIP LOCKED\b"),
        "ON CONFLICT": re.compile(r"\bON CONFLICT\b"),
        "synchronous_commit": re.compile(r"\bsynchronous_commit\b"),
    }
)
_CHANGED: Final = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) authkit\.(\w+)")
_CHANGES_ROWS: Final = re.compile(r"\b(?:UPDATE authkit|DELETE FROM|DO UPDATE SET)\b")
# Read from the text: also where the call stands in a WITH that changes nothing itself.
_VOLATILE: Final = re.compile(r"\b(?:clock_timestamp|random|gen_random_uuid)\(")
_NOWHERE: Final = "no: needs one server"
CLOCK, TWICE = "clock in a change", "a table changed twice"
_ONE_SHARD_ONLY: Final = frozenset({"WITH that modifies", "row locks", "SKIP LOCKED"})


@dataclass(frozen=True, slots=True)
class Placement:
    """What one statement needs, and where it finds its rows.

    `shard` is the parameter that names the one shard it needs, or None.
    """

    operation: str
    tables: tuple[str, ...]
    needs: tuple[str, ...]
    shard: str | None
    sharded: str


def placed(operation: AnyOperation) -> Placement:
    """Say where a statement can run.

    Raises:
        LookupError: it uses a table of which nobody said in which shard its rows are.
    """
    tables = tuple(sorted(set(_TABLE.findall(operation.sql))))
    spread = [table for table in tables if table not in EVERYWHERE]
    keys = {SHARDS[table] for table in spread}
    needs = tuple(_needs(operation.sql))
    shard = _NAMED_BY.get(next(iter(keys))) if len(keys) == 1 else None
    given = dict(zip(operation.parameters, operation.types, strict=True))
    if shard is not None and given.get(shard, "[]").endswith("[]"):
        shard = None  # not named, or many at once
    if shard is not None:
        verdict = f"one shard, by {shard}"
    elif operation.intent is Intent.READ:
        verdict = "asks every shard"
    elif set(needs) & _ONE_SHARD_ONLY or len(spread) > 1:
        verdict = _NOWHERE
    elif re.match(r"\s*INSERT\b", operation.sql):
        verdict = "each row in its shard"
    else:
        verdict = "changes every shard"
    if CLOCK in needs and verdict != _NOWHERE:
        verdict += ", with its clock a parameter"
    return Placement(operation.name, tables, needs, shard, verdict)


def _needs(statement: str) -> Iterator[str]:
    for name, form in _NEEDS.items():
        if form.search(statement):
            yield name
    if _CHANGES_ROWS.search(statement) and _VOLATILE.search(statement):
        yield CLOCK
    changed = _CHANGED.findall(statement)
    if len(changed) > len(set(changed)):
        yield TWICE


def placements() -> tuple[Placement, ...]:
    """Return every statement of the hot path, by name."""
    return tuple(placed(BY_NAME[name]) for name in sorted(BY_NAME))


def lines(found: Iterable[Placement]) -> Iterable[str]:
    """Write placements as a table of Markdown."""
    yield "| statement | tables | needs of the server | over shards |"
    yield "| --- | --- | --- | --- |"
    for each in found:
        tables, needs = ", ".join(each.tables), ", ".join(each.needs) or "-"
        yield f"| `{each.operation}` | {tables} | {needs} | {each.sharded} |"


if __name__ == "__main__":
    print("\n".join(lines(placements())))  # noqa: T201 # its whole purpose
