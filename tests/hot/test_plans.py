"""The plans of every statement, on tables filled as they are in production.

The planner is left to choose: nothing is switched off. What is asked is the generic
plan, which a statement that was prepared once and runs for ever settles on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from authkit.hot.registry import OPERATIONS
from authkit.schema import hot

# Foreign keys, and the triggers that count, would be most of the work: the rows fit
# each other by how they are made.
FILL = """
SET session_replication_role = replica;
INSERT INTO authkit.users (id, email)
SELECT md5('u' || n)::uuid, n || '@plans.example' FROM generate_series(1, 2000) AS n;
INSERT INTO authkit.roles (id, name)
SELECT md5('r' || n)::uuid, 'plan-' || n FROM generate_series(1, 20) AS n;
INSERT INTO authkit.user_roles (user_id, role_id)
SELECT id, md5('r' || k)::uuid FROM authkit.users, generate_series(1, 2) AS k;
INSERT INTO authkit.active_sessions (
  id, token_digest, user_id, ip, country, device_fingerprint, risk_score, created_at,
  expires_at, revoked_at, revoke_reason, refresh_family_id)
SELECT md5('s' || n)::uuid, sha256(('s' || n)::bytea), md5('u' || n % 2000 + 1)::uuid,
       inet '10.0.0.0' + n, 'CH', sha256(('d' || n)::bytea), n / 6000.0,
       now() - n * interval '20 seconds', now() + interval '5 days',
       CASE WHEN n % 4 = 0 THEN now() END, CASE WHEN n % 4 = 0 THEN 'logout' END,
       CASE WHEN n % 2 = 0 THEN md5('f' || n)::uuid END
FROM generate_series(1, 6000) AS n;
INSERT INTO authkit.sessions (id, user_id, created_at, last_activity_at, expires_at)
SELECT id, user_id, created_at, last_activity, expires_at FROM authkit.active_sessions;
INSERT INTO authkit.auth_attempts (
  occurred_at, id, subject_hash, user_id, ip, device_fingerprint, outcome)
SELECT date_trunc('day', now(), 'UTC') + n * interval '1 second', md5('a' || n)::uuid,
       sha256((n % 2000)::text::bytea), md5('u' || n % 2000 + 1)::uuid,
       inet '10.0.0.0' + n % 3000, sha256((n % 3000)::text::bytea), 'failed'
FROM generate_series(1, 6000) AS n;
INSERT INTO authkit.rate_limit_tracking (identifier, resource, policy)
SELECT 'key:' || n, 'login', 'login' FROM generate_series(1, 3000) AS n;
INSERT INTO authkit.user_auth_cache (
  user_id, email_hash, authz_version, role_ids, role_versions, expires_at)
SELECT id, sha256(email::bytea), 1, ARRAY[md5('r' || left(email, 1))::uuid],
       ARRAY[1], now() + interval '1 hour'
FROM authkit.users WHERE email LIKE '%@plans.example';
INSERT INTO authkit.oauth_token_families (
  id, client_id, user_id, session_id, expires_at, revoked_at, revoke_reason)
SELECT md5('f' || n)::uuid, 'app', md5('u' || n % 2000 + 1)::uuid, md5('s' || n)::uuid,
       now() + interval '5 days', CASE WHEN n % 4 = 0 THEN now() END,
       CASE WHEN n % 4 = 0 THEN 'logout' END
FROM generate_series(1, 3000) AS n;
INSERT INTO authkit.oauth_issued_tokens (
  id, token_digest, kind, family_id, generation, client_id, expires_at,
  family_expires_at)
SELECT md5(k || n)::uuid, sha256((k || n)::bytea), k, md5('f' || n)::uuid, 0, 'app',
       now() + interval '1 hour', now() + interval '5 days'
FROM generate_series(1, 3000) AS n, unnest(ARRAY['refresh', 'access']) AS k;
INSERT INTO authkit.oauth_auth_codes (
  code_digest, client_id, user_id, family_id, redirect_uri, code_challenge, expires_at)
SELECT sha256(('c' || n)::bytea), 'app', md5('u' || n)::uuid, md5('f' || n)::uuid,
       'https://app.example/cb', sha256(n::text::bytea), now() + interval '1 minute'
FROM generate_series(1, 2000) AS n;
INSERT INTO authkit.oauth_state_tracking (
  state_digest, provider, issuer, browser_binding_digest, redirect_uri, expires_at)
SELECT sha256(('t' || n)::bytea), 'idp', 'https://idp.example', sha256(n::text::bytea),
       'https://app.example/cb', now() + interval '1 minute'
FROM generate_series(1, 2000) AS n;
INSERT INTO authkit.oauth_token_cache (
  user_id, provider, provider_account_id, access_token_sealed, sealing_key_id)
SELECT md5('u' || n)::uuid, 'idp', 'account-' || n, decode(repeat('00', 64), 'hex'),
       'key-' || n % 200
FROM generate_series(1, 2000) AS n;
INSERT INTO authkit.write_keys (key, status)
SELECT 'key:' || n, 'applied' FROM generate_series(1, 2000) AS n;
SET session_replication_role = DEFAULT;
ANALYZE
"""


# A partition is chosen by its time, which must be one; nothing else is looked at.
GIVEN = {"timestamptz": "date_trunc('day', now(), 'UTC')", "interval": "interval '0'"}

HOT = {table.name for table in map(vars(hot).__getitem__, hot.__all__)}
HOT |= {"sessions", "users", "user_roles"}

# These may: they read a window of a table, or all of it, once for a report or for
# `authkit db maintain`, and the planner weighs their indexes by how much that is.
SCANS = {
    "attempts.purge",
    "auth_cache.purge",
    "oauth_providers.purge",
    "rate_limits.purge",
    "sessions.purge_records",
    "sessions.stats",
    "write_keys.purge",
}
# It reads users in their order, as far as its LIMIT asks for.
ORDERED = {"sessions.suspicious"}
# What answers a request by one secret or one id, and the very index that finds it.
KEYED = {
    "sessions.validate": {"active_sessions_token_digest_key"},
    "sessions.validate_many": {"active_sessions_token_digest_key"},
    "sessions.touch": {"active_sessions_pkey"},
    "sessions.touch_many": {"active_sessions_pkey"},
    "sessions.rotate": {"active_sessions_token_digest_key", "sessions_pkey"},
    "sessions.extend": {"active_sessions_pkey"},
    "sessions.lock": {"active_sessions_pkey"},
    "sessions.lock_token": {"active_sessions_token_digest_key"},
    "sessions.set_risk": {"active_sessions_pkey"},
    "rate_limits.check": {"rate_limit_tracking_pkey"},
    "rate_limits.check_many": {"rate_limit_tracking_pkey"},
    "rate_limits.check_folded": {"rate_limit_tracking_pkey"},
    "rate_limits.peek": {"rate_limit_tracking_pkey"},
    "attempts.reserve": {"rate_limit_tracking_pkey"},
    "oauth_states.consume": {"oauth_state_tracking_pkey"},
    "oauth_codes.create": {"users_pkey", "active_sessions_pkey"},
    "oauth_tokens.issue": {"users_pkey", "active_sessions_pkey"},
    "oauth_codes.lock_family": {"oauth_auth_codes_pkey", "oauth_token_families_pkey"},
    "oauth_codes.redeem": {
        "oauth_auth_codes_pkey",
        "oauth_token_families_pkey",
        "users_pkey",
        "active_sessions_pkey",
    },
    "oauth_tokens.introspect": {
        "oauth_issued_tokens_token_digest_key",
        "oauth_token_families_pkey",
    },
    "oauth_tokens.derivation": {"oauth_issued_tokens_token_digest_key"},
    "oauth_tokens.mark_used": {"oauth_issued_tokens_pkey"},
    "oauth_tokens.lock_family": {"oauth_token_families_pkey"},
    "oauth_tokens.revoke_family": {"oauth_token_families_pkey"},
    "oauth_tokens.revoke": {
        "oauth_issued_tokens_token_digest_key",
        "oauth_token_families_pkey",
    },
}
# They read several rows that belong together, through the index that is for it.
TOGETHER = {
    "active_sessions_live_by_user_idx": {
        "sessions.create",
        "sessions.list",
        "sessions.revoke_user",
        "sessions.suspicious",
    },
    "active_sessions_live_by_device_idx": {"sessions.by_device"},
    "active_sessions_live_by_ip_idx": {"sessions.by_ip"},
    "active_sessions_live_by_risk_idx": {"sessions.high_risk"},
    "active_sessions_expires_at_idx": {"sessions.purge"},
    "sessions_created_at_idx": {"sessions.purge_records"},
    "auth_attempts_by_subject_idx": {"attempts.recent_by_subject", "attempts.failures"},
    "auth_attempts_by_user_idx": {"attempts.recent_by_user", "attempts.failures"},
    "auth_attempts_by_ip_idx": {"attempts.recent_by_ip", "attempts.failures"},
    "auth_attempts_by_device_idx": {"attempts.recent_by_device", "attempts.failures"},
    "user_auth_cache_role_ids_idx": {"auth_cache.invalidate_role"},
    "oauth_token_families_live_by_session_idx": {
        "sessions.create",
        "sessions.revoke",
        "sessions.revoke_token",
    },
    "oauth_token_families_live_by_user_idx": {
        "oauth_tokens.revoke_user",
        "sessions.revoke_user",
    },
    "oauth_token_families_expires_at_idx": {"oauth_tokens.purge"},
    "oauth_auth_codes_expires_at_idx": {"oauth_codes.purge"},
    "oauth_state_tracking_expires_at_idx": {"oauth_states.purge"},
    "oauth_token_cache_sealing_key_id_idx": {"oauth_providers.sealed_by_others"},
}

Nodes = list[dict[str, Any]]


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from plan_nodes(inner)


@pytest.fixture(scope="module")
def plans(superuser) -> dict[str, Nodes]:
    """The nodes of each operation's generic plan."""
    superuser.execute(FILL)
    superuser.execute("SET plan_cache_mode = force_generic_plan")
    found: dict[str, Nodes] = {}
    for operation in OPERATIONS:
        name = operation.name.replace(".", "_")
        declared = f"({', '.join(operation.types)})" if operation.types else ""
        superuser.execute(f"PREPARE {name}{declared} AS {operation.sql}")
        given = ", ".join(GIVEN.get(kind, "NULL") for kind in operation.types)
        row = superuser.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name}({given})")
        (explained,) = row.fetchone() or ()
        found[operation.name] = list(plan_nodes(explained[0]["Plan"]))
    return found


@pytest.fixture(scope="module")
def parents(superuser) -> dict[str, str]:
    """The partitioned table or index that a partition's own belongs to."""
    return dict(
        superuser.execute(
            "SELECT part.relname, whole.relname FROM pg_inherits AS i"
            " JOIN pg_class AS part ON part.oid = i.inhrelid"
            " JOIN pg_class AS whole ON whole.oid = i.inhparent"
        ).fetchall()
    )


def test_nothing_but_a_report_or_maintenance_reads_a_whole_hot_table(
    plans, parents, superuser
):
    empty = {
        name
        for (name,) in superuser.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relpages = 0"
        )
    }
    scanning: dict[str, set[str]] = {}
    for name, nodes in plans.items():
        for node in nodes:
            # Of a partition that holds nothing yet there is nothing to read.
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in empty:
                table = parents.get(node["Relation Name"], node["Relation Name"])
                if table in HOT:
                    scanning.setdefault(name, set()).add(table)
    assert {"sessions.stats"} <= set(scanning) <= SCANS, scanning


def test_an_index_is_entered_by_a_condition_and_never_read_whole(plans):
    for name, nodes in plans.items():
        for node in nodes:
            if "Index" in node["Node Type"] and name not in ORDERED:
                assert node.get("Index Cond"), f"{name}: {node['Index Name']}"


def used(nodes: Nodes, parents: dict[str, str]) -> set[str]:
    """Name the indexes of a plan; those by which a conflict is found count as well."""
    own = {node["Index Name"] for node in nodes if "Index Name" in node}
    own |= {
        index for node in nodes for index in node.get("Conflict Arbiter Indexes", ())
    }
    return {parents.get(index, index) for index in own}


def test_what_answers_a_request_finds_each_row_by_a_key_of_its_own(
    plans, parents, superuser
):
    unique = {
        index
        for (index,) in superuser.execute(
            "SELECT c.relname FROM pg_index AS i"
            " JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indisunique"
        )
    }
    for name, nodes in plans.items():
        for index in used(nodes, parents) - unique:
            assert name in TOGETHER.get(index, ()), f"{name}: {index}"
    for index, names in TOGETHER.items():
        for name in names - SCANS:
            assert index in used(plans[name], parents), f"{name}: {index}"


@pytest.mark.parametrize("name", KEYED)
def test_a_look_up_by_secret_or_id_uses_that_key_alone(plans, parents, name):
    assert used(plans[name], parents) == KEYED[name]
