"""Attackers who hold one person's password, from careless to well prepared.

The first four follow the attacker models of Wiefling et al. (ACM TOPS 2022): naive,
VPN, targeted, very targeted. With a second factor they stop at it.
"""

from __future__ import annotations

from authkit.workload.attacks.scene import Scene, strike
from authkit.workload.attempt import Kind, Source, Strike
from authkit.workload.browsers import POPULAR
from authkit.workload.geography import CARRIERS, HOSTING, Carrier, random_address
from authkit.workload.legitimate import HOUR_US
from authkit.workload.population import DAY_US, POOLS, Person

_MINUTE_US = 60_000_000
_MORNING_H, _WAKING_H = 7, 16


def naive(scene: Scene, at_us: int) -> list[Strike]:
    """Come from anywhere in the world with the most popular browser."""
    carrier = CARRIERS[int(scene.rng.random() * len(CARRIERS))]
    address = random_address(scene.rng, carrier)
    return _takeover(scene, at_us, "naive", _popular(scene, at_us, carrier, address))


def vpn(scene: Scene, at_us: int) -> list[Strike]:
    """Come from a rented address in the victim's country, with a popular browser."""
    victim = scene.victim(at_us=at_us)
    carriers = [c for c in HOSTING if c.country == victim.country.code]
    carrier = carriers[int(scene.rng.random() * len(carriers))]
    address = random_address(scene.rng, carrier)
    source = _popular(scene, at_us, carrier, address)
    return _takeover(scene, at_us, "vpn", source, victim)


def targeted(scene: Scene, at_us: int) -> list[Strike]:
    """Come from the victim's city with a browser like theirs, on any network there.

    Through a taken-over home machine: its address is of the pools that customers have.
    """
    rng = scene.rng
    victim = scene.victim(at_us=at_us)
    at_us = _awake(scene, at_us, victim)
    carriers = victim.country.of_kind("broadband")
    carrier = carriers[int(rng.random() * len(carriers))]
    address = carrier.v4(rng, city=victim.city, pool=int(rng.random() * POOLS))
    source = _imitation(scene, at_us, victim, carrier, address, exact=False)
    return _takeover(scene, at_us, "targeted", source, victim)


def very_targeted(scene: Scene, at_us: int) -> list[Strike]:
    """Come from the victim's own home network with their exact browser."""
    rng = scene.rng
    victim = scene.victim(at_us=at_us)
    at_us = _awake(scene, at_us, victim)
    home = victim.lines["home"]
    draw = home.carrier.v6 if home.v6 else home.carrier.v4
    address = draw(rng, city=home.city, pool=home.pool)
    source = _imitation(scene, at_us, victim, home.carrier, address, exact=True)
    return _takeover(scene, at_us, "very_targeted", source, victim)


def dormant_takeover(scene: Scene, at_us: int) -> list[Strike]:
    """Use an account that nobody has used for long, with its old password."""
    victim = scene.victim(at_us=at_us, dormant=True)
    source = scene.machine(at_us)
    return _takeover(scene, at_us, "dormant_takeover", source, victim)


def mfa_fatigue(scene: Scene, at_us: int) -> list[Strike]:
    """Ask for approval again and again (ATT&CK T1621) until the victim says yes."""
    rng = scene.rng
    victim = scene.victim(at_us=at_us, mfa=True)
    source = scene.machine(at_us)
    campaign = scene.campaign(at_us)
    worn_out = rng.random() < 0.3
    times = 6 + int(rng.random() * 14)
    made: list[Strike] = []
    for turn in range(times):
        made.append(
            strike(
                "mfa_fatigue",
                campaign,
                at_us,
                victim,
                source,
                secret=True,
                approves=worn_out and turn == times - 1,
            )
        )
        at_us += int((0.3 + 0.7 * rng.random()) * _MINUTE_US)
    return made


def _awake(scene: Scene, at_us: int, victim: Person) -> int:
    """Put off to the next day what would be at night: who is near keeps local hours."""
    local = at_us + victim.country.utc_offset_h * HOUR_US
    since = (local % DAY_US - _MORNING_H * HOUR_US) % DAY_US
    if since < _WAKING_H * HOUR_US:
        return at_us
    return at_us + DAY_US - since + int(scene.rng.random() * _WAKING_H * HOUR_US)


def _takeover(
    scene: Scene,
    at_us: int,
    kind: Kind,
    source: Source,
    victim: Person | None = None,
) -> list[Strike]:
    victim = victim or scene.victim(at_us=at_us)
    campaign = scene.campaign(at_us)
    made: list[Strike] = []
    if scene.rng.random() < 0.3:  # a list may hold an older password too
        made.append(strike(kind, campaign, at_us, victim, source))
        at_us += int((0.2 + scene.rng.random()) * _MINUTE_US)
    made.append(strike(kind, campaign, at_us, victim, source, secret=True))
    return made


def _popular(scene: Scene, at_us: int, carrier: Carrier, address: str) -> Source:
    agent = POPULAR.user_agent(POPULAR.version_on(scene.day(at_us)))
    device = scene.keyed.device(f"attacker/{scene.rng.getrandbits(64):x}")
    return Source(address, carrier.asn, carrier.country, agent, device)


def _imitation(
    scene: Scene,
    at_us: int,
    victim: Person,
    carrier: Carrier,
    address: str,
    *,
    exact: bool,
) -> Source:
    devices = victim.devices
    model = devices[int(scene.rng.random() * len(devices))]
    day = scene.day(at_us)
    agent = model.user_agent(day)
    if not exact:  # the right browser and system, the version that is current
        agent = model.browser.user_agent(model.browser.version_on(day))
    device = scene.keyed.device(f"attacker/{scene.rng.getrandbits(64):x}")
    return Source(address, carrier.asn, carrier.country, agent, device)
