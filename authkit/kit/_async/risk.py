"""Scores outside of a login: now, explained, repeated, and where to draw the line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf, nextafter
from uuid import UUID

from authkit.errors import InvalidInput, NotFound
from authkit.hot import AsyncRunner, inputs
from authkit.risk import DEFAULT, HORIZON, Model, Score, counters, features, flow, model
from authkit.risk.evidence import restored
from authkit.risk.features import microseconds
from authkit.risk.flow import Kept, Quantile
from authkit.risk.networks import Networks

LOOK_BACK = timedelta(days=30)
_SLACK = timedelta(days=1)
_BATCH = 10_000


class AsyncRisk:
    """Risk of one kit's logins; `by` is the name of the model."""

    def __init__(
        self,
        runner: AsyncRunner,
        by: str = DEFAULT,
        networks: Networks | None = None,
    ) -> None:
        self._runner = runner
        self._networks = networks or Networks()
        self.model: Model = model(by)

    async def score(
        self,
        user_id: UUID,
        *,
        ip: inputs.Address | None = None,
        user_agent: str | None = None,
        asn: int | None = None,
        country: str | None = None,
        at: datetime | None = None,
    ) -> Score:
        """Score a login of a user as it would be scored now; nothing is written.

        One statement on the primary. The model is that of the kit; its formula and
        source are in its docstring (`authkit.risk.models`).

        Args:
            user_id: who logs in; one nobody has is *unscored*.
            ip: the address, as text or of `ipaddress`.
            user_agent: as the browser sends it.
            asn: the autonomous system's number; looked up by the address when None.
            country: two letters (ISO 3166-1); looked up by the address when None.
            at: the time that it is judged by, its hour of day; now when None.

        Returns:
            The score: a higher `value` is riskier, comparable within one model only. It
            is None where the user has no history or nothing can be compared, which is
            not a low risk. Above which line to ask again is `threshold`'s to say.

        Raises:
            InvalidInput: a part is malformed, or the time is a day or more ahead.
            NotFound: the database has no totals of risk yet.
            Unavailable: no node may serve it now.
        """
        now = datetime.now(UTC)
        if at is not None and inputs.moment(at, "time") > now + _SLACK:
            raise InvalidInput("the time lies in the future")
        address = inputs.optional_address(ip)
        asn, country = self._networks.complete(
            address, inputs.optional_asn(asn), inputs.country(country)
        )
        agent = inputs.user_agent(user_agent)
        seen = features(address, asn, country, agent, microseconds(at or now))
        params = (inputs.identifier(user_id, "user id"), None, counters.keys(seen))
        counted = await self._runner.fetch_one(counters.EVIDENCE, params)
        if counted is None:
            raise NotFound("the database has no totals of risk: run its migrations")
        return self.model.judge(counted.evidence())

    async def rescore(self, attempt_id: UUID | str) -> Score:
        """Score a logged attempt as it would be scored now; nothing is written.

        By its address, network, country and browser as they were logged, against the
        user's history of today and the present hour: not what it was scored by then,
        which `explain` repeats.

        Args:
            attempt_id: the id, or its text as a frame's column `id` holds it.

        Raises:
            NotFound: there is no such attempt.
            InvalidInput: nobody has the name that was tried.
        """
        seen = await self._runner.fetch_one(flow.OBSERVED, _where(attempt_id))
        if seen is None:
            raise NotFound("there is no attempt of this id")
        if seen.user_id is None:
            raise InvalidInput("nobody has the name of this attempt: it has no past")
        return await self.score(
            seen.user_id,
            ip=seen.ip,
            asn=seen.asn,
            country=seen.country,
            user_agent=seen.user_agent,
        )

    async def explain(self, attempt_id: UUID | str) -> Score:
        """Repeat the score of an attempt from what was kept, bit for bit.

        Its terms say what each level added; its evidence, of which counts. A notebook
        shows it as bars, and `analysis.plots.explanation` draws it.

        Args:
            attempt_id: the id, or its text as a frame's column `id` holds it.

        Raises:
            NotFound: there is no such attempt, or it was never scored.
            InvalidInput: it was scored by a model or version that is not here, or the
                id is none.
        """
        kept = await self._kept(attempt_id)
        if kept.risk_model is None or kept.risk_features is None:
            raise NotFound("the attempt was not scored")
        by = model(kept.risk_model, kept.risk_model_version)
        if kept.risk_features.get("parameters") != by.parameters:
            raise InvalidInput(
                f"the attempt was scored by other parameters of {kept.risk_model!r}"
            )
        return by.judge(restored(kept.risk_features))

    async def threshold(
        self,
        *,
        reauth_rate: float | None = None,
        tpr: float | None = None,
        attacks: Sequence[UUID] = (),
        since: datetime | None = None,
    ) -> Quantile:
        """Return the score from which on to ask again: above it, not at it.

        Args:
            reauth_rate: at most this share of completed logins lies above it.
            tpr: at least this share of the attempts in `attacks` lies above it; those
                that were not scored are not counted.
            attacks: attempts that were found to be attacks.
            since: from when on; the last 30 days unless said.

        Raises:
            InvalidInput: not exactly one of the two is given, or it is no share.
        """
        start = inputs.moment(since or datetime.now(UTC) - LOOK_BACK, "start")
        by = (start, self.model.name, self.model.version)
        if (reauth_rate is None) == (tpr is None):
            raise InvalidInput("give either reauth_rate or tpr")
        if reauth_rate is not None:
            share = 1.0 - _share(reauth_rate)
            rows = await self._runner.fetch_all(flow.OF_LOGINS, (*by, share))
            return rows[0]
        share = 1.0 - _share(tpr or 0.0)
        params = (*by, share, [inputs.identifier(one, "attempt id") for one in attacks])
        found = (await self._runner.fetch_all(flow.OF_ATTEMPTS, params))[0]
        if found.value is None:
            return found
        # The attack at the line is to be caught, and what is at a line is let through.
        return Quantile(nextafter(found.value, -inf), found.scores)

    async def merge(self, most: int = _BATCH) -> int:
        """Add recent logins to the counts over everybody; returns how many.

        Run it every minute or so, as the maintenance role or the owner. Two at once
        do no harm.
        """
        most = inputs.count(most, "number of logins", low=1, high=1_000_000)
        written = await self._runner.write(counters.MERGE, (most,))
        return written.rows[0].logins

    async def age(self, horizon: timedelta = HORIZON, most: int = _BATCH) -> int:
        """Forget logins older than the horizon; returns how many. Bounded."""
        before = datetime.now(UTC) - inputs.span(horizon, "horizon")
        most = inputs.count(most, "number of logins", low=1, high=1_000_000)
        written = await self._runner.write(counters.AGE, (before, most))
        return written.rows[0].logins

    async def _kept(self, attempt_id: UUID | str) -> Kept:
        kept = await self._runner.fetch_one(flow.KEPT, _where(attempt_id))
        if kept is None:
            raise NotFound("there is no attempt of this id")
        return kept


def _where(attempt_id: UUID | str) -> tuple[UUID, datetime, datetime]:
    """Return an id and between which times its attempt was: it carries its own."""
    try:
        known = UUID(attempt_id) if isinstance(attempt_id, str) else attempt_id
    except ValueError:
        raise InvalidInput("the attempt id is not a UUID") from None
    key = inputs.identifier(known, "attempt id")
    try:
        made = datetime.fromtimestamp((key.int >> 80) / 1000, UTC)
        return key, made - _SLACK, made + _SLACK
    except (ValueError, OverflowError):  # of another version: no time of ours
        raise NotFound("there is no attempt of this id") from None


def _share(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise InvalidInput("a rate lies between 0 and 1")
    return value
