"""One object that joins the rooms: sessions, attempts, units of work, frames."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from authkit.cluster import AsyncCluster, Token
from authkit.crypto import KeyedHash, KeyRing
from authkit.errors import ConfigError, InvalidInput
from authkit.hot import (
    AsyncAttempts,
    AsyncAuthCache,
    AsyncCoalescing,
    AsyncHot,
    AsyncOAuth,
    AsyncRateLimits,
    AsyncRouted,
    AsyncSessions,
)
from authkit.hot.inputs import Address
from authkit.hot.observing import Observer
from authkit.kit import keys
from authkit.kit._primitives.aio import aside
from authkit.kit.page import page_of
from authkit.kit.reading import url_for_reading, url_for_writing
from authkit.relational import AsyncUnitOfWork, Decision, Origin
from authkit.relational.access import decide_cached
from authkit.risk.networks import Networks
from authkit.settings import Settings

from .logins import AsyncLogins
from .risk import AsyncRisk

if TYPE_CHECKING:
    from authkit.analysis import Cases, Frames
    from authkit.ops.health import Health


def _analysis() -> Any:
    """Load the room of frames when it is asked for."""
    if find_spec("pandas") is None:
        raise ConfigError(
            ["frames need pandas: install authkit with its extra `notebook`"]
        )
    return import_module("authkit.analysis")


class AsyncKit:
    """authkit, connected. Close it, or use it as a block.

    Making one opens nothing; `open` (or entering the block) does. One kit serves a
    whole process and any number of concurrent callers.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        cluster: AsyncCluster | None = None,
    ) -> None:
        self.settings = (settings or Settings.load()).require_database()
        self.cluster = cluster or AsyncCluster(self.settings)
        self._runner = AsyncRouted(self.cluster)
        self.hot = AsyncHot(self._runner, lambda: self.key_ring)

    async def open(self, wait: timedelta | float | None = None) -> Self:
        """Connect, and find out which node is what. Idempotent.

        Raises:
            Unavailable: no node can be used; the message gives each one's reason.
        """
        await self.cluster.open(wait)
        return self

    async def close(self) -> None:
        """Let what is under way end, then close every connection. Idempotent."""
        await self.cluster.close()
        if "networks" in self.__dict__:
            self.networks.close()

    async def __aenter__(self) -> Self:
        """Open."""
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    @property
    def sessions(self) -> AsyncSessions:
        """Sessions: create, validate, touch, rotate, extend, revoke, list."""
        return self.hot.sessions

    @property
    def attempts(self) -> AsyncAttempts:
        """Attempts to authenticate: record, settle, look back."""
        return self.hot.attempts

    @property
    def rate_limits(self) -> AsyncRateLimits:
        """Rate limits: check, check many at once, peek, block, reset."""
        return self.hot.rate_limits

    @property
    def auth_cache(self) -> AsyncAuthCache:
        """What logins and permission checks need, in one read."""
        return self.hot.auth_cache

    @property
    def oauth(self) -> AsyncOAuth:
        """Logins at providers; authorisation codes; the tokens that we issue."""
        return self.hot.oauth

    @cached_property
    def coalesced(self) -> AsyncHot:
        """The same repositories, where concurrent calls fold into one statement.

        For many callers at once; a few go by themselves. A cancelled call may happen.
        """
        return AsyncHot(AsyncCoalescing(self._runner), lambda: self.key_ring)

    @cached_property
    def logins(self) -> AsyncLogins:
        """The login flow: begin, then succeed or fail."""
        return AsyncLogins(
            self.cluster,
            self._runner,
            lambda: self.keyed_hash,
            networks=self.networks,
        )

    @cached_property
    def risk(self) -> AsyncRisk:
        """Risk scores: now, explained, thresholds, upkeep of the counts."""
        return AsyncRisk(self._runner, networks=self.networks)

    @cached_property
    def networks(self) -> Networks:
        """Whose an address is: shipped data, or files of AUTHKIT_GEOIP_*."""
        return Networks.of(self.settings)

    async def check(
        self, user_id: UUID, permission: str, **context: object
    ) -> Decision:
        """Decide one permission of a user: from the cache, or else from the roles.

        Either way the primary answers, and a revocation counts at once.

        Args:
            user_id: who asks.
            permission: `resource:action`.
            context: what conditions may look at, by name.

        Raises:
            InvalidInput: the permission is malformed.
        """
        cached = await self.auth_cache.get(user_id)
        if cached is not None:
            return decide_cached(cached, permission, context)
        async with self.unit_of_work(read_only=True) as uow:
            return await uow.run(
                lambda w: w.roles.check(user_id, permission, **context)
            )

    def unit_of_work(
        self,
        *,
        actor: str = "system:authkit",
        ip: Address | None = None,
        user_agent: str | None = None,
        correlation_id: str | None = None,
        read_only: bool = False,
        max_lag: timedelta | None = None,
        after: Token | None = None,
        token: bool = False,
    ) -> AsyncUnitOfWork:
        """Return one transaction over both layers, on one node.

        Args:
            actor: who acts, `kind:id`, for the audit trail.
            ip: where from, for the audit trail.
            user_agent: with what; cut to 512 characters.
            correlation_id: of the request.
            read_only: refuse every change.
            max_lag: how stale the answers may be; a replica may serve them then. For
                reading only.
            after: a commit that must be visible; likewise.
            token: whether the commit gives a token; in its own round trip.

        Raises:
            InvalidInput: a staleness bound was given for a unit that writes, or the
                trail cannot hold who acts, where from or the request.
        """
        if not read_only and (max_lag is not None or after is not None):
            raise InvalidInput("max_lag and after are for read_only units of work")
        return AsyncUnitOfWork(
            self.cluster,
            origin=Origin(actor, ip, user_agent, correlation_id),
            read_only=read_only,
            max_lag=max_lag,
            after=after,
            token=token,
            keys=lambda: self.key_ring,
        )

    async def health(self) -> Health:
        """Ask every node once how it is, beside the pools; see `authkit health`.

        `liveness` and `readiness` of the result are what a web framework serves. It
        opens a connection per node: ask every few seconds, not with every request.
        """
        room = import_module("authkit.ops.health")
        found: Health = await aside(
            lambda: room.look(self.settings, client=self.cluster.status())
        )
        return found

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Tell `observer` of every operation of the hot path; returns how to stop it.

        It is called as `observer(operation, node, role, seconds, error)` in the thread
        or task of the caller, and must be quick.
        """
        return self._runner.observers.add(observer)

    @cached_property
    def keyed_hash(self) -> KeyedHash:
        """The keyed hash of names and devices.

        Raises:
            ConfigError: AUTHKIT_TOKEN_KEY is not set, or is no key.
        """
        return keys.keyed_hash(self.settings)

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys that seal what must be read again.

        Raises:
            ConfigError: AUTHKIT_SEALING_KEYS is not set, or holds no usable key.
        """
        return keys.key_ring(self.settings)

    @cached_property
    def frames(self) -> Frames:
        """The same data as pandas frames, read from a replica where there is one.

        Reading in clear (`frames.clear`) writes an entry into the audit trail.

        Raises:
            ConfigError: pandas is not installed.
        """
        room = _analysis()
        frames: Frames = room.Frames(
            lambda: url_for_reading(self.settings, self.cluster.topology),
            noted=room.noting(self._url_for_writing),
        )
        return frames

    @cached_property
    def cases(self) -> Cases:
        """An analyst's cases: pseudonyms, labels, evidence.

        Raises:
            ConfigError: pandas is not installed.
        """
        cases: Cases = _analysis().Cases(self._url_for_writing)
        return cases

    def _url_for_writing(self) -> str:
        return url_for_writing(self.settings, self.cluster.topology)

    def __repr__(self) -> str:
        status = self.cluster.status()
        return f"<authkit kit: {status.verdict.value}, {len(status.nodes)} nodes>"

    def _repr_html_(self) -> str:
        return page_of(self.cluster.status())
