"""What detectors of sessions, travel and codes find, planted; and what they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from authkit.ids import uuid7
from authkit.risk.detectors import DETECTORS, Finding, detect
from authkit.risk.detectors.travel import located
from authkit.risk.networks import Networks
from authkit.risk.places import PLACES

END = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = END - timedelta(days=2)
NOON = END - timedelta(hours=12)


@pytest.fixture(scope="module")
def url(pair, template_db) -> Iterator[str]:
    name = f"planted_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    url = pair.url("primary", database=name)
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(
            "SELECT authkit.ensure_partitions(%s, %s)", (SINCE.date(), END.date())
        )
    yield url
    pair.drop_database(name)


@pytest.fixture
def owner(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as opened:  # what a test plants is never committed
        yield opened
        opened.rollback()


def attempt(owner: psycopg.Connection, minutes: float, **values: Any) -> UUID:
    row = {
        "id": uuid7(),
        "occurred_at": NOON + timedelta(minutes=minutes),
        "outcome": "succeeded",
        **values,
    }
    columns = ", ".join(row)
    places = ", ".join(f"%({name})s" for name in row)
    statement = f"INSERT INTO authkit.auth_attempts ({columns}) VALUES ({places})"
    owner.execute(statement, row)
    return row["id"]


def found(owner: psycopg.Connection, name: str, **changed: Any) -> list[Finding]:
    return detect(owner, DETECTORS[name], SINCE, END, changed)


def test_who_is_in_two_far_countries_within_an_hour_did_not_travel(owner):
    ada, bob, eve = uuid7(), uuid7(), uuid7()
    home = attempt(owner, 0, user_id=ada, country="NO")
    away = attempt(owner, 60, user_id=ada, country="BR")
    attempt(owner, 0, user_id=bob, country="NO")
    attempt(owner, 16 * 60 - 360, user_id=bob, country="BR")  # ten hours: not enough
    attempt(owner, 0, user_id=eve, country="DE")
    attempt(owner, 5, user_id=eve, country="LU")  # too near to say anything
    attempt(owner, 6, user_id=eve)  # from nowhere that anybody knows
    attempt(owner, 7, user_id=eve, country="BR", outcome="failed")
    one, two = sorted(found(owner, "impossible_travel"), key=lambda f: f.last_at)
    assert (one.about, one.evidence, one.critical) == (str(ada), (home, away), True)
    assert two.about == str(bob)
    slower = found(owner, "impossible_travel", km_per_hour=900)
    assert [finding.about for finding in slower] == [str(ada), str(bob)]
    assert [f.about for f in found(owner, "impossible_travel", km_per_hour=1100)] == [
        str(ada)
    ]


def test_where_the_city_is_known_it_goes_before_the_country(owner, mmdb, tmp_path):
    ada = uuid7()
    attempt(owner, 0, user_id=ada, country="US", ip="192.0.2.1")
    attempt(owner, 60, user_id=ada, country="US", ip="192.0.2.2")
    assert found(owner, "impossible_travel") == []
    names = {"192.0.2.1/32": (40.7, -74.0), "192.0.2.2/32": (37.3, -121.9)}
    records = {
        name: {"location": {"latitude": north, "longitude": east}}
        for name, (north, east) in names.items()
    }
    networks = Networks(city=mmdb(tmp_path / "city.mmdb", records))
    cities = located(owner, networks, SINCE, END)
    assert sorted(cities) == ["192.0.2.1 40.7 -74.0", "192.0.2.2 37.3 -121.9"]
    networks.close()
    [finding] = found(owner, "impossible_travel", located=cities)
    assert finding.about == str(ada)
    assert located(owner, Networks(), SINCE, END) == []


def test_every_place_is_on_earth_and_every_country_of_the_world_is_one():
    from authkit.workload.geography import COUNTRIES

    assert len(PLACES) > 240
    assert all(len(code) == 2 for code in PLACES)
    assert all(abs(n) <= 90 and abs(e) <= 180 for n, e in PLACES.values())
    for country in COUNTRIES:
        north, east = PLACES[country.code]
        assert abs(north - country.cities[0].latitude) < 20
        assert abs(east - country.cities[0].longitude) < 30


def test_a_session_in_many_hands_is_found_and_a_change_of_network_is_not(owner):
    stolen, moved, ada = uuid7(), uuid7(), uuid7()
    ids = [
        attempt(
            owner,
            n,
            user_id=ada,
            session_id=stolen,
            device_fingerprint=bytes([n]) * 32,
            ip=f"192.0.2.{n % 2}",
            outcome="failed" if n else "succeeded",
        )
        for n in range(4)
    ]
    for n in range(6):
        attempt(
            owner,
            n,
            user_id=ada,
            session_id=moved,
            device_fingerprint=b"d" * 32,
            ip=f"192.0.2.{n}",
        )
    [finding] = found(owner, "session_hijack")
    assert (finding.about, set(finding.evidence)) == (str(stolen), set(ids))
    assert DETECTORS["session_hijack"].technique == "T1539"


def test_codes_guessed_over_many_logins_are_found_and_one_long_try_is_not(owner):
    ada, bob = uuid7(), uuid7()
    for n in range(20):
        if n % 2 == 0:
            attempt(owner, n * 0.4, user_id=ada)
        if n == 0:
            attempt(owner, 0, user_id=bob)
        for who in (ada, bob):
            attempt(
                owner,
                n * 0.4 + 0.1,
                user_id=who,
                stage="second_factor",
                method="totp",
                outcome="failed",
            )
    [finding] = found(owner, "totp_guessing")
    assert (finding.about, finding.critical) == (str(ada), False)
    assert len(finding.evidence) == 20
    attempt(owner, 9, user_id=ada, stage="second_factor", method="totp")
    [finding] = found(owner, "totp_guessing")
    assert finding.critical


def test_a_refresh_token_that_comes_twice_is_found_by_its_family(owner):
    family, session, ada = uuid7(), uuid7(), uuid7()
    login = attempt(owner, 0, user_id=ada, session_id=session)
    owner.execute(
        "INSERT INTO authkit.oauth_token_families (id, client_id, user_id, session_id,"
        " created_at, expires_at, revoked_at, revoke_reason)"
        " VALUES (%s, 'app', %s, %s, %s, %s, %s, 'token-reused')",
        (family, ada, session, NOON, END, NOON + timedelta(hours=1)),
    )
    assert found(owner, "refresh_reuse") == []  # nothing was ever exchanged
    owner.execute(
        "INSERT INTO authkit.oauth_issued_tokens (id, token_digest, kind, family_id,"
        " generation, client_id, created_at, expires_at, family_expires_at, rotated_at)"
        " VALUES (%s, %s, 'refresh', %s, 0, 'app', %s, %s, %s, %s)",
        (uuid7(), b"t" * 32, family, NOON, END, END, NOON + timedelta(minutes=30)),
    )
    [finding] = found(owner, "refresh_reuse")
    assert (finding.about, finding.evidence) == (str(ada), (login,))
    refused = attempt(
        owner,
        90,
        user_id=ada,
        method="refresh_token",
        outcome="denied",
        failure_reason="token-reused",
    )
    assert found(owner, "refresh_reuse")[-1].evidence == (refused,)


@pytest.mark.parametrize("name", ["distributed_spray", "distributed_stuffing"])
def test_a_shared_attack_is_critical_once_one_of_its_addresses_comes_in(owner, name):
    users = [uuid7() for _ in range(40)]
    for n in range(80):
        attempt(
            owner,
            n * 0.1,
            user_id=users[n % 40],
            subject_hash=bytes([n % 40]) * 32,
            ip=f"192.0.2.{n % 5}",
            outcome="failed",
        )
    attempt(owner, 9, user_id=users[0], subject_hash=b"\0" * 32, ip="198.51.100.1")
    [finding] = found(owner, name)
    assert not finding.critical  # its owner, from somewhere else
    attempt(owner, 9, user_id=users[1], subject_hash=b"\1" * 32, ip="192.0.2.3")
    [finding] = found(owner, name)
    assert finding.critical


# Of one attempt by its number, and where it came from: what a detector just finds.
BARELY: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
    "brute_force": (10, lambda _: {"subject_hash": b"a" * 32, "ip": "192.0.2.1"}),
    "distributed_brute_force": (
        10,
        lambda n: {"subject_hash": b"a" * 32, "ip": f"192.0.2.{n % 5}"},
    ),
    "password_spray": (
        15,
        lambda n: {"subject_hash": bytes([n % 5]) * 32, "ip": "192.0.2.1"},
    ),
    "credential_stuffing": (
        25,
        lambda n: {"subject_hash": bytes([n]) * 32, "ip": "192.0.2.1"},
    ),
    "mfa_fatigue": (
        5,
        lambda _: {
            "user_id": UUID(int=7),
            "stage": "second_factor",
            "method": "push",
            "outcome": "denied",
        },
    ),
}


@pytest.mark.parametrize("name", BARELY)
def test_one_attempt_fewer_is_no_finding_and_a_success_soon_after_makes_it_critical(
    owner, name
):
    enough, planted = BARELY[name]
    for n in range(enough - 1):
        attempt(owner, n * 0.1, **{"outcome": "failed", **planted(n)})
    assert found(owner, name) == []
    last = planted(enough - 1)
    attempt(owner, enough * 0.1, **{"outcome": "failed", **last})
    attempt(owner, 120, **{**last, "outcome": "succeeded"})  # too late to be theirs
    [finding] = found(owner, name)
    assert (finding.critical, len(finding.evidence)) == (False, enough)
    attempt(owner, 4, **{**last, "outcome": "succeeded"})
    [finding] = found(owner, name)
    assert finding.critical
