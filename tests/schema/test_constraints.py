"""Each constraint that keeps bad data out really refuses it, under its own name."""

from __future__ import annotations

from typing import Any

import pytest

from authkit.ids import uuid7
from authkit.schema.columns import slug

DAY = "2026-01-01T00:00:00Z"

# Table, what is wrong, the constraint that must refuse it.
WRONG: list[tuple[str, dict[str, object], str]] = [
    ("users", {"email": "Bob@example.org"}, "users_email_folded_check"),
    ("users", {"email": " bob@example.org"}, "users_email_trimmed_check"),
    ("users", {"email": "ﬁ@example.org"}, "users_email_normalised_check"),
    ("users", {"email": "b\tb@example.org"}, "users_email_printable_check"),
    ("users", {"email": ""}, "users_email_length_check"),
    ("users", {"password_hash": "hunter2"}, "users_password_hash_phc_check"),
    ("users", {"password_hash": "$argon2id$"}, "users_password_hash_phc_check"),
    (
        "users",
        {"totp_secret_sealed": b"sealed"},
        "users_sealing_key_id_present_check",
    ),
    ("users", {"failed_attempts": -1}, "users_failed_attempts_range_check"),
    ("users", {"risk_score": float("nan")}, "users_risk_score_finite_check"),
    ("users", {"risk_score": float("inf")}, "users_risk_score_finite_check"),
    ("users", {"erased_at": DAY}, "users_erased_disabled_check"),
    (
        "active_sessions",
        {"token_digest": b"clear token"},
        "active_sessions_token_digest_digest_check",
    ),
    (
        "active_sessions",
        {"device_fingerprint": b"Firefox on Linux"},
        "active_sessions_device_fingerprint_digest_check",
    ),
    (
        "active_sessions",
        {"assurance_level": 4},
        "active_sessions_assurance_level_range_check",
    ),
    (
        "active_sessions",
        {"user_agent": "x" * 513},
        "active_sessions_user_agent_length_check",
    ),
    (
        "active_sessions",
        {"idle_timeout": "0 seconds"},
        "active_sessions_idle_timeout_positive_check",
    ),
    (
        "active_sessions",
        {"expires_at": "2000-01-01T00:00:00Z"},
        "active_sessions_expires_after_creation_check",
    ),
    (
        "active_sessions",
        {"revoked_at": DAY},
        "active_sessions_revocation_whole_check",
    ),
    ("active_sessions", {"country": "de"}, "active_sessions_country_code_check"),
    (
        "auth_attempts",
        {"subject_hash": b"bob@example.org"},
        "auth_attempts_subject_hash_digest_check",
    ),
    ("auth_attempts", {"stage": "third"}, "auth_attempts_stage_known_check"),
    ("auth_attempts", {"method": "telepathy"}, "auth_attempts_method_known_check"),
    ("auth_attempts", {"outcome": "maybe"}, "auth_attempts_outcome_known_check"),
    ("auth_attempts", {"asn": 2**32}, "auth_attempts_asn_range_check"),
    (
        "auth_attempts",
        {"user_agent": "x" * 513},
        "auth_attempts_user_agent_length_check",
    ),
    (
        "auth_attempts",
        {"outcome": "succeeded", "failure_reason": "bad_password"},
        "auth_attempts_failure_reason_fits_check",
    ),
    (
        "auth_attempts",
        {"settled_at": DAY},
        "auth_attempts_pending_unsettled_check",
    ),
    ("auth_attempts", {"risk_score": 0.5}, "auth_attempts_risk_attributed_check"),
    (
        "auth_attempts",
        {"risk_features": "[1]"},
        "auth_attempts_risk_features_object_check",
    ),
    (
        "rate_limit_tracking",
        {"hits": -1},
        "rate_limit_tracking_hits_range_check",
    ),
    (
        "rate_limit_tracking",
        {"identifier": "x" * 201},
        "rate_limit_tracking_identifier_length_check",
    ),
    (
        "user_auth_cache",
        {"password_hash": "hunter2"},
        "user_auth_cache_password_hash_phc_check",
    ),
    (
        "user_auth_cache",
        {"role_ids": [uuid7()]},
        "user_auth_cache_role_versions_paired_check",
    ),
    (
        "user_auth_cache",
        {"authz_version": 0},
        "user_auth_cache_authz_version_positive_check",
    ),
    (
        "oauth_auth_codes",
        {"code_challenge_method": "plain"},
        "oauth_auth_codes_challenge_method_s256_check",
    ),
    (
        "oauth_auth_codes",
        {"code_challenge": b"short"},
        "oauth_auth_codes_code_challenge_digest_check",
    ),
    (
        "oauth_auth_codes",
        {"expires_at": "2026-01-01T00:10:00.000001Z"},
        "oauth_auth_codes_lifetime_check",
    ),
    (
        "oauth_auth_codes",
        {"code_digest": b"the code itself"},
        "oauth_auth_codes_code_digest_digest_check",
    ),
    (
        "oauth_state_tracking",
        {"verifier_sealed": b"sealed"},
        "oauth_state_tracking_sealing_key_id_present_check",
    ),
    (
        "oauth_state_tracking",
        {"expires_at": "2026-01-01T01:00:01Z"},
        "oauth_state_tracking_lifetime_check",
    ),
    (
        "oauth_token_families",
        {"revoke_reason": "reuse"},
        "oauth_token_families_revocation_whole_check",
    ),
    ("write_keys", {"status": "perhaps"}, "write_keys_status_known_check"),
    ("write_keys", {"key": ""}, "write_keys_key_length_check"),
    ("subject_keys", {"destroyed_at": DAY}, "subject_keys_destroyed_whole_check"),
    ("roles", {"name": "Admin"}, "roles_name_shape_check"),
]

WRONG_CREDENTIALS: list[tuple[dict[str, object], str]] = [
    ({"sign_count": -1}, "webauthn_credentials_sign_count_range_check"),
    ({"sign_count": 2**32}, "webauthn_credentials_sign_count_range_check"),
    ({"credential_id": b""}, "webauthn_credentials_credential_id_length_check"),
    (
        {"credential_id": b"x" * 1024},
        "webauthn_credentials_credential_id_length_check",
    ),
    ({"backup_state": True}, "webauthn_credentials_backup_state_eligible_check"),
]

WRONG_TOKENS: list[tuple[dict[str, object], str]] = [
    ({"kind": "id"}, "oauth_issued_tokens_kind_known_check"),
    ({"token_digest": b"clear"}, "oauth_issued_tokens_token_digest_digest_check"),
    ({"generation": -1}, "oauth_issued_tokens_generation_range_check"),
    (
        {"expires_at": "2101-01-01T00:00:00Z"},
        "oauth_issued_tokens_expires_with_family_check",
    ),
    (
        {"derivation_key_id": "k1"},
        "oauth_issued_tokens_derivation_whole_check",
    ),
    (
        {"proof_thumbprint": b"short"},
        "oauth_issued_tokens_proof_thumbprint_digest_check",
    ),
]


def label(value: object) -> str:
    return value if isinstance(value, str) and value.endswith("_check") else ""


@pytest.mark.parametrize(("table", "wrong", "constraint"), WRONG, ids=label)
def test_the_server_refuses(
    rows: Any, table: str, wrong: dict[str, object], constraint: str
):
    assert rows.refused(lambda: rows.insert(table, **wrong)) == constraint


@pytest.mark.parametrize(("wrong", "constraint"), WRONG_CREDENTIALS, ids=label)
def test_the_server_refuses_a_credential(
    rows: Any, wrong: dict[str, object], constraint: str
):
    assert rows.refused(lambda: rows.credential(**wrong)) == constraint


@pytest.mark.parametrize(("wrong", "constraint"), WRONG_TOKENS, ids=label)
def test_the_server_refuses_a_token(
    rows: Any, wrong: dict[str, object], constraint: str
):
    assert rows.refused(lambda: rows.token(**wrong)) == constraint


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBs",
        "$pbkdf2-sha256$i=600000$c2FsdHNhbHQ$m6cKqKpZyGGJbEqNrUVnTjAwHwoWxvPV",
    ],
)
def test_a_password_hash_in_phc_form_is_accepted(rows: Any, stored: str):
    rows.user(password_hash=stored)


def test_an_email_address_belongs_to_one_user(rows: Any):
    rows.user(email="bob@example.org")
    act = lambda: rows.user(email="bob@example.org")  # noqa: E731 # one act
    assert rows.refused(act) == "users_email_key"


def test_an_identity_at_an_issuer_belongs_to_one_account(rows: Any):
    identity = {
        "user_id": rows.user(),
        "type": "oidc",
        "provider": "example",
        "issuer": "https://id.example.org",
        "subject": "248289761001",
    }
    rows.insert("accounts", id=uuid7(), **identity)
    refused = rows.refused(lambda: rows.insert("accounts", id=uuid7(), **identity))
    assert refused == "accounts_issuer_subject_key"


def test_a_family_has_one_refresh_token_in_each_generation(rows: Any):
    family = rows.token()["family_id"]
    refused = rows.refused(lambda: rows.token(family_id=family))
    assert refused == "oauth_issued_tokens_family_id_generation_kind_key"


def test_a_session_without_an_absolute_expiry_is_refused(rows: Any):
    with pytest.raises(Exception, match="null value") as refusal:
        rows.insert("active_sessions", expires_at=None)
    assert refusal.value.diag.column_name == "expires_at"


def test_a_credential_id_of_1023_bytes_fits(rows: Any):
    rows.credential(credential_id=b"x" * 1023, sign_count=2**32 - 1)


def test_the_largest_sign_count_and_backup_of_an_eligible_credential_fit(rows: Any):
    rows.credential(sign_count=2**32 - 1, backup_eligible=True, backup_state=True)


def test_a_word_is_held_to_what_its_regular_expression_says(rows: Any):
    """The check is written without one, for speed; it must admit the same texts."""
    inside = [chr(code) for code in range(1, 0x180)] + ["\u0301", "\u212a", "\uff41"]
    texts = ["", *inside, *(f"a{char}" for char in inside), "a\n", "\na", "ab c", "aBc"]
    texts += ["a" * 63, "a" * 64, "a" * 61 + "é", "a" * 62 + "é", "_a", "a_", "a.b-c"]
    form = str(slug("word").sqltext)
    found = rows.connection.execute(
        f"SELECT word, {form}, word ~ '^[a-z][a-z0-9_.-]{{0,62}}$'"
        " FROM unnest(%s::text[]) AS word",
        (texts,),
    ).fetchall()
    assert len(found) == len(texts)
    assert [row for row in found if row[1] != row[2]] == []
    assert sum(row[1] for row in found) > 26
