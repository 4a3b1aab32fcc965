"""The login flow: begin before the password is verified, then succeed or fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, AsyncRawCursor

from authkit.cluster import AsyncCluster, AsyncNodeConnection
from authkit.crypto import KeyedHash
from authkit.crypto.keyed import normalise_email
from authkit.errors import InvalidInput
from authkit.hot import (
    AsyncBound,
    AsyncHot,
    AsyncRunner,
    AttemptRecord,
    CreationRefused,
    NewSession,
    Operation,
    Params,
    Throttle,
    Throttled,
    inputs,
    reservations,
    sessions,
)
from authkit.hot import auth_cache as cache
from authkit.hot.auth_cache import CachedLogin
from authkit.hot.binding import bind, write_exactly
from authkit.hot.reserving import answer, ask
from authkit.kit import ending
from authkit.kit.login_values import Begun, LoggedIn, LoginRefused, SessionTerms
from authkit.risk import DEFAULT, counters, features, flow, model
from authkit.risk.features import microseconds
from authkit.risk.flow import Claimed
from authkit.risk.networks import Networks
from authkit.schema.vocabulary import AttemptMethod, AttemptStage

Row = TypeVar("Row")
_THROTTLE = Throttle()
_TERMS = SessionTerms()


class AsyncLogins:
    """Logins of one kit.

    Args:
        cluster: where transactions run.
        runner: what runs single operations.
        hashing: gives the keyed hash of names; asked when it is needed.
        by: the name of the risk model.
        networks: finds whose an address is, where the application does not say.
    """

    def __init__(
        self,
        cluster: AsyncCluster,
        runner: AsyncRunner,
        hashing: Callable[[], KeyedHash],
        by: str = DEFAULT,
        networks: Networks | None = None,
    ) -> None:
        self._cluster = cluster
        self._runner = runner
        self._hot = AsyncHot(runner)
        self._hashing = hashing
        self._model = model(by)
        self._networks = networks or Networks()

    async def begin(
        self,
        subject: str,
        *,
        ip: inputs.Address | None = None,
        user_agent: str | None = None,
        asn: int | None = None,
        country: str | None = None,
        device: bytes | None = None,
        known_device: bool = False,
        client_id: str | None = None,
        stage: AttemptStage = "primary",
        method: AttemptMethod = "password",
        throttle: Throttle = _THROTTLE,
    ) -> Begun | Throttled:
        """Count the attempt, and return what is known of it, before the password.

        One round trip where the user is in the cache of logins and the attempt's
        counters exist: the counters, the lock state, the login facts and the counts of
        the score travel together, and commit together. A user who is not cached costs
        three more, and so does the first attempt from somewhere.

        Args:
            subject: the name that was typed, or an e-mail address.
            ip: where from.
            user_agent: with what; cut to 512 characters.
            asn: the address's autonomous system; looked up where it is not given.
            country: two letters (ISO 3166-1), likewise.
            device: keyed hash of the device (`KeyedHash.device`).
            known_device: the application has proof that the device is the subject's.
            client_id: for which application.
            stage: the first factor, or a later one.
            method: how they authenticate.
            throttle: how many attempts are allowed.

        Raises:
            InvalidInput: a part of it is not acceptable; the database was not asked.
            InDoubt: it was sent, and whether it counted is not known.
        """
        email = normalise_email(subject)
        named = self._hashing().subject(subject)
        address = inputs.optional_address(ip)
        asn, country = self._networks.complete(address, asn, inputs.country(country))
        attempt = AttemptRecord(
            outcome="pending",
            stage=stage,
            method=method,
            subject=named,
            ip=ip,
            asn=asn,
            country=country,
            user_agent=user_agent,
            device=device,
            client_id=client_id,
        )
        asked = ask(attempt, known_device=known_device, throttle=throttle)
        seen = features(
            address,
            asn,
            country,
            inputs.user_agent(user_agent),
            microseconds(datetime.now(UTC)),
        )
        keys = counters.keys(seen)
        async with self._cluster.writer() as connection:
            async with connection.pipeline():
                first = await _send(connection, reservations.RESERVE, asked.params)
                second = await _send(connection, cache.GET_BY_EMAIL, (named,))
                third = await _send(connection, counters.EVIDENCE, (None, named, keys))
            found = await _one(first, reservations.RESERVE)
            user = await _one(second, cache.GET_BY_EMAIL)
            counted = await _one(third, counters.EVIDENCE)
        if found is not None and found.known:
            decided = answer(found, asked.keys)
        else:  # the counters' rows are made first
            decided = await self._hot.attempts.reserve(
                attempt, known_device=known_device, throttle=throttle
            )
        if isinstance(decided, Throttled):
            return decided
        if user is None:
            user = await self._fetch(email, named)
            if user is not None:
                counted = await self._runner.fetch_one(
                    counters.EVIDENCE, (user.user_id, named, keys)
                )
        score = None
        if user is not None and counted is not None:
            score = self._model.judge(counted.evidence())
            attempt = replace(attempt, user_id=user.user_id)
        return Begun(decided, user, score, attempt, seen)

    async def succeed(
        self,
        login: Begun,
        *,
        session: SessionTerms | None = _TERMS,
        learn: bool = True,
    ) -> LoggedIn | LoginRefused:
        """Settle as succeeded: the attempt with its score, history, counts, session.

        All of it in one transaction. A user who was locked or disabled since `begin`,
        or whose password or need of a second factor changed, is refused, and the
        attempt is settled as denied. So a better hash of the same password is stored
        after this, and not between the two.

        Args:
            login: what `begin` returned.
            session: None where a further factor is asked for; nothing is learned then.
            learn: whether the login becomes part of the user's history: only when it
                was not in doubt, or was passed by re-authentication.

        Raises:
            InvalidInput: nobody has that name.
            InDoubt: it was sent, and whether it was applied is not known.
        """
        user = login.user
        if user is None:
            raise InvalidInput("nobody has that name: the login can only fail")
        user_id, at = user.user_id, login.key.occurred_at

        async def work(
            connection: AsyncNodeConnection,
        ) -> LoggedIn | LoginRefused:
            bound = AsyncBound(connection)
            claimed = await _claim(bound, login, user, session)
            if not claimed.pending:
                return LoginRefused.SETTLED
            refused = None if claimed.allowed else LoginRefused.USER_UNAVAILABLE
            made: NewSession | None = None
            if refused is None and session is not None:
                opened = await _open(bound, login, user_id, session)
                if isinstance(opened, LoginRefused):
                    refused = opened
                else:
                    made = opened
            if refused is not None:
                await bound.fetch_all(
                    flow.SETTLE, ending.settle(login, "denied", refused.value)
                )
                return refused
            await bound.fetch_all(
                flow.SETTLE,
                ending.settle(
                    login,
                    "succeeded",
                    None,
                    session_id=None if made is None else made.id,
                ),
            )
            if learn and made is not None:
                keys = counters.keys(login.features)
                await bound.execute(counters.LEARN, (user_id, at, login.key.id, keys))
            return LoggedIn(login.key, made)

        return await self._cluster.run(work)

    async def fail(self, login: Begun, reason: str = "bad_password") -> bool:
        """Settle as failed, with its score; False where it was settled before.

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        params = ending.settle(login, "failed", inputs.slug(reason, "reason"))
        return bool((await self._runner.write(flow.SETTLE, params)).rows)

    async def _fetch(self, email: str, named: bytes) -> CachedLogin | None:
        """Find the user of an address, and keep what logins need of them."""
        found = await self._runner.fetch_one(flow.FIND_USER, (email,))
        if found is None:
            return None
        kept = await self._hot.auth_cache.put(found.id, named, email=email)
        return kept or await self._hot.auth_cache.get_by_email(named)


async def _claim(
    bound: AsyncBound, login: Begun, user: CachedLogin, session: SessionTerms | None
) -> Claimed:
    alone = None
    if session is not None and session.cap is not None:
        # What a cap asks for is asked for first: two logins that shared the user
        # already would each wait for the other.
        alone = (sessions.LOCK_USER, (user.user_id,))
    params = ending.claim(login, user)
    return (await bound.write(flow.CLAIM, params, behind=alone)).rows[0]


async def _open(
    bound: AsyncBound, login: Begun, user_id: UUID, terms: SessionTerms
) -> NewSession | LoginRefused:
    attempt, score = login.attempt, login.score
    made = await AsyncHot(bound).sessions.create(
        user_id,
        lifetime=terms.lifetime,
        idle_timeout=terms.idle_timeout,
        assurance_level=terms.assurance_level,
        methods=terms.methods,
        ip=attempt.ip,
        country=attempt.country,
        device=attempt.device,
        user_agent=attempt.user_agent,
        risk_score=None if score is None else score.value,
        cap=terms.cap,
    )
    if made is CreationRefused.CAP_REACHED:
        return LoginRefused.CAP_REACHED
    if isinstance(made, CreationRefused):
        return LoginRefused.USER_UNAVAILABLE
    return made


async def _send(
    connection: AsyncConnection[Any],
    operation: Operation[Any],
    params: Params,
) -> AsyncRawCursor[tuple[Any, ...]]:
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    write_exactly(cursor.adapters, operation)
    await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    return cursor


async def _one(
    cursor: AsyncRawCursor[tuple[Any, ...]], operation: Operation[Row]
) -> Row | None:
    values = await cursor.fetchone()
    return None if values is None else operation.build(values)
