"""Every labelled campaign of a world, and what is found where nobody attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.evaluation.campaigns import MEANT_FOR, Searched, search
from authkit.ids import uuid7
from authkit.risk.detectors import DETECTORS, Finding, detect
from authkit.testing.plugin import Database
from authkit.workload.load import seed

END = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = END - timedelta(days=40)


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
def searched(connection) -> tuple[Searched, Mapping[str, Sequence[Finding]]]:
    return search(connection, SINCE, END)


@pytest.fixture(scope="module")
def findings(searched) -> Mapping[str, Sequence[Finding]]:
    return searched[1]


def test_every_labelled_campaign_is_found(searched):
    outcome = searched[0]
    assert set(outcome.campaigns) >= set(MEANT_FOR)
    missed = [f for f in outcome.figures() if f.holds is False]
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


def test_nobody_is_said_to_guess_who_does_not(searched):
    alarms = searched[0].false_alarms
    for name in ("brute_force", "distributed_brute_force", "mfa_fatigue"):
        assert alarms[name] == 0
    rates = {f.name: f.value for f in searched[0].figures() if "false" in f.name}
    assert rates["false alarms, brute_force"] == 0
    assert rates["false alarms, new_device"] > 0


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
