"""Everything that is read from outside: it is taken, or refused by a named error.

By default a few texts for each; `AUTHKIT_FUZZ_SECONDS=600` goes on for so long and
keeps what failed in hypothesis' database. What was found once is a seed of its reader.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authkit.analysis.ingest.formats import reader_of
from authkit.analysis.ingest.mapping import read_mapping
from authkit.analysis.window import window
from authkit.cluster import Token
from authkit.cluster.epochs import EpochFile
from authkit.cluster.target import targets
from authkit.cluster.timelines import parse_history
from authkit.crypto.keyed import KeyedHash, normalise_email
from authkit.crypto.sealing import KeyRing
from authkit.crypto.signing import SigningKey, VerifyKey
from authkit.crypto.tokens import digest
from authkit.errors import AuthkitError
from authkit.harness import faults, goals, profile, slo
from authkit.harness.gate import budgets, trend
from authkit.harness.results import read as read_results
from authkit.hot.oauth_values import read_challenge
from authkit.hot.registry import BY_NAME
from authkit.relational import checkpoint
from authkit.relational.conditions import parse as parse_conditions
from authkit.relational.names import PermissionName, role_name
from authkit.risk.browser import browser
from authkit.settings import Settings

BENCH = Path(__file__).parents[1] / "bench"
MAPPINGS = Path(__file__).parents[1] / "authkit/analysis/ingest/mappings"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = float(os.environ.get("AUTHKIT_FUZZ_SECONDS", "0"))
SECRET = "hunter2-hunter2"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

Read = Callable[[str], object]


def in_file(read: Callable[[Path], object], name: str = "file") -> Read:
    """Return what writes a text to a file and has that read."""

    def through(text: str) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            return read(path)

    return through


def log(form: str, mapping: str | None = None) -> Read:
    def read(text: str) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            reader, _ = reader_of(
                mapping or form, path, mapping=None, year=2026, zone="UTC", now=NOW
            )
            with path.open("rb") as lines:
                return list(reader.read(lines))

    return read


def of_toml(parse: Callable[[dict[str, Any]], object]) -> Read:
    def read(text: str) -> object:
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return None
        return parse(table)

    return read


def of_json(parse: Callable[[Any], object]) -> Read:
    def read(text: str) -> object:
        try:
            made = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return parse(made)

    return read


def variables(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        return Settings.load(path)


def shipped(folder: Path, pattern: str) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob(pattern))]


URL = f"postgresql://ada:{SECRET}@db.example:5432/auth?sslmode=require"
SSHD = """\
Nov 20 03:00:01 bar sshd[81]: Failed password for root from 203.0.113.9 port 4 ssh2
Nov 20 03:00:02 bar sshd[81]: Accepted publickey for ada from 192.0.2.7 port 5 ssh2: x
Nov 20 03:00:02 bar sshd[81]: message repeated 2 times: [ Failed password for root \
from 203.0.113.9 port 4 ssh2]
Nov 20 03:00:03 bar sshd[81]: Invalid user x from 2001:db8::1 port 4
2026-11-20T03:00:03.123456+01:00 bar sshd-session[81]: Connection closed by invalid \
user x 203.0.113.9 port 4 [preauth]
"""
ENVIRONMENT = f"""\
DATABASE_URL={URL}
DATABASE_POOL_MIN=2
DATABASE_POOL_MAX=20
AUTHKIT_TOKEN_KEY={KEY}
AUTHKIT_SEALING_KEYS=a:{KEY}
"""
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
OKTA = """\
{"published": "2026-11-20T03:00:00Z", "eventType": "user.session.start", \
"outcome": {"result": "FAILURE"}, "actor": {"alternateId": "a"}}
"""
RBA = """\
index,Login Timestamp,User ID,Round-Trip Time [ms],IP Address,Country
0,2020-02-03 12:43:30.772,-4324475583306591935,,10.0.65.171,NO
"""
SLO = """\
[generator]
lag_p99_ms = 2
[recovery]
outage_ms = 3000
[[goal]]
operation = "sessions.validate"
p99_ms = 5
phase = "before"
"""
READERS: dict[str, tuple[Read, list[str]]] = {
    "settings": (
        variables,
        [
            ENVIRONMENT,
            *shipped(BENCH.parent, ".env.example"),
        ],
    ),
    "URLs": (
        lambda text: targets(text.split(",")),
        [URL, f"host=a,b port=1,2 user=x password={SECRET}", "service=x"],
    ),
    "consistency tokens": (Token.parse, ["1.16B374D848", "FFFFFFFF.0"]),
    "session tokens": (digest, ["A" * 43, "a-_" * 14 + "b"]),
    "history files": (parse_history, ["1\t0/3000000\tno recovery target\n2\t1/A0\tx"]),
    "epoch files": (
        in_file(lambda path: EpochFile(path).load()),
        ['{"system_id": "7", "timeline": 3}'],
    ),
    "token keys": (KeyedHash.from_base64, [KEY]),
    "sealing keys": (KeyRing.parse, [f"a:{KEY}", f"a:{KEY},b:{KEY}"]),
    "signing keys": (lambda text: SigningKey.from_pem(text.encode()), ["-----BEGIN"]),
    "e-mail addresses": (normalise_email, ["Ada@Example.com", "\u00e9@b\u00fccher.de"]),
    "user agents": (
        browser,
        [CHROME],
    ),
    "challenges": (
        lambda text: read_challenge(text, "S256"),
        ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
    ),
    "permissions": (PermissionName.parse, ["user:read", "audit:*", "*:*"]),
    "roles": (role_name, ["admin", "help desk"]),
    "conditions": (
        of_json(parse_conditions),
        [
            '{"equals": {"a": 1}}',
            '{"in": {"a": [1, 2]}, "owner": "user_id"}',
            '{"window": {"start": "08:00", "end": "18:00", "zone": "UTC"}}',
            "-1",
            '["owner"]',
        ],
    ),
    "checkpoints": (
        lambda text: checkpoint.read(text, VERIFY),
        ['{"statement": {"timeline": 1}, "key": "a", "signature": "AA=="}'],
    ),
    "windows": (
        lambda text: window(text, None, now=NOW),
        ["7d", "30min", "2w", "2026-11-20", "2026-11-20T03:00:00+01:00"],
    ),
    "sshd": (log("openssh"), [SSHD]),
    "Keycloak": (
        log("keycloak", "keycloak"),
        ['{"time": 1, "type": "LOGIN", "ipAddress": "192.0.2.7", "userId": "a"}\n'],
    ),
    "Okta": (
        log("okta", "okta"),
        [
            OKTA,
        ],
    ),
    "RBA": (
        log("rba", "rba"),
        [
            RBA,
        ],
    ),
    "mappings": (in_file(read_mapping, "a.toml"), shipped(MAPPINGS, "*.toml")),
    "faults": (
        faults.parse_all,
        ["at=10s,kind=kill-primary", "at=1s,kind=lock-table,for=2s,table=users"],
    ),
    "profiles": (
        of_toml(lambda table: profile.parse("x", table)),
        shipped(BENCH / "profiles", "*.toml"),
    ),
    "SLO files": (
        of_toml(lambda table: slo.parse(table, BY_NAME)),
        [
            SLO,
        ],
    ),
    "goals": (in_file(goals.load), shipped(BENCH, "goals.toml")),
    "budgets": (in_file(budgets.load), shipped(BENCH, "budgets.toml")),
    "the results store": (
        in_file(lambda path: read_results(path.parent), "load.jsonl"),
        ['{"command": "load", "figures": []}\n'],
    ),
    "the history of costs": (
        in_file(lambda path: trend.read(path.parent), "costs.jsonl"),
        ['{"version": "a", "at": "2026-11-20T03:00:00Z", "costs": {}}\n'],
    ),
}
VERIFY = VerifyKey.from_pem(SigningKey.generate().public.to_pem())


@st.composite
def edited(draw: st.DrawFn, seeds: list[str]) -> str:
    """Draw a good text with some damage, or any text at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=200))
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        told = st.sampled_from(
            [
                "",
                "\0",
                "-1",
                "1e999",
                "9" * 30,
                "\n",
                '"',
                "=",
                "[",
                "{",
                "nan",
                "\u2028",
            ]
        )
        text = text[:start] + draw(told | st.text(max_size=8)) + text[end:]
    return text


def takes(read: Read, text: str) -> None:
    """Have a text read; a refusal is authkit's own and tells no secret."""
    said = ""
    try:
        read(text)
    except AuthkitError as exc:
        said = f"{exc} {exc!r}"
    assert SECRET not in said


@pytest.mark.timeout(180 + SECONDS)
@pytest.mark.parametrize("which", READERS)
def test_whatever_it_is_it_is_taken_or_refused_by_name(which: str) -> None:
    read, seeds = READERS[which]
    for text in seeds:
        takes(read, text)
    until = monotonic() + SECONDS / len(READERS)
    while True:

        @settings(
            max_examples=500 if SECONDS else 12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(edited(seeds))
        def look(text: str) -> None:
            takes(read, text)

        look()
        if monotonic() >= until:
            break
