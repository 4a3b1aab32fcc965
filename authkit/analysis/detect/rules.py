"""What counts as an attack: how many, of whom, from where, within what time.

The numbers are defaults to begin with, not measurements; `replace(rule, attempts=20)`
makes another rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from authkit.errors import InvalidInput

Column = Literal["person", "address"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A window over the wrong attempts of each key, and what it must hold.

    `attempts`, `people` and `addresses` are the fewest that count; each person counts
    who was tried at least `fewest_each` times, and nobody more than `most_each` times.
    `technique` is the id of MITRE ATT&CK.
    """

    name: str
    technique: str
    by: tuple[Column, ...]
    window: timedelta
    attempts: int
    people: int = 1
    addresses: int = 1
    fewest_each: int = 1
    most_each: int | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        if self.window <= timedelta(0):
            raise InvalidInput("the window of a rule must be positive")
        if min(self.attempts, self.people, self.addresses, self.fewest_each) < 1:
            raise InvalidInput("the numbers of a rule must be positive")


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "brute_force",
            "T1110.001",
            ("person", "address"),
            timedelta(minutes=30),
            attempts=10,
        ),
        Rule(
            "brute_force_distributed",
            "T1110.001",
            ("person",),
            timedelta(minutes=30),
            attempts=10,
            addresses=5,
        ),
        Rule(
            "password_spray",
            "T1110.003",
            ("address",),
            timedelta(minutes=5),
            attempts=15,
            people=5,
            fewest_each=2,
            most_each=8,
        ),
        Rule(
            "credential_stuffing",
            "T1110.004",
            ("address",),
            timedelta(minutes=15),
            attempts=25,
            people=15,
            most_each=2,
        ),
        Rule(
            "mfa_fatigue",
            "T1621",
            ("person",),
            timedelta(minutes=10),
            attempts=5,
            method="push",
        ),
    )
}
