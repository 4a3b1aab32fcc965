"""Analysts see people and addresses as tokens that join, and as nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authkit.ids import uuid7
from authkit.schema.masking import MASKED_VIEWS
from authkit.schema.objects import VIEWS

IP = "203.0.113.77"
DEVICE = bytes(range(32))


@pytest.fixture
def seen(rows: Any) -> dict[str, Any]:
    """One person's attempt, session and audit entry, as an analyst reads them."""
    user = uuid7()
    rows.insert(
        "auth_attempts",
        user_id=user,
        subject_hash=bytes(32),
        ip=IP,
        device_fingerprint=DEVICE,
        outcome="failed",
    )
    rows.insert("active_sessions", user_id=user, ip=IP, device_fingerprint=DEVICE)
    event = {
        "action": "session.create",
        "actor": f"user:{user}",
        "target": "email:bob@example.org",
        "details": {"email": "bob@example.org"},
        "ip": IP,
        "outcome": "succeeded",
    }
    rows.connection.execute(
        "SELECT authkit.audit_append(0, %s)", [json.dumps(event).encode()]
    )
    rows.connection.execute("SET LOCAL ROLE authkit_analyst")
    return {"user": user, **{view: read(rows, view) for view in MASKED_VIEWS}}


def read(rows: Any, view: str, prefix: str = "203.0.113.0/24") -> dict[str, Any]:
    cursor = rows.connection.execute(
        f"SELECT to_jsonb(v) FROM authkit.{view} AS v WHERE ip_prefix = %s", [prefix]
    )
    return cursor.fetchone()[0]


def test_no_view_shows_a_name_an_address_or_a_device(seen: dict[str, Any]):
    text = json.dumps([seen[view] for view in MASKED_VIEWS])
    for secret in (str(seen["user"]), IP, DEVICE.hex(), "bob@example.org"):
        assert secret not in text


def test_a_person_has_one_token_in_all_views(seen: dict[str, Any]):
    token = seen["attempts_masked"]["user_token"]
    assert len(token) == 32
    assert seen["sessions_masked"]["user_token"] == token
    assert seen["audit_masked"]["actor_token"] == f"user:{token}"


def test_an_address_has_one_token_and_a_shortened_prefix_in_all_views(
    seen: dict[str, Any],
):
    shown = {(seen[v]["ip_token"], seen[v]["ip_prefix"]) for v in MASKED_VIEWS}
    assert len(shown) == 1
    assert shown.pop()[1] == "203.0.113.0/24"


def test_a_device_has_one_token_in_both_views(seen: dict[str, Any]):
    assert (
        seen["attempts_masked"]["device_token"]
        == seen["sessions_masked"]["device_token"]
    )


def test_what_an_audit_entry_says_of_people_is_not_shown(seen: dict[str, Any]):
    assert not {"details", "before", "after", "canonical"} & seen["audit_masked"].keys()
    assert seen["audit_masked"]["target_token"].startswith("email:")


def test_the_views_show_no_digest_of_a_token(seen: dict[str, Any]):
    for view in MASKED_VIEWS:
        assert not [name for name in seen[view] if "digest" in name]


def test_a_new_key_gives_new_tokens(rows: Any):
    rows.insert("auth_attempts", user_id=uuid7(), ip=IP)
    before = read(rows, "attempts_masked")
    rows.connection.execute("UPDATE authkit.masking_keys SET retired_at = now()")
    rows.connection.execute(
        "INSERT INTO authkit.masking_keys (inner_key, outer_key)"
        " VALUES (sha256('a'), sha256('b'))"
    )
    after = read(rows, "attempts_masked")
    assert before["user_token"] != after["user_token"]
    assert before["ip_token"] != after["ip_token"]
    assert before["ip_prefix"] == after["ip_prefix"]


def test_two_active_keys_cannot_be(rows: Any):
    refused = rows.refused(
        lambda: rows.connection.execute(
            "INSERT INTO authkit.masking_keys (inner_key, outer_key)"
            " VALUES (sha256('a'), sha256('b'))"
        )
    )
    assert refused == "masking_keys_one_active_idx"


def test_an_ipv6_address_is_shortened_to_its_site(rows: Any):
    rows.insert("auth_attempts", ip="2001:db8:1:2::3")
    assert read(rows, "attempts_masked", "2001:db8:1::/48")["ip_token"]


def test_every_masked_view_is_a_security_barrier(rows: Any):
    barriers = rows.connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'authkit'::regnamespace"
        " AND relkind = 'v' AND 'security_barrier=true' = ANY (reloptions)"
        " ORDER BY relname"
    ).fetchall()
    assert [name for (name,) in barriers] == sorted(VIEWS)
