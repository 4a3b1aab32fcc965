"""Every labelled campaign of a world, and what is found where nobody attacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.ids import uuid7
from authkit.risk.detectors import DETECTORS, Finding, detect
from authkit.testing.plugin import Database
from authkit.workload.load import seed

END = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = END - timedelta(days=40)
# What finds which attack, as soon as an attempt of it passed the first factor.
PASSED = ("new_device", "new_network", "new_country")
EXPECTED: dict[str, tuple[str, ...]] = {
    "naive": PASSED,
    "vpn": PASSED,
    "targeted": PASSED,
    "very_targeted": PASSED,
    "credential_stuffing": ("credential_stuffing", "distributed_stuffing"),
    "password_spraying": ("password_spray", "distributed_spray"),
    "brute_force": ("brute_force", "distributed_brute_force"),
    "mfa_fatigue": ("mfa_fatigue",),
    "dormant_takeover": ("dormant_account",),
}


@pytest.fixture(scope="module")
def database(pair, template_db) -> Iterator[Database]:
    name = f"detect_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    url = pair.url("primary", database=name)
    yield Database(name, url, url)
    pair.drop_database(name)


@pytest.fixture(scope="module")
def connection(database) -> Iterator[psycopg.Connection]:
    seed(database.url, users=700, days=40, seed=3, end=END)
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def findings(connection) -> dict[str, list[Finding]]:
    return {
        name: detect(connection, detector, SINCE, END)
        for name, detector in DETECTORS.items()
    }


def test_every_labelled_campaign_is_found(connection, findings):
    flagged: dict[str, set[UUID]] = {
        name: {i for finding in found for i in finding.evidence}
        for name, found in findings.items()
    }
    campaigns = connection.execute(
        "SELECT l.campaign, min(l.kind), array_agg(l.attempt_id),"
        " bool_or(a.outcome = 'succeeded'), count(*)"
        " FROM authkit_world.labels AS l"
        " JOIN authkit.auth_attempts AS a ON a.id = l.attempt_id"
        " GROUP BY l.campaign"
    ).fetchall()
    assert {kind for _, kind, *_ in campaigns} == set(EXPECTED)
    missed = [
        (kind, size)
        for _, kind, attempts, passed, size in campaigns
        # A wrong password alone is one wrong password, whoever typed it; the clock
        # of the world stops in the middle of a few.
        if (passed or size >= 25)
        and not any(flagged[name] & set(attempts) for name in EXPECTED[kind])
    ]
    assert missed == []


def test_evidence_exists_lies_in_the_window_and_is_of_a_known_technique(
    connection, findings
):
    for name, found in findings.items():
        assert DETECTORS[name].technique.startswith("T")
        for finding in found:
            assert finding.evidence
            assert finding.first_at <= finding.last_at <= END
            assert len(set(finding.evidence)) == len(finding.evidence)


def test_false_alarms_are_counted_per_million_legitimate_attempts(
    connection, findings, capsys
):
    attacks = {
        row[0]
        for row in connection.execute("SELECT attempt_id FROM authkit_world.labels")
    }
    whole = connection.execute("SELECT count(*) FROM authkit.auth_attempts").fetchone()
    assert whole is not None
    legitimate = whole[0] - len(attacks)
    alarms = {
        name: sum(not attacks & set(finding.evidence) for finding in found)
        for name, found in findings.items()
    }
    with capsys.disabled():
        for name, count in alarms.items():
            rate = round(count * 1_000_000 / legitimate)
            sys.stdout.write(f"\n{name}: {count} false alarms, {rate:,} a million")
    for name in ("brute_force", "distributed_brute_force", "mfa_fatigue"):
        assert alarms[name] == 0


def test_an_attempt_from_a_listed_network_is_found_by_its_address(connection):
    row = connection.execute(
        "SELECT host(ip) FROM authkit.auth_attempts WHERE ip IS NOT NULL LIMIT 1"
    ).fetchone()
    assert row is not None
    listed = DETECTORS["listed_address"]
    found = detect(connection, listed, SINCE, END, {"networks": [f"{row[0]}/32"]})
    assert [finding.about for finding in found] == [row[0]]
    assert detect(connection, listed, SINCE, END) == []


def test_bad_input_is_named(connection):
    detector = DETECTORS["brute_force"]
    with pytest.raises(InvalidInput, match="no parameter colour"):
        detect(connection, detector, SINCE, END, {"colour": 3})
    with pytest.raises(InvalidInput, match="not after"):
        detect(connection, detector, END, SINCE)
    with pytest.raises(InvalidInput, match="time zone"):
        detect(connection, detector, SINCE, END.replace(tzinfo=None))
