"""Sessions one by one: create, validate, touch, rotate, extend, revoke.

Lists, signals and figures are in `session_lists`, which this builds on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from authkit.cluster import Token
from authkit.crypto import tokens
from authkit.hot import inputs, revocation, sessions
from authkit.hot.folding import FOLDS
from authkit.hot.operation import Operation
from authkit.hot.outcomes import (
    Cap,
    CreationRefused,
    NewSession,
    Revocation,
    RotatedSession,
)
from authkit.hot.sessions import Extension, Session
from authkit.hot.written import Params
from authkit.ids import uuid7

from .session_lists import AsyncSessionLists

# NIST SP 800-63B-4 section 2.2.3 (AAL2): reauthenticate after 24 hours at most, and
# after one hour of inactivity at most. ASVS v5, 7.3.1 and 7.3.2.
LIFETIME = timedelta(hours=24)
IDLE_TIMEOUT = timedelta(hours=1)
MAX_MANY = 10_000


class AsyncSessions(AsyncSessionLists):
    """Sessions of users, run by a runner: on the cluster, or in a transaction."""

    async def create(
        self,
        user_id: UUID,
        *,
        lifetime: timedelta = LIFETIME,
        idle_timeout: timedelta = IDLE_TIMEOUT,
        assurance_level: int = 1,
        methods: Iterable[str] = (),
        ip: inputs.Address | None = None,
        country: str | None = None,
        device: bytes | None = None,
        user_agent: str | None = None,
        risk_score: float | None = None,
        device_info: Mapping[str, object] | None = None,
        cap: Cap | None = None,
    ) -> NewSession | CreationRefused:
        """Begin a session and return its token, once.

        Args:
            user_id: a user who is not disabled.
            lifetime: after which it ends whatever happens.
            idle_timeout: after which it ends if it is not used.
            assurance_level: 1 to 3 (NIST SP 800-63B).
            methods: how the user authenticated (amr, RFC 8176).
            ip: where from; an IPv4-mapped IPv6 address is stored as IPv4.
            country: two letters (ISO 3166-1).
            device: keyed hash of the device (`KeyedHash.device`).
            user_agent: cut to 512 characters.
            risk_score: of the login; None is unscored.
            device_info: what else is to be remembered, as JSON of 64 KiB at most.
            cap: how many live sessions the user may have, and what becomes of the one
                too many (ASVS v5, 7.1.2); None is no limit.

        Returns:
            The session, or why there is none.

        Raises:
            InvalidInput: an argument is not acceptable; the database was not asked.
        """
        issued = tokens.issue()
        evicts = cap is not None and cap.full == "evict"
        params = (
            uuid7(),
            issued.digest,
            inputs.identifier(user_id, "user id"),
            inputs.count(assurance_level, "assurance level", low=1, high=3),
            inputs.labels(methods, "method", limit=16, chars=64),
            inputs.optional_address(ip),
            inputs.country(country),
            inputs.fingerprint(device),
            inputs.user_agent(user_agent),
            None if risk_score is None else inputs.risk_score(risk_score),
            inputs.span(idle_timeout, "idle timeout"),
            inputs.span(lifetime, "lifetime"),
            inputs.json_object(device_info or {}, "device info"),
            None if cap is None else cap.limit,
            evicts,
        )
        lock = None if cap is None else (sessions.LOCK_USER, (user_id,))
        written = await self._runner.write(
            sessions.CREATE, params, behind=lock, token=evicts
        )
        made = written.rows[0]
        if made.id is None or made.expires_at is None:
            return (
                CreationRefused.CAP_REACHED
                if made.user_known
                else CreationRefused.USER_UNAVAILABLE
            )
        evicted = tuple(made.evicted)
        return NewSession(
            made.id, issued.token, made.expires_at, evicted, written.token
        )

    async def validate(
        self,
        token: str,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
        touch_every: timedelta | None = None,
    ) -> Session | None:
        """Return the live session of a token; None for a wrong, old or ended one.

        It asks the primary, so that a revocation counts at once. With a bound a replica
        may answer, and a revocation may go unseen for that long; with the token of a
        revocation it is seen for certain.

        Args:
            token: as the client presented it.
            max_lag: how stale the answer may be.
            after: what the answer must contain.
            touch_every: note the use, but no more often than this.

        Raises:
            InvalidInput: the text cannot be a token, or the interval is negative.
        """
        digest = tokens.digest(token)
        if touch_every is not None:
            inputs.span(touch_every, "touch interval", zero=True)
        session = await self._runner.fetch_one(
            sessions.VALIDATE, (digest,), max_lag=max_lag, after=after
        )
        if (
            session is not None
            and touch_every is not None
            and session.idle_s >= touch_every.total_seconds()
        ):
            await self._runner.execute(sessions.TOUCH, (session.id, touch_every))
        return session

    async def validate_many(
        self,
        presented: Iterable[str],
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Session | None]:
        """Return the live session of each token, in one statement and in their order.

        Args:
            presented: up to 10,000 tokens, as the clients presented them.
            max_lag: how stale the answer may be; else the primary is asked.
            after: what the answer must contain.

        Raises:
            InvalidInput: a text cannot be a token, or there are too many.
        """
        calls = [(tokens.digest(token),) for token in presented]
        inputs.count(len(calls), "number of tokens", low=0, high=MAX_MANY)
        if not calls:
            return []
        fold = FOLDS[sessions.VALIDATE.name]
        rows = await self._runner.fetch_all(
            fold.many, fold.pack(calls), max_lag=max_lag, after=after
        )
        return fold.answers(calls, rows)

    async def touch(
        self, session_id: UUID, *, every: timedelta = timedelta(minutes=1)
    ) -> bool:
        """Note that a live session is used; False where that is too soon or too late.

        Acknowledged before it is on disk: a crash may forget the last moments of use.

        Raises:
            InvalidInput: the interval is negative.
        """
        every = inputs.span(every, "touch interval", zero=True)
        params = (inputs.identifier(session_id, "session id"), every)
        return await self._runner.execute(sessions.TOUCH, params) > 0

    async def rotate(
        self,
        token: str,
        *,
        authenticated: bool = False,
        assurance_level: int | None = None,
        methods: Iterable[str] | None = None,
        risk_score: float | None = None,
    ) -> RotatedSession | None:
        """Replace a session's token: on every authentication and change of privilege.

        Of callers that race with one token one gets the new one; for the others, and
        ever after, the old token is that of no session. (ASVS v5, 7.2.4.)

        Args:
            token: the present one.
            authenticated: whether the user has just proved who they are.
            assurance_level: the new one; None keeps it. It rises only with
                `authenticated`, whatever is asked for: the answer says what it is.
            methods: the new ones; None keeps them.
            risk_score: the new one; None keeps it.

        Raises:
            InvalidInput: an argument is not acceptable.
        """
        issued = tokens.issue()
        level = assurance_level
        params = (
            tokens.digest(token),
            issued.digest,
            authenticated,
            None if level is None else inputs.count(level, "level", low=1, high=3),
            None
            if methods is None
            else inputs.labels(methods, "method", limit=16, chars=64),
            None if risk_score is None else inputs.risk_score(risk_score),
        )
        session = await self._runner.fetch_one(sessions.ROTATE, params)
        return None if session is None else RotatedSession(session, issued.token)

    async def extend(
        self, session_id: UUID, *, idle_timeout: timedelta
    ) -> Extension | None:
        """Give a live session another idle timeout, counted from now.

        It never reaches past the absolute expiry; that moment nothing moves.

        Raises:
            InvalidInput: the timeout is not positive.
        """
        params = (
            inputs.identifier(session_id, "session id"),
            inputs.span(idle_timeout, "idle timeout"),
        )
        return await self._runner.fetch_one(sessions.EXTEND, params)

    async def revoke(self, session_id: UUID, *, reason: str = "revoked") -> Revocation:
        """End one session and its refresh tokens: at logout, say (ASVS v5, 7.4.1).

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        params = (
            inputs.identifier(session_id, "session id"),
            inputs.slug(reason, "reason"),
        )
        return await self._end(revocation.REVOKE, revocation.LOCK, params)

    async def revoke_token(self, token: str, *, reason: str = "logout") -> Revocation:
        """End the session of a token: what a logout does.

        Raises:
            InvalidInput: the text cannot be a token, or the reason is no word.
        """
        params = (tokens.digest(token), inputs.slug(reason, "reason"))
        return await self._end(revocation.REVOKE_TOKEN, revocation.LOCK_TOKEN, params)

    async def revoke_others(
        self, user_id: UUID, *, keep: UUID, reason: str = "revoked"
    ) -> Revocation:
        """End every session of a user but one, those being begun right now too.

        For when an authentication factor was changed (ASVS v5, 7.4.3).

        Raises:
            InvalidInput: the session to keep is not named, or the reason is no word.
        """
        kept = inputs.identifier(keep, "session id")
        return await self._end_all(user_id, kept, reason)

    async def revoke_all(self, user_id: UUID, *, reason: str = "revoked") -> Revocation:
        """End every session of a user, those being begun right now too.

        An administrator may ask for it as well (ASVS v5, 7.4.5).

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        return await self._end_all(user_id, None, reason)

    async def _end(
        self,
        operation: Operation[revocation.Ended],
        lock: Operation[sessions.Locked],
        params: Params,
    ) -> Revocation:
        written = await self._runner.write(
            operation, params, behind=(lock, params[:1]), token=True
        )
        return Revocation(tuple(row.id for row in written.rows), written.token)

    async def _end_all(
        self, user_id: UUID, keep: UUID | None, reason: str
    ) -> Revocation:
        params = (
            inputs.identifier(user_id, "user id"),
            keep,
            inputs.slug(reason, "reason"),
        )
        written = await self._runner.write(
            revocation.REVOKE_USER,
            params,
            behind=(sessions.LOCK_USER, (user_id,)),
            token=True,
        )
        return Revocation(tuple(row.id for row in written.rows), written.token)
