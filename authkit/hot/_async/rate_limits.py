"""Rate limits: check, check many at once, peek, block, reset, purge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from authkit.errors import InvalidInput
from authkit.hot import inputs, rate_limits
from authkit.hot.limiting import LimitKey, RateDecision, RatePolicy, decision
from authkit.hot.rate_limits import Charge

from .runner import AsyncRunner

MAX_KEYS = 100
DEFAULT_KEEP = timedelta(days=1)
# A key can be purged between making it and charging it; twice in a row is a fault.
_TRIES = 3


class AsyncRateLimits:
    """Rate limits, run by a runner: on the cluster, or in a transaction.

    The clock is the server's. `now=` is for simulation and replay; never mix the two on
    one key, or the key remembers a time that the other clock has yet to reach.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner
        self._policies: dict[str, RatePolicy] = {}

    def define(self, *policies: RatePolicy) -> None:
        """Let policies be asked for by name; another one of a name takes its place."""
        self._policies = {**self._policies, **{p.name: p for p in policies}}

    def policy(self, policy: RatePolicy | str) -> RatePolicy:
        """Return the policy of a name.

        Raises:
            InvalidInput: none of this name was defined.
        """
        if isinstance(policy, RatePolicy):
            return policy
        found = self._policies.get(policy)
        if found is None:
            raise InvalidInput("no policy of this name was defined")
        return found

    async def check(
        self,
        identifier: str,
        resource: str,
        policy: RatePolicy | str,
        *,
        cost: int = 1,
        now: datetime | None = None,
    ) -> RateDecision:
        """Charge a key if its limit allows it; of callers who race none slips through.

        Args:
            identifier: whom it limits: an id, an address or a keyed hash.
            resource: what it limits, e.g. `login`.
            policy: which may be another one at every call.
            cost: units to charge, 1 to the burst; it may depend on the risk.
            now: another clock, for simulation and replay.

        Raises:
            InvalidInput: the cost is out of range, a name is not acceptable, or no
                policy of this name was defined.
        """
        key = LimitKey(identifier, resource).checked()
        known = self.policy(policy)
        increment = known.increment(cost)
        at = None if now is None else inputs.moment(now, "time")
        params = (*key, known.name, increment, known.tolerance, at)
        written = await self._runner.write(rate_limits.CHECK, params)
        return decision(written.rows[0], known, increment)

    async def check_many(
        self,
        asked: Iterable[tuple[str, str, RatePolicy | str]],
        *,
        cost: int = 1,
        now: datetime | None = None,
    ) -> list[RateDecision]:
        """Charge several keys, or none of them when one denies.

        Per user, per address and over all, say. The answers are in the order asked;
        the charge was made where all of them are true.

        Args:
            asked: (identifier, resource, policy), up to 100 and none twice.
            cost: units to charge to each.
            now: another clock, for simulation and replay.

        Raises:
            InvalidInput: as `check`, or a key stands twice, or there are too many.
        """
        keys: list[LimitKey] = []
        policies: list[RatePolicy] = []
        for identifier, resource, policy in asked:
            keys.append(LimitKey(identifier, resource).checked())
            policies.append(self.policy(policy))
        inputs.count(len(keys), "number of keys", low=0, high=MAX_KEYS)
        if len(set(keys)) != len(keys):
            raise InvalidInput("a key stands twice among those to be charged")
        if not keys:
            return []
        at = None if now is None else inputs.moment(now, "time")
        charges = await self._charge(keys, policies, cost, at)
        return [
            decision(charge, policy, policy.increment(cost))
            for charge, policy in zip(charges, policies, strict=True)
        ]

    async def _charge(
        self,
        keys: Sequence[LimitKey],
        policies: Sequence[RatePolicy],
        cost: int,
        at: datetime | None,
    ) -> list[Charge]:
        names = (
            [key.identifier for key in keys],
            [key.resource for key in keys],
            [policy.name for policy in policies],
        )
        increments = [policy.increment(cost) for policy in policies]
        tolerances = [policy.tolerance for policy in policies]
        params = (*names, increments, tolerances, at)
        written = await self._runner.write(rate_limits.CHECK_MANY, params)
        for _ in range(_TRIES):
            if all(charge.known for charge in written.rows):
                break
            await self._runner.execute(rate_limits.ENSURE, (*names, at))
            written = await self._runner.write(rate_limits.CHECK_MANY, params)
        return written.rows

    async def peek(
        self,
        identifier: str,
        resource: str,
        policy: RatePolicy | str,
        *,
        now: datetime | None = None,
        max_lag: timedelta | None = None,
    ) -> RateDecision:
        """Say how a key stands without charging it; allowed unless it is blocked.

        For a page that shows it: between this and a charge others may come.

        Args:
            identifier: who is limited, such as an address.
            resource: in what.
            policy: by which rule, or its name.
            now: as of when; None is the server's clock.
            max_lag: how stale the answer may be; None asks the primary.

        Returns:
            The decision of a charge of nothing: `remaining` is what may still be
            charged at once. A key that nobody charged stands as a new one.

        Raises:
            InvalidInput: a name is not acceptable, or no such policy was defined.
            Unavailable: no node may serve it now.
        """
        key = LimitKey(identifier, resource).checked()
        known = self.policy(policy)
        at = None if now is None else inputs.moment(now, "time")
        rows = await self._runner.fetch_all(
            rate_limits.PEEK, (*key, known.tolerance, at), max_lag=max_lag
        )
        return decision(rows[0], known, timedelta(0))

    async def block(
        self,
        identifier: str,
        resource: str,
        *,
        duration: timedelta,
        now: datetime | None = None,
    ) -> None:
        """Deny a key everything from now on for a while.

        Args:
            identifier: whom it limits.
            resource: what it limits.
            duration: for how long.
            now: another clock, for simulation and replay.

        Raises:
            InvalidInput: a name is not acceptable, or the duration not positive.
        """
        key = LimitKey(identifier, resource).checked()
        span = inputs.span(duration, "duration")
        at = None if now is None else inputs.moment(now, "time")
        await self._runner.execute(rate_limits.BLOCK, (*key, span, at))

    async def reset(self, identifier: str, resource: str) -> bool:
        """Forget a key, blocked or not; False where nothing was known of it.

        Raises:
            InvalidInput: a name is not acceptable.
        """
        key = LimitKey(identifier, resource).checked()
        return await self._runner.execute(rate_limits.RESET, key) > 0

    async def purge(
        self, *, keep: timedelta = DEFAULT_KEEP, limit: int = 10_000
    ) -> int:
        """Delete keys that have said nothing for this long; returns how many.

        Bounded, and safe to run twice at once. Counters of attempts stay until their
        window is over, however long it is.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(rate_limits.PURGE, params)
