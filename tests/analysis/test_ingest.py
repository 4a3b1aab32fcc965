from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from authkit.analysis.ingest import (
    Clock,
    CsvRecords,
    IngestSummary,
    JsonRecords,
    OpenSSH,
    ingest,
    read_mapping,
)
from authkit.analysis.ingest.event import Event, Found, Passed, Reader, Unreadable
from authkit.analysis.ingest.rows import Ordinals
from authkit.crypto import KeyedHash
from authkit.errors import InvalidInput, Unavailable
from authkit.testing.plugin import Database

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HASHING = KeyedHash(b"k" * 32)
LOG = [
    f"Nov {day:2} 03:{minute:02}:{second:02} gate sshd[{minute}]: {message}\n".encode()
    for day in (18, 19)
    for minute in range(20)
    for second, message in enumerate(
        (
            "Failed password for root from 192.0.2.7 port 4 ssh2",
            "Failed password for root from 192.0.2.7 port 4 ssh2",
            "message repeated 3 times: [ Failed password for ann from 192.0.2.8]",
            "Accepted password for ann from 192.0.2.9 port 4 ssh2",
        )
    )
]
# The same second, process and message twice: two attempts.
TWICE = LOG[:1] * 2


def take(
    database: Database,
    folder: Path,
    lines: Iterable[bytes],
    reader: Reader | None = None,
    **options: int,
) -> IngestSummary:
    return ingest(
        database.url,
        lines,
        reader or OpenSSH(Clock(2026, now=NOW)),
        source="gate",
        hashing=HASHING,
        rejects=folder / "rejects.jsonl",
        **options,
    )


def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(statement).fetchall()


COUNTED = """
SELECT method, outcome, count(*), count(DISTINCT user_id), count(DISTINCT id)
FROM authkit.auth_attempts GROUP BY method, outcome ORDER BY outcome
"""


def test_a_log_of_many_systems_is_taken_whole_hosts_unnamed_or_long(
    database: Database, tmp_path: Path
):
    lines = (Path(__file__).parent / "logs/auth.log").read_bytes().splitlines(True)
    long = LOG[0].replace(b"gate", b"g" * 300)
    found = take(database, tmp_path, [*lines, long])
    assert (found.new, found.rejected) == (23, 0)
    [(unnamed, longest)] = rows(
        database,
        "SELECT count(*) FILTER (WHERE client_id IS NULL), max(length(client_id))"
        " FROM authkit.auth_attempts",
    )
    assert (unnamed, longest) == (1, 200)


def test_a_log_is_taken_once_however_often_it_is_read(
    database: Database, tmp_path: Path
):
    first = take(database, tmp_path, LOG, piece_rows=70)
    assert (first.attempts, first.new, first.rejected) == (240, 240, 0)
    assert first.first == datetime(2026, 11, 18, 3, 0, 0, tzinfo=UTC)
    expected = [
        ("password", "failed", 200, 2, 200),
        ("password", "succeeded", 40, 1, 40),
    ]
    assert rows(database, COUNTED) == expected
    grown = [*LOG, LOG[-1].replace(b"03:19", b"04:19")]
    again = take(database, tmp_path, grown, piece_rows=70)
    assert (again.attempts, again.new, again.known) == (241, 1, 240)
    assert not (tmp_path / "rejects.jsonl").exists()


def test_equal_lines_are_rows_of_their_own(database: Database, tmp_path: Path):
    assert take(database, tmp_path, TWICE).new == 2
    assert take(database, tmp_path, TWICE).new == 0


def test_a_log_read_while_its_last_line_was_written_has_that_attempt_once(
    database: Database, tmp_path: Path
):
    half = LOG[0][: LOG[0].index(b" port")]
    assert take(database, tmp_path, [half]).rejected == 1
    assert take(database, tmp_path, LOG[:1]).new == 1
    (stored,) = rows(database, "SELECT host(ip) FROM authkit.auth_attempts")
    assert stored == ("192.0.2.7",)


def test_what_stops_half_way_says_where_and_goes_on_from_there(
    database: Database, tmp_path: Path
):
    def lost(lines: list[bytes]) -> Iterator[bytes]:
        for number, line in enumerate(lines):
            if number == 120:
                with psycopg.connect(database.url, autocommit=True) as other:
                    other.execute(
                        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
                        " WHERE datname = current_database()"
                        " AND application_name = 'authkit seed'"
                    )
            yield line

    with pytest.raises(Unavailable, match=r"stopped after line \d+: .* run it again"):
        take(database, tmp_path, lost(LOG), piece_rows=70)
    there = rows(database, "SELECT count(*) FROM authkit.auth_attempts")[0][0]
    assert isinstance(there, int)
    assert 0 < there < 240
    summary = take(database, tmp_path, LOG, piece_rows=70)
    assert (summary.known, summary.new) == (there, 240 - there)


def test_unreadable_lines_are_counted_and_kept_with_their_reason(
    database: Database, tmp_path: Path
):
    torn = b"Nov 19 03:00:01 gate sshd[1]: Failed password for ro"
    summary = take(database, tmp_path, [LOG[0], b"\xff\xfe\n", torn])
    assert (summary.attempts, summary.rejected) == (1, 2)
    path = tmp_path / "rejects.jsonl"
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["line"] for line in kept] == [2, 3]
    assert kept[1]["text"] == torn.decode()
    assert path.stat().st_mode & 0o077 == 0


def test_only_the_owner_may_read_rejects_where_others_could_read_the_file(
    database: Database, tmp_path: Path
):
    path = tmp_path / "rejects.jsonl"
    path.write_text("of an earlier run")
    path.chmod(0o644)
    take(database, tmp_path, [b"no line of a log\n"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_name_reaches_the_database_in_clear(database: Database, tmp_path: Path):
    take(database, tmp_path, LOG)
    (dump,) = rows(
        database, "SELECT string_agg(a::text, '') FROM authkit.auth_attempts a"
    )
    assert "root" not in str(dump[0])
    subjects = rows(
        database, "SELECT DISTINCT subject_hash FROM authkit.auth_attempts ORDER BY 1"
    )
    assert [bytes(s) for (s,) in subjects if isinstance(s, bytes)] == sorted(
        (HASHING.subject("root"), HASHING.subject("ann"))
    )


KEYCLOAK = {
    "time": 1763600000123,
    "type": "LOGIN_ERROR",
    "realmId": "r",
    "clientId": "account",
    "userId": None,
    "ipAddress": "192.0.2.7",
    "error": "user_not_found",
    "details": {"username": "ann@example.com"},
}
OKTA = {
    "published": "2026-11-20T03:00:01.123Z",
    "eventType": "user.session.start",
    "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"},
    "actor": {"id": "00u1", "alternateId": "ann@example.com"},
    "client": {
        "ipAddress": "192.0.2.7",
        "userAgent": {"rawUserAgent": "Mozilla/5.0"},
        "device": "Computer",
        "id": None,
    },
    "securityContext": {"asNumber": 64500},
    "authenticationContext": {"credentialType": "OTP"},
}
RBA = (
    ",Login Timestamp,User ID,Round-Trip Time [ms],IP Address,Country,Region,City,ASN,"
    "User Agent String,Login Successful,Is Attack IP,Is Account Takeover\n"
    '0,2020-02-03 12:43:30.772,-4324475583306591935,,10.0.65.171,NO,-,-,29695,"a, b",'
    "False,False,False\n"
    "1,2020-02-03 12:43:31.000,7,,10.0.65.171,NO,-,-,29695,c,True,False,True\n"
)


def found(reader: Reader, text: str) -> list[Found]:
    return [item.found for item in reader.read(text.encode().splitlines(keepends=True))]


def test_keycloak_events_are_attempts():
    reader = JsonRecords(read_mapping("keycloak"))
    logout = {**KEYCLOAK, "type": "LOGOUT"}
    told = found(reader, f"{json.dumps(KEYCLOAK)}\n{json.dumps(logout)}\n")
    assert told[1] == Passed("type LOGOUT")
    event = told[0]
    assert isinstance(event, Event)
    assert event.at_us == 1763600000123000
    assert event.what.reason == "unknown_account"
    assert (event.what.account, event.what.exists) == ("ann@example.com", False)


def test_okta_events_are_attempts():
    (event,) = found(JsonRecords(read_mapping("okta")), json.dumps(OKTA))
    assert isinstance(event, Event)
    what = event.what
    told = (what.account, what.subject, what.asn, what.method, what.reason)
    assert told == ("00u1", "ann@example.com", 64500, "totp", "wrong_password")
    assert event.at_us == 1795143601123000


def test_the_second_factor_of_okta_is_no_login_of_its_own(
    database: Database, tmp_path: Path
):
    factor = {**OKTA, "eventType": "user.authentication.auth_via_mfa"}
    lines = [f"{json.dumps(told)}\n".encode() for told in (OKTA, factor)]
    take(database, tmp_path, lines, JsonRecords(read_mapping("okta")))
    stages = rows(database, "SELECT stage FROM authkit.auth_attempts ORDER BY 1")
    assert stages == [("primary",), ("second_factor",)]


def test_a_kind_of_device_is_no_device():
    (event,) = found(JsonRecords(read_mapping("okta")), json.dumps(OKTA))
    assert isinstance(event, Event)
    assert event.what.device is None


def test_the_rba_data_set_keeps_its_users_and_who_took_an_account_over(
    database: Database, tmp_path: Path
):
    reader = CsvRecords(read_mapping("rba"))
    summary = take(database, tmp_path, RBA.encode().splitlines(keepends=True), reader)
    assert (summary.attempts, summary.rejected) == (2, 0)
    assert rows(
        database,
        "SELECT outcome, asn, country, user_agent, user_id IS NULL, host(ip)"
        " FROM authkit.auth_attempts ORDER BY occurred_at",
    ) == [
        ("failed", 29695, "NO", "a, b", False, "10.0.65.171"),
        ("succeeded", 29695, "NO", "c", False, "10.0.65.171"),
    ]
    take(database, tmp_path, RBA.encode().splitlines(keepends=True), reader)
    assert rows(
        database,
        "SELECT l.label, l.author, a.outcome FROM authkit.attempt_labels AS l"
        " JOIN authkit.auth_attempts AS a ON (a.id, a.occurred_at) ="
        " (l.attempt_id, l.occurred_at)",
    ) == [("takeover", "ingest:gate", "succeeded")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"type": "LOGIN"}', "time is missing"),
        ('{"type": "LOGIN", "time": "soon"}', "is not a time"),
        ('{"type": "LOGIN", "time": 1e300}', "is not a time"),
        ('{"type": "LOGIN", "time": -1}', "before 1970"),
        ("{}", "no field 'type'"),
    ],
)
def test_a_record_that_does_not_fit_says_why(line: str, why: str):
    (told,) = found(JsonRecords(read_mapping("keycloak")), line)
    assert isinstance(told, Unreadable)
    assert why in told.reason


def test_a_torn_csv_record_does_not_take_the_next_with_it():
    head, good, _ = RBA.splitlines()
    torn = f'{head}\n1,2,3\n{good}\n5,"never\n{good}\n'
    told = found(CsvRecords(read_mapping("rba")), torn)
    assert [type(one) for one in told[:2]] == [Unreadable, Event]
    assert isinstance(told[2], Unreadable)


def test_a_last_csv_record_without_an_end_is_told_and_not_guessed():
    told = found(CsvRecords(read_mapping("rba")), RBA.removesuffix("\n"))
    assert [type(one) for one in told] == [Event, Unreadable]


def test_a_last_object_of_json_needs_no_end():
    (told,) = found(JsonRecords(read_mapping("keycloak")), json.dumps(KEYCLOAK))
    assert isinstance(told, Event)


def test_long_fields_are_read_and_the_limit_of_others_stays_as_it_was():
    before = csv.field_size_limit()
    long = RBA.replace('"a, b"', '"' + "a" * (before + 1) + '"')
    told = found(CsvRecords(read_mapping("rba")), long)
    assert [type(one) for one in told] == [Event, Event]
    assert csv.field_size_limit() == before


def test_a_csv_file_of_something_else_is_refused():
    reader = CsvRecords(read_mapping("rba"))
    with pytest.raises(InvalidInput, match="names no Login Successful"):
        found(reader, "a,b\n1,2\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("format = 'xml'", "not complete: 'time'"),
        ("x = ", "not valid TOML"),
        (
            "format = 'csv'\ntime = {field = 't', unit = 'days'}\nfields = {}\n",
            "unit of time",
        ),
        (
            "format = 'csv'\ntime = {field = 't'}\nfields = {who = 'u'}\n",
            "fields has who",
        ),
        (
            (
                "format = 'csv'\ntime = {field = 't'}\nfields = {}\n"
                "outcome = {field = 'o', succeeded = ['1']}\n"
                "method = {default = 'magic'}"
            ),
            "magic is not one of",
        ),
        (
            (
                "format = 'csv'\ntime = {field = 't'}\nfields = {}\n"
                "outcome = {field = 'o', succeeded = ['1']}\n"
                "stage = {field = 's', values = {x = 'third'}}"
            ),
            "third is not one of primary, second_factor",
        ),
        (
            (
                "format = 'csv'\ntime = {field = 't'}\nfields = {}\n"
                "outcome = {field = 'o', succeeded = ['1']}\nstage = 'second_factor'"
            ),
            "not complete",
        ),
    ],
)
def test_a_mapping_that_says_too_little_is_refused(text: str, why: str, tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=why):
        read_mapping(path)


def test_ordinals_count_equal_contents_and_forget_in_the_same_way_each_time():
    def counted() -> list[int]:
        ordinals = Ordinals(remembered=3)
        return [ordinals.next(bytes([n]), 2) for n in (1, 1, 2, 3, 1, 4, 5, 6, 1)]

    assert counted() == counted()
    assert counted()[:5] == [0, 2, 0, 0, 4]
