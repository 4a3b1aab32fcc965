from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pandas as pd
import psycopg
import pytest

from authkit.analysis import Frames
from authkit.analysis.detect import DEFAULT, NAMES, detect, findings, impossible_travel
from authkit.errors import InvalidInput
from authkit.ids import uuid7
from authkit.risk.detectors import DETECTORS
from authkit.risk.detectors import detect as in_sql

START = pd.Timestamp("2026-11-20", tz="UTC").as_unit("us")
UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)
# So low that a crowded hour fulfils every one of them, and never all of the time.
LOW: dict[str, dict[str, object]] = {
    "brute_force": {"attempts": 2, "span": timedelta(seconds=40)},
    "distributed_brute_force": {
        "attempts": 4,
        "addresses": 3,
        "span": timedelta(seconds=40),
    },
    "password_spray": {"attempts": 4, "users": 2, "span": timedelta(seconds=60)},
    "distributed_spray": {
        "attempts": 6,
        "addresses": 4,
        "users": 4,
        "span": timedelta(seconds=20),
    },
    "credential_stuffing": {"attempts": 8, "users": 6, "span": timedelta(seconds=60)},
    "distributed_stuffing": {
        "attempts": 4,
        "users": 4,
        "each": 2,
        "span": timedelta(seconds=15),
    },
    "totp_guessing": {"attempts": 3, "sessions": 2, "span": timedelta(minutes=3)},
    "concurrent_countries": {"countries": 3, "span": timedelta(seconds=50)},
    "mfa_fatigue": {"attempts": 2, "span": timedelta(minutes=2)},
    "session_hijack": {"attempts": 3, "devices": 3, "span": timedelta(seconds=50)},
    "new_device": {"last": 3},
    "new_network": {"last": 3},
    "new_country": {"last": 3},
    "dormant_account": {"unused": timedelta(minutes=3)},
    "listed_address": {"networks": ["192.0.2.4/31", "2001:db8::/32"]},
    "impossible_travel": {"located": ["192.0.2.1 40.7 -74.0", "192.0.2.2 37.3 -121.9"]},
    "refresh_reuse": {},
}


def frame(rows: list[tuple[float, str, str, str]]) -> pd.DataFrame:
    """Attempts from (minute, user, address, outcome)."""
    return pd.DataFrame(
        {
            "id": [f"a{n}" for n in range(len(rows))],
            "occurred_at": [START + timedelta(minutes=row[0]) for row in rows],
            "user": [row[1] for row in rows],
            "address": [row[2] for row in rows],
            "outcome": [row[3] for row in rows],
            "method": ["password"] * len(rows),
            "stage": ["primary"] * len(rows),
        }
    )


def told(found: pd.DataFrame) -> list[tuple[object, ...]]:
    """What both forms say of a finding, in an order of its own."""
    columns = found[["first", "last", "severity", "evidence"]].itertuples(index=False)
    return sorted(
        (first, last, severity == "high", tuple(evidence))
        for first, last, severity, evidence in columns
    )


def told_by_sql(url: str, name: str, **changed: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        found = in_sql(connection, DETECTORS[name], ALWAYS, UNTIL, changed)  # type: ignore[arg-type] # values of its parameters
    return sorted(
        (one.first_at, one.last_at, one.critical, tuple(sorted(map(str, one.evidence))))
        for one in found
    )


def created(url: str) -> pd.Series:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id::text, created_at FROM authkit.users")
        users = dict(rows.fetchall())
    return pd.to_datetime(pd.Series(users), utc=True).dt.as_unit("us")


def crowd(connection: psycopg.Connection) -> None:
    """An hour in which a few people, addresses and sessions mix, gaps and ties too."""
    connection.execute("SELECT authkit.ensure_partitions('2026-11-20', '2026-11-20')")
    chance = random.Random(7)  # noqa: S311 # a world to test with, no secret
    users = [UUID(int=n + 1) for n in range(9)]
    sessions = [UUID(int=100 + n) for n in range(4)]
    addresses = [None, *(f"192.0.2.{n}" for n in range(7)), "2001:db8::1"]
    rows = []
    for _ in range(900):
        person = chance.randrange(10)
        second = chance.random() < 0.3
        outcome = chance.choice(("failed", "failed", "succeeded", "denied"))
        rows.append(
            {
                "id": uuid7(),
                "at": START + timedelta(seconds=chance.randrange(1800)),
                "user": users[person] if person < 8 else None,
                "subject": bytes([person]) * 32 if person < 9 else None,
                "ip": chance.choice(addresses),
                "asn": chance.choice((None, 1, 2, 3)),
                "country": chance.choice((None, "DE", "FR", "BR", "JP", "XX")),
                "device": chance.choice((None, b"a" * 32, b"b" * 32, b"c" * 32)),
                "session": chance.choice((None, None, *sessions)),
                "stage": "second_factor" if second else "primary",
                "method": chance.choice(("totp", "push")) if second else "password",
                "outcome": outcome,
                "reason": None,
            }
        )
    rows[-1] |= {
        "method": "refresh_token",
        "outcome": "denied",
        "reason": "token-reused",
    }
    connection.cursor().executemany(
        "INSERT INTO authkit.auth_attempts (id, occurred_at, user_id, subject_hash, ip,"
        " asn, country, device_fingerprint, session_id, stage, method, outcome,"
        " failure_reason) VALUES (%(id)s, %(at)s, %(user)s, %(subject)s, %(ip)s,"
        " %(asn)s, %(country)s, %(device)s, %(session)s, %(stage)s, %(method)s,"
        " %(outcome)s, %(reason)s)",
        rows,
    )
    connection.cursor().executemany(
        "INSERT INTO authkit.users (id, email, created_at) VALUES (%s, %s, %s)",
        [(user, f"u{user.int}@example.org", START - timedelta(1)) for user in users],
    )


def test_every_detector_finds_on_a_frame_what_it_finds_in_the_database(database):
    assert set(NAMES) == set(DETECTORS)
    with psycopg.connect(database.url) as connection:
        crowd(connection)
    frames = Frames(lambda: database.url, masked=False, say=lambda _: None)
    attempts = frames.attempts(since=None)
    since = created(database.url)
    for name, changed in LOW.items():
        there = told_by_sql(database.url, name, **changed)
        assert there, f"{name} finds nothing: it would be compared with nothing"
        if name == "dormant_account":
            here = detect(attempts, name, created=since, **changed)
        else:
            here = detect(attempts, name, **changed)
        assert told(here) == there, name


def test_on_a_world_the_defaults_find_the_same_masked_clear_and_in_sql(seeded):
    masked = seeded.frames().attempts(since=None)
    clear = seeded.frames(masked=False).attempts(since=None)
    some = 0
    for name in NAMES:
        there = told_by_sql(seeded.url, name)
        since = created(seeded.url) if name == "dormant_account" else None
        assert told(detect(clear, name, created=since)) == there, name
        if since is None:
            assert told(detect(masked, name)) == there, name
        some += bool(there)
    assert some >= 4


def test_masked_frames_know_networks_and_no_single_addresses(seeded):
    masked = seeded.frames().attempts(since=None)
    clear = seeded.frames(masked=False).attempts(since=None)
    network = str(clear["network"].dropna().iloc[0])
    listed = {"networks": [network]}
    assert told(detect(masked, "listed_address", **listed)) == told(
        detect(clear, "listed_address", **listed)
    )
    with pytest.raises(InvalidInput, match="look in clear frames"):
        detect(masked, "listed_address", networks=["192.0.2.1"])


def test_a_password_that_was_found_makes_it_high():
    tries = [(n / 10, "u", "x", "failed") for n in range(12)]
    quiet = detect(frame(tries), "brute_force")
    assert (list(quiet["severity"]), list(quiet["user"])) == (["medium"], ["u"])
    entered = detect(frame([*tries, (2.0, "u", "x", "succeeded")]), "brute_force")
    assert list(entered["severity"]) == ["high"]
    assert list(entered["attempts"]) == [12]


def test_nothing_found_is_a_typed_empty_frame():
    some = findings(frame([(n / 10, "u", "x", "failed") for n in range(12)]))
    none = findings(frame([(0.0, "u", "x", "failed")]))
    empty = findings(frame([(0.0, "u", "x", "failed")]).head(0))
    assert (len(some) > 0, len(none), len(empty)) == (True, 0, 0)
    assert some.dtypes.equals(none.dtypes)
    assert some.dtypes.equals(empty.dtypes)


def test_nobody_is_in_two_countries_at_once():
    rows = frame([(0, "u", "x", "succeeded"), (60, "u", "y", "succeeded")])
    rows["country"] = ["NO", "JP"]
    places = {"NO": (59.9, 10.8), "JP": (35.7, 139.7)}
    found = impossible_travel(rows, places=places)
    assert list(found["evidence"]) == [["a0", "a1"]]
    assert found["km"].iloc[0] == pytest.approx(8400, rel=0.02)
    slow = impossible_travel(rows, places=places, km_per_hour=9000)
    assert len(slow) == 0
    unplaced = impossible_travel(rows, places={"NO": (59.9, 10.8)})
    assert (len(unplaced), unplaced.attrs["unplaced"]) == (0, ["JP"])
    other = rows.assign(user=["u", "v"])
    assert len(impossible_travel(other, places=places)) == 0
    assert len(impossible_travel(rows.head(0), places=places)) == 0


def test_what_is_no_detector_is_one_sentence():
    assert set(DEFAULT) < set(NAMES)
    with pytest.raises(InvalidInput, match="none of"):
        detect(frame([]), "magic")
    with pytest.raises(InvalidInput, match="has no parameter much"):
        detect(frame([]), "brute_force", much=1)
    with pytest.raises(InvalidInput, match="is no network"):
        detect(frame([]), "listed_address", networks=["x"])
    with pytest.raises(InvalidInput, match="lacks"):
        detect(pd.DataFrame({"id": []}), "brute_force")
    with pytest.raises(InvalidInput, match="no detector"):
        findings(frame([]), ())
