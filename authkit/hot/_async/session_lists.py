"""Sessions seen together: pages of them, signals, figures, and the purge.

Pages go by key: hand the last one of a page back as `before` to read on. Lists ask the
primary like every read; with `max_lag` a replica may answer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from authkit.cluster import Token
from authkit.hot import inputs, session_views
from authkit.hot.session_views import SessionStats, SessionSummary, SuspiciousUser

from .runner import AsyncRunner

MAX_PAGE = 1000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class AsyncSessionLists:
    """What `AsyncSessions` says of many sessions at once."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def list(
        self,
        user_id: UUID,
        *,
        before: SessionSummary | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[SessionSummary]:
        """Return the live sessions of a user, the newest first.

        So that the user sees them, and ends any by its id (ASVS v5, 7.5.2).

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        key = inputs.identifier(user_id, "user id")
        return await self._runner.fetch_all(
            session_views.LIST,
            (key, *_older_than(before), _limit(limit)),
            max_lag=max_lag,
            after=after,
        )

    async def by_device(
        self,
        device: bytes,
        *,
        before: SessionSummary | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
    ) -> list[SessionSummary]:
        """Return the live sessions of a device, the newest first.

        Raises:
            InvalidInput: the device is no keyed hash, or the limit not 1 to 1,000.
        """
        key = inputs.keyed_hash(device, "device fingerprint")
        return await self._runner.fetch_all(
            session_views.BY_DEVICE,
            (key, *_older_than(before), _limit(limit)),
            max_lag=max_lag,
        )

    async def by_ip(
        self,
        ip: inputs.Address,
        *,
        before: SessionSummary | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
    ) -> list[SessionSummary]:
        """Return the live sessions begun from an address, the newest first.

        Raises:
            InvalidInput: it is no address, or the limit is not between 1 and 1,000.
        """
        key = inputs.address(ip)
        return await self._runner.fetch_all(
            session_views.BY_IP,
            (key, *_older_than(before), _limit(limit)),
            max_lag=max_lag,
        )

    async def high_risk(
        self,
        threshold: float,
        *,
        before: SessionSummary | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
    ) -> list[SessionSummary]:
        """Return live sessions with this risk score or more, the highest first.

        Unscored sessions are in no such list. Scores compare within one model only.

        Raises:
            InvalidInput: the threshold is no number, or the limit not 1 to 1,000.
        """
        key = (None, None) if before is None else (before.risk_score, before.id)
        return await self._runner.fetch_all(
            session_views.HIGH_RISK,
            (inputs.risk_score(threshold), *key, _limit(limit)),
            max_lag=max_lag,
        )

    async def suspicious(
        self,
        *,
        addresses: int = 3,
        devices: int = 3,
        countries: int = 2,
        after_user: UUID | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
    ) -> list[SuspiciousUser]:
        """Return users whose live sessions come from so many places at once.

        Any one of the three numbers is enough. A signal, not a verdict: a phone on the
        move has several addresses.

        Raises:
            InvalidInput: a number is below 2, or the limit not between 1 and 1,000.
        """
        least = [
            inputs.count(addresses, "number of addresses", low=2, high=10_000),
            inputs.count(devices, "number of devices", low=2, high=10_000),
            inputs.count(countries, "number of countries", low=2, high=300),
        ]
        return await self._runner.fetch_all(
            session_views.SUSPICIOUS,
            (*least, after_user, _limit(limit)),
            max_lag=max_lag,
        )

    async def set_risk(self, session_id: UUID, risk_score: float) -> bool:
        """Give a session another risk score; False where it is revoked or unknown.

        Raises:
            InvalidInput: the score is not a finite number.
        """
        params = (
            inputs.identifier(session_id, "session id"),
            inputs.risk_score(risk_score),
        )
        return await self._runner.execute(session_views.SET_RISK, params) > 0

    async def stats(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        top: int = 10,
        max_lag: timedelta | None = None,
    ) -> SessionStats:
        """Return figures over the sessions that began in [since, until).

        Aggregated in the server, which reads the whole window: for a report, not for
        each request. Sessions that were purged are not counted.

        Raises:
            InvalidInput: a time has no zone, or `top` is not between 1 and 100.
        """
        began = inputs.moment(since or _BEGINNING, "start of the window")
        ended = inputs.moment(until or datetime.now(UTC), "end of the window")
        shown = inputs.count(top, "length of the top list", low=1, high=100)
        rows = await self._runner.fetch_all(
            session_views.STATS, (began, ended, shown), max_lag=max_lag
        )
        return rows[0]

    async def purge(
        self, *, keep: timedelta = session_views.DEFAULT_KEEP, limit: int = 10_000
    ) -> int:
        """Delete sessions that expired this long ago; returns how many.

        Bounded, and safe to run twice at once. Repeat while it returns `limit`. The
        records in `sessions` stay.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(session_views.PURGE, params)


def _limit(limit: int) -> int:
    return inputs.count(limit, "limit", low=1, high=MAX_PAGE)


def _older_than(
    session: SessionSummary | None,
) -> tuple[datetime | None, UUID | None]:
    return (None, None) if session is None else (session.created_at, session.id)
