"""Idempotency keys: one row, written in the transaction that it stands for.

Whether a transaction in doubt was applied is asked by *claiming* its key. The claim
waits for a commit in flight, bars one that comes late, and by its own synchronous
commit confirms the earlier one; reading the row would do none of the three.
"""

from __future__ import annotations

from enum import Enum
from typing import LiteralString

from authkit.errors import InvalidInput

LONGEST = 200

INSERT: LiteralString = """
INSERT INTO authkit.write_keys (key, status, epoch)
VALUES (%s, 'applied', %s)
"""

CLAIM: LiteralString = """
INSERT INTO authkit.write_keys AS k (key, status, epoch)
VALUES (%s, 'void', %s)
ON CONFLICT (key) DO UPDATE SET status = k.status
RETURNING status
"""

CONSTRAINT = "write_keys_pkey"


class Resolution(Enum):
    """What became of a write in doubt, on the timeline that is current."""

    APPLIED = "applied"
    VOID = "void"


def check_key(key: str) -> str:
    """Return the key, or refuse it.

    Raises:
        InvalidInput: it is empty, too long, or holds a NUL.
    """
    if not 0 < len(key) <= LONGEST or "\0" in key:
        raise InvalidInput(f"a write key has 1 to {LONGEST} characters")
    return key
