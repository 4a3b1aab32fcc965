"""What the world is made of: one login attempt, and the label of who made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from authkit.schema.vocabulary import AttemptMethod, AttemptOutcome, AttemptStage

Kind = Literal[
    "legitimate",
    "unknown_account",
    "naive",
    "vpn",
    "targeted",
    "very_targeted",
    "credential_stuffing",
    "password_spraying",
    "brute_force",
    "mfa_fatigue",
    "dormant_takeover",
    "session_theft",
    "refresh_replay",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
ATTACKS: tuple[Kind, ...] = KINDS[2:]
# The attacker holds the password: what a risk score is for.
TAKEOVERS: tuple[Kind, ...] = ("naive", "vpn", "targeted", "very_targeted")


class Source(NamedTuple):
    """Where an attempt comes from, as the server sees it; `device` has 32 bytes."""

    ip: str
    asn: int
    country: str
    user_agent: str
    device: bytes


class Attempt(NamedTuple):
    """One attempt at one stage of a login, settled; ids are 16 bytes.

    `at_us` is microseconds since 1970 UTC. `person` is the index in the population, or
    -1 where no such account exists; `subject` is the keyed hash of the name that was
    typed. `session_id` stands on the attempt that completes a login, and on those that
    an attacker makes with a session that is stolen.
    """

    id: bytes
    at_us: int
    kind: Kind
    campaign: bytes | None
    person: int
    user_id: bytes | None
    subject: bytes
    source: Source
    session_id: bytes | None
    stage: AttemptStage
    method: AttemptMethod
    outcome: AttemptOutcome
    reason: str | None

    @property
    def completes(self) -> bool:
        """Whether it completed a login."""
        return self.session_id is not None and self.outcome == "succeeded"


@dataclass(frozen=True, slots=True)
class Strike:
    """An attempt that an attacker plans: the world gives it an id when its time comes.

    `person` is -1 for a name without an account. `secret` says whether the password is
    right, `approves` whether the victim presses yes at the second factor. `session` is
    one that the attacker has stolen, together with its tokens.
    """

    at_us: int
    kind: Kind
    campaign: bytes
    person: int
    subject: bytes
    source: Source
    secret: bool = False
    approves: bool = False
    session: bytes | None = None
