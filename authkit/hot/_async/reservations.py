"""Reserving attempts, and settling them."""

from __future__ import annotations

from uuid import UUID

from authkit.hot import attempts, inputs, rate_limits, reservations
from authkit.hot.attempt_values import AttemptRecord
from authkit.hot.attempts import AttemptKey
from authkit.hot.reservations import Reservation
from authkit.hot.reserving import answer, ask
from authkit.hot.throttling import CounterKey, Reserved, Throttle, Throttled
from authkit.hot.written import Params

from .runner import AsyncRunner

DEFAULT_THROTTLE = Throttle()
# A counter's row can be purged between making it and moving it.
_TRIES = 3
_RESOURCE = "attempt"


class AsyncReservations:
    """What `AsyncAttempts` does about one attempt from its beginning to its end."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def reserve(
        self,
        attempt: AttemptRecord,
        *,
        known_device: bool = False,
        throttle: Throttle = DEFAULT_THROTTLE,
    ) -> Reserved | Throttled:
        """Ask whether an attempt may go on, before the password is looked at.

        Every attempt moves its counters under their locks, so of guesses that run in
        parallel no more go on than are allowed. One that is let through is recorded as
        pending, one that is not as denied. Settle it with `succeed` or `fail`; one that
        is never settled stays counted.

        Args:
            attempt: pending, with a subject; its time is the server's to say.
            known_device: the application knows `attempt.device` for one of the
                subject's, and has proof of it: strangers cannot lock it out then.
            throttle: how many attempts are allowed.

        Raises:
            InvalidInput: a part of it is not acceptable.
            RetryLater: its counters were purged again and again meanwhile.
        """
        asked = ask(attempt, known_device=known_device, throttle=throttle)
        return answer(await self._reserve(asked.keys, asked.params), asked.keys)

    async def _reserve(
        self, keys: tuple[CounterKey, ...], params: Params
    ) -> Reservation:
        written = await self._runner.write(reservations.RESERVE, params)
        for _ in range(_TRIES):
            if written.rows[0].known:
                break
            names = [key.identifier for key in keys]
            policies = [key.counter for key in keys]
            await self._runner.execute(
                rate_limits.ENSURE, (names, [_RESOURCE] * len(names), policies, None)
            )
            written = await self._runner.write(reservations.RESERVE, params)
        return written.rows[0]

    async def succeed(
        self,
        attempt: Reserved | AttemptKey,
        *,
        user_id: UUID | None = None,
        session_id: UUID | None = None,
    ) -> bool:
        """Settle a pending attempt and forgive its counters; False if it was settled.

        Args:
            attempt: what `reserve` or `record` returned.
            user_id: who it turned out to be; None keeps what stands there.
            session_id: the session that it opened.

        Raises:
            InvalidInput: an id is not a UUID.
        """
        key, forgive = _parts(attempt)
        params = (
            inputs.moment(key.occurred_at, "time of the attempt"),
            inputs.identifier(key.id, "attempt id"),
            inputs.optional_identifier(user_id, "user id"),
            inputs.optional_identifier(session_id, "session id"),
            list(forgive),
        )
        return await self._runner.execute(reservations.SUCCEED, params) > 0

    async def fail(
        self,
        attempt: Reserved | AttemptKey,
        reason: str,
        *,
        user_id: UUID | None = None,
    ) -> bool:
        """Settle a pending attempt as failed; False where it was settled before.

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        key, _ = _parts(attempt)
        params = (
            inputs.moment(key.occurred_at, "time of the attempt"),
            inputs.identifier(key.id, "attempt id"),
            inputs.slug(reason, "reason"),
            inputs.optional_identifier(user_id, "user id"),
        )
        return await self._runner.execute(attempts.FAIL, params) > 0


def _parts(attempt: Reserved | AttemptKey) -> tuple[AttemptKey, tuple[str, ...]]:
    if isinstance(attempt, Reserved):
        return attempt.key, attempt.forgive
    return attempt, ()
