"""What a load run stands on: its users, its keys, and what the cluster tells it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final
from uuid import UUID

from gevent.pool import Pool

from authkit.cluster.breaker import BreakerState
from authkit.cluster.events import BreakerChanged, Doubted, Event, Retried
from authkit.errors import ConfigError
from authkit.harness.recording import NO_NODE
from authkit.harness.summary import BREAKER_OPENED, IN_DOUBT, RETRY
from authkit.harness.world import OpenSession, World
from authkit.kit.login_values import Begun

if TYPE_CHECKING:
    from authkit.kit import Kit
    from authkit.settings import Settings

_OPENERS: Final = 8
_USERS: Final = """
SELECT id, email FROM authkit.users
WHERE disabled_at IS NULL AND erased_at IS NULL ORDER BY id LIMIT 5000
"""


def users(kit: Kit) -> dict[UUID, str]:
    """Return the users to log in as: id and e-mail address.

    Raises:
        ConfigError: there is none.
    """
    with kit.cluster.writer() as connection:
        found: dict[UUID, str] = dict(connection.execute(_USERS).fetchall())
    if not found:
        problem = "the database has no users to log in as: run `authkit db seed`"
        raise ConfigError([problem])
    return found


def sessions(open_one: Callable[[], OpenSession], count: int) -> list[OpenSession]:
    """Open the sessions that stand during a run, several at a time."""
    pool = Pool(_OPENERS)
    return list(pool.imap_unordered(lambda _: open_one(), range(count)))


def version(kit: Kit) -> str:
    """Return the version of the primary, as in `18.1`."""
    with kit.cluster.writer() as connection:
        number = connection.info.server_version
    return f"{number // 10_000}.{number % 10_000}"


def with_keys(settings: Settings) -> Settings:
    """Return the settings with keys, made for this process where there are none.

    Tokens that a load issues are derived by them and names are hashed by them: both are
    worth nothing when the process has ended.
    """
    from pydantic import SecretStr

    made = {
        name: SecretStr(prefix + b64encode(os.urandom(32)).decode("ascii"))
        for name, prefix in (
            ("authkit_sealing_keys", "load:"),
            ("authkit_token_key", ""),
        )
        if getattr(settings, name) is None
    }
    return settings.model_copy(update=made) if made else settings


def warm_up(kit: Kit, world: World, weights: Collection[str]) -> None:
    """Have what a first login loads, networks and browsers, loaded unmeasured."""
    if not {"login", "guess"} & set(weights):
        return
    begun = kit.logins.begin(
        world.nobody(), ip=world.any_address(), user_agent=world.browser()
    )
    if isinstance(begun, Begun):
        kit.logins.fail(begun, "unknown_user")


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
