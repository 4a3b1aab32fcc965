"""An attempt as it is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.ids import uuid7
from authkit.schema.vocabulary import (
    ATTEMPT_METHODS,
    ATTEMPT_OUTCOMES,
    ATTEMPT_STAGES,
    AttemptMethod,
    AttemptOutcome,
    AttemptStage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """Who tried to authenticate, from where, how, and how it ended.

    `subject` and `device` are keyed hashes of 32 bytes; the user agent is cut to 512
    characters. `occurred_at` None is now, by the server's clock. A risk score names
    its model and version.
    """

    outcome: AttemptOutcome
    method: AttemptMethod = "password"
    stage: AttemptStage = "primary"
    subject: bytes | None = None
    user_id: UUID | None = None
    ip: inputs.Address | None = None
    asn: int | None = None
    country: str | None = None
    user_agent: str | None = None
    device: bytes | None = None
    session_id: UUID | None = None
    client_id: str | None = None
    failure_reason: str | None = None
    risk_score: float | None = None
    risk_model: str | None = None
    risk_model_version: str | None = None
    risk_features: Mapping[str, object] | None = None
    occurred_at: datetime | None = None

    def params(self) -> tuple[object, ...]:
        """Return the parameters of `attempts.record`, every one checked.

        Raises:
            InvalidInput: a part is not acceptable.
        """
        self._check_words()
        self._check_risk()
        at, client = self.occurred_at, self.client_id
        return (
            None if at is None else inputs.moment(at, "time of the attempt"),
            uuid7(at),  # by which an attempt is found again without its time
            inputs.fingerprint(self.subject, "subject"),
            inputs.optional_identifier(self.user_id, "user id"),
            inputs.optional_address(self.ip),
            inputs.optional_asn(self.asn),
            inputs.country(self.country),
            inputs.user_agent(self.user_agent),
            inputs.fingerprint(self.device),
            inputs.optional_identifier(self.session_id, "session id"),
            None if client is None else inputs.text(client, "client id", limit=200),
            self.stage,
            self.method,
            self.outcome,
            self.failure_reason,
            None if self.risk_score is None else inputs.risk_score(self.risk_score),
            self.risk_model,
            self.risk_model_version,
            None
            if self.risk_features is None
            else inputs.json_object(self.risk_features, "risk features"),
        )

    def _check_words(self) -> None:
        if self.outcome not in ATTEMPT_OUTCOMES:
            raise InvalidInput("the outcome of the attempt is not a known one")
        if self.method not in ATTEMPT_METHODS:
            raise InvalidInput("the method of the attempt is not a known one")
        if self.stage not in ATTEMPT_STAGES:
            raise InvalidInput("the stage of the attempt is not a known one")
        if self.failure_reason is not None:
            inputs.slug(self.failure_reason, "failure reason")
            if self.outcome not in {"failed", "denied", "abandoned"}:
                raise InvalidInput("only what failed has a failure reason")

    def _check_risk(self) -> None:
        named = self.risk_model is not None and self.risk_model_version is not None
        if self.risk_score is not None and not named:
            raise InvalidInput("a risk score needs its model and the model's version")
        for name, what in (
            (self.risk_model, "risk model"),
            (self.risk_model_version, "risk model's version"),
        ):
            if name is not None:
                inputs.text(name, what, limit=100)
