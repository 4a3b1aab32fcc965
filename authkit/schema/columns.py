"""Column types and the checks that several tables share."""

from __future__ import annotations

import uuid
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias, cast

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    BIGINT,
    BOOLEAN,
    BYTEA,
    DOUBLE_PRECISION,
    INET,
    INTEGER,
    INTERVAL,
    JSONB,
    SMALLINT,
    TIMESTAMP,
    UUID,
)
from sqlalchemy.types import TypeEngine

IPAddress: TypeAlias = IPv4Address | IPv6Address
JsonObject: TypeAlias = dict[str, Any]

USER_AGENT_CHARS = 512
DIGEST_BYTES = 32

# psycopg reads `inet` without a prefix length as an address object, not as text.
ADDRESS = cast("TypeEngine[IPAddress]", INET())
BIG = BIGINT()
BYTES = BYTEA()
BIGS = cast("TypeEngine[list[int]]", ARRAY(BIGINT()))
FLAG = BOOLEAN()
INSTANT = TIMESTAMP(timezone=True)
INT = INTEGER()
JSON_OBJECT = cast("TypeEngine[JsonObject]", JSONB(none_as_null=True))
LENGTH_OF_TIME = INTERVAL()
REAL = cast("TypeEngine[float]", DOUBLE_PRECISION())
SMALL = SMALLINT()
TEXT = Text()
TEXTS = cast("TypeEngine[list[str]]", ARRAY(Text()))
UUID_ = UUID(as_uuid=True)
UUIDS = cast("TypeEngine[list[uuid.UUID]]", ARRAY(UUID(as_uuid=True)))


def check(name: str, condition: str) -> CheckConstraint:
    """Return a named CHECK; the naming convention puts the table's name before it."""
    return CheckConstraint(condition, name=name)


def digest(column: str) -> CheckConstraint:
    """Hold a column to the length of a SHA-256 digest: no clear value fits by luck."""
    return check(f"{column}_digest", f"octet_length({column}) = {DIGEST_BYTES}")


def one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    """Hold a text column to a closed list of words."""
    quoted = ", ".join(f"'{word}'" for word in words)
    return check(f"{column}_known", f"{column} IN ({quoted})")


def slug(column: str) -> CheckConstraint:
    """Hold a column to one lower-case word, as reasons and policy names are.

    It is `^[a-z][a-z0-9_.-]{0,62}$` without a regular expression, which costs every row
    some 7 us here: what is trimmed away whole has no other character.
    """
    return check(
        f"{column}_slug",
        f"octet_length({column}) <= 63 AND ascii({column}) BETWEEN 97 AND 122"
        f" AND btrim({column}, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''",
    )


def length(column: str, longest: int, *, shortest: int = 1) -> CheckConstraint:
    """Bound the characters of a text column."""
    return check(
        f"{column}_length", f"char_length({column}) BETWEEN {shortest} AND {longest}"
    )


def user_agent() -> CheckConstraint:
    """Bound the user agent: clients send kilobytes, and it is never indexed."""
    return check("user_agent_length", f"char_length(user_agent) <= {USER_AGENT_CHARS}")


def json_object(column: str) -> CheckConstraint:
    """Hold a jsonb column to an object."""
    return check(f"{column}_object", f"jsonb_typeof({column}) = 'object'")


def risk_score(column: str = "risk_score") -> CheckConstraint:
    """Hold a score to a finite number; NULL is unscored.

    A score is what its model says (a ratio, a logarithm, a count), so it has no other
    bound; scores compare within one model only. NaN sorts above infinity in PostgreSQL
    (documentation, section 8.1.3), so the upper bound refuses it too.
    """
    return check(
        f"{column}_finite", f"{column} > '-Infinity' AND {column} < 'Infinity'"
    )


def password_hash() -> CheckConstraint:
    """Hold a password hash to the PHC string format; argon2id is what to write.

    `$id[$v=version][$parameters][$salt[$hash]]`, so a clear password cannot be stored
    by mistake: it would have to begin with a dollar sign and parse.
    """
    return check(
        "password_hash_phc",
        r"password_hash ~ '^\$[a-z0-9-]{1,32}(\$v=[0-9]{1,10})?"
        r"(\$[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+(,[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+)*)?"
        r"\$[A-Za-z0-9/+.-]{1,64}\$[A-Za-z0-9/+.-]{16,128}$'",
    )


def together(name: str, *columns: str) -> CheckConstraint:
    """Let columns be all null or all set: `num_nulls` (documentation, section 9.2)."""
    return check(name, f"num_nulls({', '.join(columns)}) IN (0, {len(columns)})")


def sealed(*columns: str, key: str = "sealing_key_id") -> CheckConstraint:
    """Ask for the id of the sealing key wherever a sealed value stands."""
    return check(
        f"{key}_present", f"num_nonnulls({', '.join(columns)}) = 0 OR {key} IS NOT NULL"
    )


def country(column: str = "country") -> CheckConstraint:
    """Hold a column to the shape of an ISO 3166-1 alpha-2 code."""
    return check(f"{column}_code", f"{column} ~ '^[A-Z]{{2}}$'")
