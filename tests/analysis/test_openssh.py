from __future__ import annotations

import lzma
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.analysis.ingest import Clock, OpenSSH
from authkit.analysis.ingest.event import Event, Found, Passed, Unreadable
from authkit.analysis.ingest.formats import reader_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEAD = "Nov 20 03:00:01 gate sshd[77]: "


def read(*messages: str, year: int = 2026) -> list[Found]:
    reader = OpenSSH(Clock(year, now=NOW))
    lines = [f"{HEAD}{message}\n".encode() for message in messages]
    return [item.found for item in reader.read(lines)]


def events(*messages: str) -> list[Event]:
    return [found for found in read(*messages) if isinstance(found, Event)]


def at(line: str, *, year: int = 2026, zone: str = "UTC") -> datetime:
    clock = Clock(year, ZoneInfo(zone), now=NOW)
    found = clock.read(line)
    assert not isinstance(found, str), found
    return datetime.fromtimestamp(found.at_us / 1e6, UTC)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Failed password for root from 192.0.2.7 port 40022 ssh2",
            ("root", True, "192.0.2.7", "failed", "wrong_password", "password"),
        ),
        (
            "Failed password for invalid user oracle from 192.0.2.7 port 1 ssh2",
            ("oracle", False, "192.0.2.7", "failed", "unknown_account", "password"),
        ),
        (
            "Failed password for invalid user  from 2001:db8::7 port 1 ssh2",
            ("", False, "2001:db8::7", "failed", "unknown_account", "password"),
        ),
        (
            "Accepted publickey for ann from fe80::1%eth0 port 5 ssh2: RSA SHA256:x",
            ("ann", True, "fe80::1", "succeeded", None, "public_key"),
        ),
        (
            "Accepted keyboard-interactive/pam for ann from ::ffff:192.0.2.7 port 5",
            ("ann", True, "192.0.2.7", "succeeded", None, "password"),
        ),
        (
            "Failed publickey for git from UNKNOWN port 65535 ssh2: RSA SHA256:x",
            ("git", True, None, "failed", "wrong_key", "public_key"),
        ),
        (
            "Connection closed by authenticating user bob 192.0.2.7 port 9 [preauth]",
            ("bob", True, "192.0.2.7", "abandoned", None, "other"),
        ),
        (
            "Disconnected from invalid user a b 192.0.2.7 port 9 [preauth]",
            ("a b", False, "192.0.2.7", "abandoned", "unknown_account", "other"),
        ),
    ],
)
def test_a_line_about_a_login_is_an_attempt(message: str, expected: tuple[object, ...]):
    (event,) = events(message)
    what = event.what
    told = (
        what.account,
        what.exists,
        what.ip,
        what.outcome,
        what.reason,
        what.method,
    )
    assert told == expected
    assert what.client == "gate"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00\r\n")))
def test_a_name_that_forges_an_address_does_not_move_the_attempt(name: str):
    forged = f"{name} from 198.51.100.1 port 22 ssh2"
    (event,) = events(f"Failed password for {forged} from 192.0.2.7 port 40022 ssh2")
    assert event.what.ip == "192.0.2.7"


@pytest.mark.parametrize(
    "rest",
    [
        # What an attacker chose: the id of a certificate, the name on his machine, and
        # the name that the first protocol told.
        "ssh2: RSA-CERT SHA256:x ID a from 198.51.100.1 port 2 ssh2: b (serial 0) CA x",
        'ssh2: RSA SHA256:x, client user "a from 198.51.100.1 port 2 ssh2: b"',
        "ssh1: ruser a from 198.51.100.1",
    ],
)
@pytest.mark.parametrize("method", ["publickey", "hostbased"])
def test_a_key_that_forges_an_address_does_not_move_the_attempt(method: str, rest: str):
    (event,) = events(f"Failed {method} for root from 192.0.2.7 port 40022 {rest}")
    assert (event.what.account, event.what.ip) == ("root", "192.0.2.7")


def test_repeated_lines_count_as_often_as_they_say():
    (event,) = events(
        "message repeated 5 times: [ Failed password for root from 192.0.2.7 port 1]"
    )
    assert event.times == 5


def test_what_was_tried_is_not_counted_again_when_the_connection_ends():
    found = events(
        "Invalid user oracle from 192.0.2.7 port 4",
        "pam_unix(sshd:auth): check pass; user unknown",
        "Failed password for invalid user oracle from 192.0.2.7 port 4 ssh2",
        "Connection closed by invalid user oracle 192.0.2.7 port 4 [preauth]",
    )
    assert [event.what.outcome for event in found] == ["failed"]


def test_who_leaves_without_trying_has_given_up_once():
    found = events(
        "Invalid user oracle from 192.0.2.7",
        "Received disconnect from 192.0.2.7: 11: Bye Bye [preauth]",
        "Connection closed by 192.0.2.7 [preauth]",
    )
    assert [(e.what.outcome, e.what.account, e.what.ip) for e in found] == [
        ("abandoned", "oracle", "192.0.2.7")
    ]


@pytest.mark.parametrize(
    "end",
    [
        "error: Received disconnect from 192.0.2.7: 11: Bye Bye [preauth]",
        "Received disconnect from 192.0.2.7 port 58846:11: Bye Bye [preauth]",
        "Connection closed by 192.0.2.7 [preauth]",
        "Connection reset by 192.0.2.7 port 4",
        "fatal: Timeout before authentication for 192.0.2.7 port 4",
        "Timeout before authentication for connection from 192.0.2.7 to 192.0.2.1",
    ],
)
def test_where_a_locked_account_was_tried_from_is_told_by_the_end_alone(end: str):
    (event,) = events("User root not allowed because account is locked", end)
    what = event.what
    assert (what.outcome, what.account, what.ip) == ("abandoned", "root", "192.0.2.7")


def test_a_bracket_within_quotes_ends_no_structured_data():
    told = '[x@1 a="[b]" c="\\"]"][y@1 d="e"]'
    line = f"<38>1 2026-11-20T03:00:01Z gate sshd 77 - {told} Failed none for a from ::"
    found = Clock(2026, now=NOW).read(line)
    assert not isinstance(found, str), found
    assert found.message == "Failed none for a from ::"


def test_a_user_whom_the_configuration_refuses_is_denied():
    found = events(
        "User root from 192.0.2.7 not allowed because not listed in AllowUsers",
        "Failed password for invalid user root from 192.0.2.7 port 4 ssh2",
    )
    assert [(e.what.outcome, e.what.reason, e.what.exists) for e in found] == [
        ("denied", "not_allowed", True)
    ]


@pytest.mark.parametrize(
    "message",
    [
        "Server listening on 0.0.0.0 port 22.",
        "Did not receive identification string from 192.0.2.7",
        "Failed none for invalid user x from 192.0.2.7 port 4 ssh2",
        "PAM 5 more authentication failures; logname= uid=0 rhost=192.0.2.7  user=root",
        "error: maximum authentication attempts exceeded for root from 192.0.2.7",
        "Connection closed by 192.0.2.7 [preauth]",
        "Disconnected from user ann 192.0.2.7 port 4",
        "pam_unix(sshd:session): session opened for user ann(uid=1000) by ann(uid=0)",
    ],
)
def test_other_lines_of_sshd_are_understood_and_no_attempts(message: str):
    assert [type(found) for found in read(message)] == [Passed]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"Nov 20 03:00:01 gate sshd[77]: Failed password for ro\n", "cut off"),
        (b"Nov 20 03:0", "no end"),
        (b"\x00\x00\x00\x00\n", "NUL"),
        (b"Nov 31 03:00:01 gate sshd[77]: x\n", "is the year right"),
        (b"Dec 24 03:00:01 gate sshd[77]: x\n", "is the year right"),
        (b"Nov 20 25:00:01 gate sshd[77]: x\n", "does not exist"),
        (b"2026-13-01T00:00:00Z gate sshd[77]: x\n", "does not exist"),
        (b"once upon a time\n", "no syslog line"),
        (b"Nov 20 03:00:01 nothing that has a program\n", "no host and program"),
        (b"Dez 20 03:00:01 gate sshd[77]: x\n", "Dez is no month"),
        (b"Nov 20 03:00:01 gate last message repeated\n", "no host and program"),
        (b"Nov 20 03:00:01 gate sshd[7]: last message repeated tw\n", "cut off"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, why: str):
    (item,) = OpenSSH(Clock(2026, now=NOW)).read([raw])
    assert isinstance(item.found, Unreadable)
    assert why in item.found.reason


def test_no_part_of_a_line_that_is_being_written_is_an_attempt():
    whole = f"{HEAD}Failed password for root from 192.0.2.77 port 4711 ssh2\n".encode()
    found = [
        item.found
        for end in range(1, len(whole))
        for item in OpenSSH(Clock(2026, now=NOW)).read([whole[:end]])
    ]
    assert set(map(type, found)) == {Unreadable}


def test_a_name_in_another_encoding_is_still_an_attempt():
    raw = HEAD.encode() + b"Failed password for \xfc from 192.0.2.7 port 1 ssh2\n"
    (item,) = OpenSSH(Clock(2026, now=NOW)).read([raw])
    assert isinstance(item.found, Event)
    assert item.found.what.account == "\\xfc"


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_its_first_line():
    raw = f"\ufeff{HEAD}Failed password for ann from 192.0.2.7 port 1 ssh2\r\n"
    (item,) = OpenSSH(Clock(2026, now=NOW)).read([raw.encode()])
    assert isinstance(item.found, Event)


@pytest.mark.parametrize(
    ("messages", "times"),
    [
        (("{pam}", "{failed}", "{pam}"), 2),  # sshd tells of some of PAM's
        (("message repeated 2 times: [ {pam}]", "{failed}"), 2),
        (("{pam}", "message repeated 3 times: [ {failed}]"), 3),
        (("{failed}", "{failed}"), 2),
        (("{pam}", "Failed password for ann from 192.0.2.7 port 4 ssh2"), 2),
    ],
)
def test_what_pam_and_sshd_both_tell_of_is_one_attempt(
    messages: tuple[str, ...], times: int
):
    told = {
        "pam": "error: PAM: Authentication failure for ann from 192.0.2.7",
        "failed": "Failed keyboard-interactive/pam for ann from 192.0.2.7 port 4 ssh2",
    }
    found = events(*(message.format(**told) for message in messages))
    assert sum(event.times for event in found) == times


def test_times_are_read_in_the_zone_and_the_year_of_the_log():
    winter = "Jan 20 03:00:01 gate sshd[77]: x"
    summer = "Jul 20 03:00:01 gate sshd[77]: x"
    assert at(winter, zone="Europe/Berlin") == datetime(
        2026, 1, 20, 2, 0, 1, tzinfo=UTC
    )
    assert at(summer, zone="Europe/Berlin") == datetime(
        2026, 7, 20, 1, 0, 1, tzinfo=UTC
    )
    exact = "2026-07-20T03:00:01.250+02:00 gate sshd[77]: x"
    assert at(exact) == datetime(2026, 7, 20, 1, 0, 1, 250_000, tzinfo=UTC)


def test_a_log_over_new_year_goes_on_in_the_next_and_stragglers_do_not_go_back():
    clock = Clock(2025, now=NOW)
    days = ("Dec 31", "Jan  1", "Dec 31", "Jan  2")
    found = [clock.read(f"{day} 00:00:01 gate sshd[77]: x") for day in days]
    years = [
        datetime.fromtimestamp(line.at_us / 1e6, UTC).year
        for line in found
        if not isinstance(line, str)
    ]
    assert years == [2025, 2026, 2025, 2026]


@pytest.mark.parametrize(
    ("days", "years"),
    [
        (("Jan  5", "Sep  2", "Oct  2"), [2026, 2026, 2026]),  # seven months of silence
        (("Jan  9", "Dec 27", "Jan  2"), [2026, 2025, 2026]),  # two logs, newer first
    ],
)
def test_a_step_of_half_a_year_is_no_step_over_new_year_unless_that_is_short(
    days: tuple[str, ...], years: list[int]
):
    clock = Clock(2026, now=NOW)
    found = [clock.read(f"{day} 00:00:01 gate sshd[77]: x") for day in days]
    read = [
        datetime.fromtimestamp(line.at_us / 1e6, UTC).year
        for line in found
        if not isinstance(line, str)
    ]
    assert read == years


@pytest.mark.parametrize(
    ("zone", "ended", "day", "year"),
    [
        ("Pacific/Auckland", "2026-11-22T19:00Z", "Nov 23", 2026),  # 08:00 there
        ("America/New_York", "2026-01-01T03:00Z", "Dec 31", 2025),  # 22:00 there
        ("Europe/Berlin", "2025-12-31T23:30Z", "Jan  1", 2026),
        ("UTC", "2026-02-01T00:00Z", "Nov 23", 2025),
    ],
)
def test_the_year_of_a_log_is_guessed_by_its_own_calendar(
    tmp_path: Path, zone: str, ended: str, day: str, year: int
):
    path = tmp_path / "auth.log"
    path.write_text(f"{day} 00:00:05 gate sshd[77]: x\n")
    at_s = datetime.fromisoformat(ended).timestamp()
    os.utime(path, (at_s, at_s))
    _, guessed = reader_of("openssh", path, mapping=None, year=None, zone=zone, now=NOW)
    assert guessed == year


def test_every_readable_line_of_a_log_of_many_systems_is_understood():
    # No machine's real log: lines of our own, one for each shape that public
    # collections show (the test log of fail2ban's filter for sshd, Elastic's module
    # `system.auth`, Loghub): BSD, Solaris, old and new OpenSSH, four syslogs,
    # journalctl. Of shapes that are not among them it proves nothing.
    lines = (Path(__file__).parent / "logs/auth.log").read_bytes().splitlines(True)
    reader = OpenSSH(Clock(2026, now=NOW))
    items = list(reader.read(lines))
    assert len(items) == len(lines)
    assert [item for item in items if isinstance(item.found, Unreadable)] == []
    counted: Counter[tuple[str, str | None]] = Counter()
    for event in (item.found for item in items if isinstance(item.found, Event)):
        counted[event.what.outcome, event.what.reason] += event.times
    assert counted == {
        ("failed", "wrong_password"): 8,  # root 3 and 1, mara 2, james, bob
        ("failed", "wrong_key"): 1,
        ("failed", "unknown_account"): 5,
        ("denied", "not_allowed"): 2,
        ("abandoned", "unknown_account"): 1,
        ("abandoned", None): 2,
        ("succeeded", None): 3,
    }


# What clients of ours counted as they tried a real sshd by loopback addresses: some
# names and passwords, keys, no method, connections that say nothing, more of them
# at once than it takes. Tries with a key nobody has authorised are not all told of by
# sshd, nor those with no method: they end as abandoned.
TRIED: dict[tuple[str, str], int] = {
    ("127.0.0.10", "failed"): 100,
    ("127.0.0.11", "failed"): 107,
    ("127.0.0.12", "failed"): 95,
    ("127.0.0.13", "failed"): 106,
    ("127.0.0.14", "failed"): 101,
    ("127.0.0.15", "failed"): 97,
    ("127.0.0.30", "failed"): 1162,
    ("127.0.0.30", "succeeded"): 2,
    ("127.0.0.40", "failed"): 62,
    ("127.0.0.41", "failed"): 2,
    ("127.0.0.41", "abandoned"): 41,
    ("127.0.0.42", "abandoned"): 29,
    ("127.0.1.1", "failed"): 12,
    ("127.0.1.1", "succeeded"): 49,
    ("127.0.1.2", "failed"): 21,
    ("127.0.1.2", "succeeded"): 42,
    ("127.0.1.3", "failed"): 22,
    ("127.0.1.3", "succeeded"): 49,
}


def test_a_real_log_tells_what_its_clients_counted():
    # OpenSSH 9.2 of Debian 12 through rsyslog, PAM and LogLevel VERBOSE; 28 names, with
    # ` from 1.2.3.4`, quotes, tabs, spaces and other alphabets among them.
    packed = Path(__file__).parent / "logs/openssh-9.2.log.xz"
    lines = lzma.decompress(packed.read_bytes()).splitlines(True)
    items = list(OpenSSH(Clock(2026, now=NOW + timedelta(days=1))).read(lines))
    assert len(items) == len(lines) == 9787
    assert [item for item in items if isinstance(item.found, Unreadable)] == []
    counted: Counter[tuple[str, str]] = Counter()
    for event in (item.found for item in items if isinstance(item.found, Event)):
        counted[str(event.what.ip), event.what.outcome] += event.times
    assert counted == TRIED


# One line for each of the 27 kinds in a log of a real server: J. Zhu et al., "Loghub: A
# Large Collection of System Log Datasets for AI-driven Log Analytics" (ISSRE 2023), the
# templates of its OpenSSH sample. Names and addresses are ours; the sample's own lines
# are not here. The number is how many attempts the line tells of.
OF_A_REAL_SERVER = {
    "Accepted password for ann from 192.0.2.7 port 49116 ssh2": 1,
    "Connection closed by 192.0.2.7 [preauth]": 0,
    "Did not receive identification string from 192.0.2.7": 0,
    "Disconnecting: Too many authentication failures for admin [preauth]": 0,
    "Disconnecting: Too many authentication failures for root [preauth]": 0,
    "error: Received disconnect from 192.0.2.7: 3: com.jcraft.jsch.JSchException:"
    " Auth fail [preauth]": 0,
    "error: Received disconnect from 192.0.2.7: 14: No more user authentication"
    " methods available. [preauth]": 0,
    "Failed none for invalid user 0 from 192.0.2.7 port 51889 ssh2": 0,
    "Failed password for root from 192.0.2.7 port 44328 ssh2": 1,
    "Failed password for invalid user bob from 192.0.2.7 port 38926 ssh2": 1,
    "fatal: Write failed: Connection reset by peer [preauth]": 0,
    "input_userauth_request: invalid user bob [preauth]": 0,
    "Invalid user bob from 192.0.2.7": 0,
    "message repeated 5 times: [ Failed password for root from 192.0.2.7 port 4]": 5,
    "PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh ruser="
    " rhost=192.0.2.7": 0,
    "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser="
    " rhost=192.0.2.7": 0,
    "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser="
    " rhost=192.0.2.7  user=root": 0,
    "PAM service(sshd) ignoring max retries; 6 > 3": 0,
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh"
    " ruser= rhost=192.0.2.7 ": 0,
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh"
    " ruser= rhost=192.0.2.7  user=root": 0,
    "pam_unix(sshd:auth): check pass; user unknown": 0,
    "pam_unix(sshd:session): session closed for user ann": 0,
    "pam_unix(sshd:session): session opened for user ann by (uid=0)": 0,
    "Received disconnect from 192.0.2.7: 11: Bye Bye [preauth]": 0,
    "Received disconnect from 192.0.2.7: 11: Closed due to user request. [preauth]": 0,
    "Received disconnect from 192.0.2.7: 11: disconnected by user": 0,
    "reverse mapping checking getaddrinfo for host.example [192.0.2.7] failed"
    " - POSSIBLE BREAK-IN ATTEMPT!": 0,
}


def test_every_kind_of_line_in_a_log_of_a_real_server_is_understood():
    assert len(OF_A_REAL_SERVER) == 27
    told = {
        message: one.times if isinstance(one, Event) else type(one).__name__
        for message, one in zip(OF_A_REAL_SERVER, read(*OF_A_REAL_SERVER), strict=True)
    }
    expected = {line: times or "Passed" for line, times in OF_A_REAL_SERVER.items()}
    assert told == expected
