from __future__ import annotations

import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from itertools import pairwise
from uuid import UUID

import pytest

from authkit.errors import InvalidInput
from authkit.workload import ATTACKS, Attempt, World

END = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=7, users=4000, days=30, end=END)


@pytest.fixture(scope="module")
def attempts(world: World) -> list[Attempt]:
    return list(world.attempts())


def test_the_same_seed_gives_the_same_attempts_ids_included(world: World):
    small = World(seed=7, users=300, days=10, end=END)
    assert list(small.attempts()) == list(small.attempts())


def test_another_seed_gives_other_people():
    first = World(seed=1, users=50, days=3, end=END).population()
    second = World(seed=2, users=50, days=3, end=END).population()
    assert {p.email for p in first} != {p.email for p in second}
    assert {p.id for p in first}.isdisjoint(p.id for p in second)


def test_leaving_attacks_out_does_not_change_the_people_or_their_logins():
    def legitimate(attacks: float) -> list[tuple[object, ...]]:
        world = World(seed=3, users=200, days=10, end=END, attacks=attacks)
        return [
            (a.at_us, a.user_id, a.source.ip, a.outcome)
            for a in world.attempts()
            if a.kind == "legitimate"
        ]

    assert legitimate(0.0) == legitimate(1.0)


def test_attempts_come_in_order_of_time_within_the_world(
    world: World, attempts: list[Attempt]
):
    assert all(a.at_us <= b.at_us for a, b in pairwise(attempts))
    assert attempts[0].at_us >= world.start_us
    assert attempts[-1].at_us < world.start_us + 30 * 86_400_000_000


def test_ids_are_unique_version_7_and_carry_the_simulated_time(
    attempts: list[Attempt],
):
    assert len({a.id for a in attempts}) == len(attempts)
    for attempt in attempts[::500]:
        made = UUID(bytes=attempt.id)
        assert (made.version, made.variant) == (7, "specified in RFC 4122")
        assert made.int >> 80 == attempt.at_us // 1000


def test_two_of_five_attempts_succeed_and_45_percent_name_no_account(
    attempts: list[Attempt],
):
    unknown = sum(a.user_id is None for a in attempts) / len(attempts)
    known = [a for a in attempts if a.user_id is not None]
    overall = sum(a.outcome == "succeeded" for a in attempts) / len(attempts)
    without = sum(a.outcome == "succeeded" for a in known) / len(known)
    assert unknown == pytest.approx(0.45, abs=0.01)
    assert overall == pytest.approx(0.40, abs=0.04)
    assert without == pytest.approx(0.78, abs=0.04)


def test_logins_per_user_have_the_published_quantiles(attempts: list[Attempt]):
    per_user = Counter(
        a.user_id
        for a in attempts
        if a.kind == "legitimate" and a.session_id is not None
    )
    counts = sorted(per_user.values())
    median, p90, p99 = (counts[int(len(counts) * q)] for q in (0.5, 0.9, 0.99))
    assert median == 2
    assert 8 <= p90 <= 10
    assert 23 <= p99 <= 33


def test_every_kind_of_attack_is_there_and_takeovers_are_rare(attempts: list[Attempt]):
    kinds = Counter(a.kind for a in attempts)
    assert set(ATTACKS) <= set(kinds)
    taken = sum(a.completes and a.campaign is not None for a in attempts)
    assert 0 < taken < len(attempts) / 500


def test_a_stolen_session_was_opened_before_and_shows_up_elsewhere(
    attempts: list[Attempt],
):
    opened = {a.session_id: a for a in attempts if a.completes}
    stolen = [a for a in attempts if a.kind in {"session_theft", "refresh_replay"}]
    for theft in stolen:
        owner = opened.get(theft.session_id)
        assert owner is not None
        assert owner.user_id == theft.user_id
        assert owner.at_us < theft.at_us
        assert owner.source.device != theft.source.device
        assert theft.outcome in {"failed", "denied"}
    hands = {a.campaign: set() for a in stolen if a.kind == "session_theft"}
    for theft in stolen:
        if theft.campaign in hands:
            hands[theft.campaign].add(theft.source.device)
    assert max(map(len, hands.values())) >= 5


def test_an_attack_on_an_account_that_does_not_exist_yet_meets_no_account(
    world: World, attempts: list[Attempt]
):
    born = {p.id: p.created_us for p in world.population()}
    assert all(a.user_id is None or a.at_us >= born[a.user_id] for a in attempts)


def test_a_second_factor_stops_who_only_holds_the_password(
    world: World, attempts: list[Attempt]
):
    protected = {p.id for p in world.population() if p.mfa}
    entered = [
        a
        for a in attempts
        if a.kind in {"naive", "vpn", "targeted", "very_targeted"}
        and a.user_id in protected
        and a.session_id is not None
    ]
    assert entered == []


def test_no_address_name_or_network_belongs_to_anybody(
    world: World, attempts: list[Attempt]
):
    reserved = ip_network("240.0.0.0/4")
    documentation = ip_network("2001:db8::/32")
    for attempt in attempts[::50]:
        address = ip_address(attempt.source.ip)
        assert address in (reserved if address.version == 4 else documentation)
        assert 64512 <= attempt.source.asn <= 65534
    domains = {p.email.partition("@")[2] for p in world.population()}
    assert domains == {"w7.example.com"}


def test_very_targeted_attackers_come_from_the_victims_home_network(
    world: World, attempts: list[Attempt]
):
    people = world.population()
    attacks = [a for a in attempts if a.kind == "very_targeted" and a.person >= 0]
    homes = [people[a.person].lines["home"].carrier.asn for a in attacks]
    assert [a.source.asn for a in attacks] == homes
    used = {a.source.ip for a in attempts if a.kind == "legitimate"}
    assert sum(a.source.ip in used for a in attacks) < len(attacks) / 4


def test_memory_stays_flat_while_days_pass():
    def peak(days: int) -> int:
        stream = World(seed=5, users=300, days=days, end=END).attempts()
        next(stream)
        tracemalloc.start()
        for _ in stream:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # The same number of logins over ten times the days: a day holds fewer, so the
    # stream must need no more than before.
    assert peak(100) < peak(10) * 1.5


@pytest.mark.parametrize(
    "fault",
    [
        {"users": 0},
        {"days": 0},
        {"attacks": -1.0},
        {"end": END.replace(tzinfo=None)},
        {"users": 10**9},
    ],
)
def test_a_world_that_cannot_be_is_refused(fault: dict[str, object]):
    good: dict[str, object] = {"seed": 1, "users": 10, "days": 3, "end": END}
    with pytest.raises(InvalidInput):
        World(**{**good, **fault})  # type: ignore[arg-type] # faults on purpose
