from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from authkit.crypto import tokens
from authkit.harness.flows import present_again
from authkit.harness.profile import FLOWS, read
from authkit.harness.summary import STALE_AUTHORISATION, STALE_READ
from authkit.harness.world import OpenSession
from authkit.ids import uuid7

PROFILE = Path(__file__).with_name("flows.toml")


def test_every_flow_runs_against_both_nodes_without_an_error(locust, tmp_path: Path):
    assert set(FLOWS) <= set(read(PROFILE).weights)
    report = tmp_path / "report.html"
    ran = locust.run(
        *("-u", "4", "-r", "4"),
        AUTHKIT_LOAD_PROFILE=PROFILE,
        AUTHKIT_LOAD_REPORT=report,
    )
    assert ran.code == 0, ran.said
    assert ran.figures["errors"] == 0, ran.json
    assert ran.figures["stale_authorisations"] == 0
    seen = {row["operation"] for row in ran.json["percentiles"]}
    assert seen >= {
        *("logins.begin", "logins.succeed", "logins.settle", "auth_cache.get"),
        *("oauth_codes.redeem", "oauth_tokens.rotate", "oauth_tokens.introspect"),
        *("sessions.revoke", "sessions.revoke_user", "rate_limits.check"),
    }
    # What takes several operations has a time of its own, and what takes one has not.
    visits = {name for name in ran.figures if name.startswith("visit.")}
    assert {"visit.login.p99_ms", "visit.authorise.p99_ms"} <= visits
    assert "visit.sessions.validate.p99_ms" not in visits
    assert ran.figures["visit.login.p50_ms"] > 0
    told = "\n".join((ran.said, json.dumps(ran.json), report.read_text()))
    assert secrets_in(told, locust.database.url) == []
    assert "@nobody." not in told


def secrets_in(told: str, url: str) -> list[str]:
    """Return what of a text is an address or opens a session of the database."""
    with psycopg.connect(url) as connection:
        emails = connection.execute("SELECT email FROM authkit.users").fetchall()
        digests = connection.execute("SELECT token_digest FROM authkit.active_sessions")
        known = {bytes(row[0]) for row in digests}
    shaped = re.findall(r"(?<![\w-])[\w-]{43}(?![\w-])", told, re.ASCII)
    return [
        *(email for (email,) in emails if email in told),
        *(token for token in shaped if tokens.digest(token) in known),
    ]


def test_an_address_or_a_token_in_a_report_would_be_found(locust):
    url = locust.database.url
    issued = tokens.issue()
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT id, email FROM authkit.users LIMIT 1")
        user, email = found.fetchone()
        connection.execute(
            "UPDATE authkit.active_sessions SET token_digest = %s WHERE id ="
            " (SELECT id FROM authkit.active_sessions LIMIT 1)",
            (issued.digest,),
        )
    told = f'{user}: "{email}", <b>{issued.token}</b>, {tokens.issue().token}'
    assert secrets_in(told, url) == [email, issued.token]


@pytest.mark.parametrize(
    ("bound_s", "waited_s", "counted"),
    [
        (None, 0.0, [STALE_AUTHORISATION]),
        (1.0, 0.2, [STALE_READ]),
        (1.0, 1.5, [STALE_READ, STALE_AUTHORISATION]),
    ],
)
def test_a_revoked_session_that_is_still_honoured_is_counted(
    bound_s, waited_s, counted
):
    """A kit that honours every session stands in for a cluster that reads stale."""
    found: list[str] = []
    user = SimpleNamespace(
        kit=SimpleNamespace(
            sessions=SimpleNamespace(validate=lambda *_, **__: "a session")
        ),
        load=SimpleNamespace(clock=lambda: 100.0 + waited_s, count=found.append),
        max_lag=lambda: None if bound_s is None else timedelta(seconds=bound_s),
    )
    session = OpenSession("token", uuid7(), uuid7())
    present_again(user, session, None, 100.0)
    assert found == counted
