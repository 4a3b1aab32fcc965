"""Attackers who hold no password but what a login gave: a session, a refresh token.

What the server records of them are refusals: whoever holds a stolen session is asked
for the password before anything that matters, and does not know it.
"""

from __future__ import annotations

from authkit.workload.attacks.scene import Scene, strike
from authkit.workload.attempt import Strike
from authkit.workload.geography import CARRIERS
from authkit.workload.identifiers import made_us

_MINUTE_US = 60_000_000
_HANDS = 5  # machines that share what was stolen, at least


def session_theft(scene: Scene, at_us: int) -> list[Strike]:
    """Share one stolen session (ATT&CK T1539) among several machines.

    None where nobody has signed in yet.
    """
    rng = scene.rng
    campaign = scene.campaign(at_us)
    victim = scene.victim(at_us=at_us, signed_in=True)
    session = victim.session
    if session is None:
        return []
    at_us = max(at_us, made_us(session) + _MINUTE_US)
    carriers = [c for c in CARRIERS if c.kind == "broadband"]
    made: list[Strike] = []
    for _ in range(_HANDS + int(rng.random() * 4)):
        source = scene.machine(at_us, carriers)
        made.append(
            strike("session_theft", campaign, at_us, victim, source, session=session)
        )
        at_us += int((2.0 + 20.0 * rng.random()) * _MINUTE_US)
    return made


def refresh_replay(scene: Scene, at_us: int) -> list[Strike]:
    """Present a refresh token that was exchanged before (RFC 9700 section 4.14.2).

    None where nobody has signed in yet.
    """
    rng = scene.rng
    campaign = scene.campaign(at_us)
    victim = scene.victim(at_us=at_us, signed_in=True)
    session = victim.session
    if session is None:
        return []
    at_us = max(at_us, made_us(session) + _MINUTE_US)
    source = scene.machine(at_us)
    made: list[Strike] = []
    for _ in range(1 + int(rng.random() * 3)):
        made.append(
            strike("refresh_replay", campaign, at_us, victim, source, session=session)
        )
        at_us += int((0.2 + rng.random()) * _MINUTE_US)
    return made
