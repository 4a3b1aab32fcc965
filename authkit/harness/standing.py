"""What a load run stands on: its users, its keys, and what the cluster tells it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from authkit.cluster.breaker import BreakerState
from authkit.cluster.events import BreakerChanged, Doubted, Event, Retried
from authkit.errors import ConfigError
from authkit.harness.recording import NO_NODE
from authkit.harness.summary import BREAKER_OPENED, IN_DOUBT, RETRY

if TYPE_CHECKING:
    from authkit.kit import Kit
    from authkit.settings import Settings

_USERS: Final = """
SELECT id FROM authkit.users WHERE disabled_at IS NULL ORDER BY id LIMIT 5000
"""


def users(kit: Kit) -> list[UUID]:
    """Return the ids to log in as.

    Raises:
        ConfigError: there is none.
    """
    with kit.cluster.writer() as connection:
        found = [row[0] for row in connection.execute(_USERS).fetchall()]
    if not found:
        problem = "the database has no users to log in as: run `authkit db seed`"
        raise ConfigError([problem])
    return found


def version(kit: Kit) -> str:
    """Return the version of the primary, as in `18.1`."""
    with kit.cluster.writer() as connection:
        number = connection.info.server_version
    return f"{number // 10_000}.{number % 10_000}"


def with_keys(settings: Settings) -> Settings:
    """Return the settings with a key ring, made for this process where there is none.

    Tokens that a load issues are derived by it, and are worth nothing when the process
    has ended.
    """
    if settings.authkit_sealing_keys is not None:
        return settings
    from pydantic import SecretStr

    key = b64encode(os.urandom(32)).decode("ascii")
    return settings.model_copy(
        update={"authkit_sealing_keys": SecretStr(f"load:{key}")}
    )


def count_events(kit: Kit, count: Callable[[str, str], None]) -> None:
    """Count what the cluster tells; it calls where the event was seen."""

    def happened(event: Event) -> None:
        if isinstance(event, Retried):
            count(RETRY, NO_NODE)
        elif isinstance(event, Doubted):
            count(IN_DOUBT, event.node)
        elif isinstance(event, BreakerChanged) and event.after is BreakerState.OPEN:
            count(BREAKER_OPENED, event.node)

    kit.cluster.events.subscribe(happened, Retried, BreakerChanged, Doubted)
