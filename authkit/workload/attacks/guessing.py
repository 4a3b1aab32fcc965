"""Attackers who try many passwords: lists of leaked ones, common ones, all of them."""

from __future__ import annotations

from authkit.workload.attacks.scene import Scene, strike
from authkit.workload.attempt import Source, Strike
from authkit.workload.geography import CARRIERS
from authkit.workload.population import Person

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_REUSED = 0.012  # leaked pairs that are still right for an account that exists
_COMMON = 0.003  # accounts with a password common enough to be sprayed


def stuffing(scene: Scene, at_us: int) -> list[Strike]:
    """Try leaked pairs of name and password, once or twice each (ATT&CK T1110.004).

    Most names have no account here; a few addresses share the work.
    """
    rng = scene.rng
    campaign = scene.campaign(at_us)
    sources = _sources(scene, at_us, 1 + int(rng.random() * 8))
    pairs = 60 + int(rng.random() * 200)
    reach = len(scene.people)
    made: list[Strike] = []
    for _ in range(pairs):
        source = sources[int(rng.random() * len(sources))]
        known = rng.random() < 0.3
        victim: Person | bytes = (
            scene.people[int(rng.random() * reach)]
            if known
            else scene.unknown(int(rng.random() * 50_000))
        )
        for _ in range(1 if rng.random() < 0.85 else 2):
            hit = known and rng.random() < _REUSED
            made.append(
                strike(
                    "credential_stuffing", campaign, at_us, victim, source, secret=hit
                )
            )
            at_us += int((0.3 + 3.0 * rng.random()) * _SECOND_US)
            if hit:
                break
    return made


def spraying(scene: Scene, at_us: int) -> list[Strike]:
    """Try a few common passwords on many people (ATT&CK T1110.003), round by round.

    Half of the campaigns come from one address, half from several.
    """
    rng = scene.rng
    campaign = scene.campaign(at_us)
    spread = 1 if rng.random() < 0.5 else 5 + int(rng.random() * 8)
    sources = _sources(scene, at_us, spread)
    count = min(len(scene.people), 8 + int(rng.random() * 30))
    first = int(rng.random() * max(1, len(scene.people) - count))
    targets = list(scene.people[first : first + count])
    weak = {p.index for p in targets if rng.random() < _COMMON}
    made: list[Strike] = []
    for turn in range(2 + int(rng.random() * 4)):
        for victim in targets:
            if victim.index in weak and turn > 1:
                continue  # in already
            source = sources[int(rng.random() * len(sources))]
            hit = victim.index in weak and turn == 1
            made.append(
                strike("password_spraying", campaign, at_us, victim, source, secret=hit)
            )
            at_us += int((0.5 + 2.5 * rng.random()) * _SECOND_US)
        at_us += int(rng.random() * 2 * _MINUTE_US)
    return made


def brute_force(scene: Scene, at_us: int) -> list[Strike]:
    """Try many passwords on one person (ATT&CK T1110.001), from one or many places."""
    rng = scene.rng
    campaign = scene.campaign(at_us)
    victim = scene.victim(at_us=at_us)
    spread = 1 if rng.random() < 0.6 else 5 + int(rng.random() * 6)
    sources = _sources(scene, at_us, spread)
    made: list[Strike] = []
    for _ in range(25 + int(rng.random() * 120)):
        source = sources[int(rng.random() * len(sources))]
        made.append(strike("brute_force", campaign, at_us, victim, source))
        at_us += int((0.5 + 6.0 * rng.random()) * _SECOND_US)
    return made


def _sources(scene: Scene, at_us: int, count: int) -> list[Source]:
    # Many addresses mean a network of taken-over home machines.
    carriers = [c for c in CARRIERS if c.kind == "broadband"]
    if count == 1:
        return [scene.machine(at_us)]
    return [scene.machine(at_us, carriers) for _ in range(count)]
