-- What an analyst sees: people and addresses as tokens that join, and cannot be computed
-- from a name or an address by anybody who lacks the key.

INSERT INTO authkit.masking_keys (inner_key, outer_key)
SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Two nested hashes under independent keys, as in NMAC (Bellare, Canetti and Krawczyk,
-- CRYPTO 1996): the server's core has sha256() and no HMAC. The keys are arguments, so
-- that whoever may run the function still cannot make a token. The planner writes the
-- function out in the view's own query, which halves the time, because nothing in it is
-- less than immutable (convert_to would be) and no null needs a check before the call; a
-- label is plain ASCII without a backslash, so its cast gives its bytes.
CREATE FUNCTION authkit.keyed_token(inner_key bytea, outer_key bytea, label text, message bytea)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN encode(substr(
    sha256(outer_key || sha256(inner_key || label::bytea || '\x00'::bytea || message)),
    1, 16), 'hex');

CREATE FUNCTION authkit.address_prefix(address inet)
RETURNS cidr LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN network(set_masklen(address, CASE family(address) WHEN 4 THEN 24 ELSE 48 END));

-- An id as the other views hash it: the sixteen bytes of a UUID, else its text.
CREATE FUNCTION authkit.id_bytes(id text)
RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    THEN uuid_send(id::uuid) ELSE convert_to(id, 'UTF8') END;

REVOKE ALL ON FUNCTION authkit.keyed_token, authkit.address_prefix, authkit.id_bytes FROM PUBLIC;

CREATE VIEW authkit.attempts_masked WITH (security_barrier) AS
SELECT a.occurred_at,
    a.id,
    authkit.keyed_token(k.inner_key, k.outer_key, 'subject', a.subject_hash) AS subject_token,
    authkit.keyed_token(k.inner_key, k.outer_key, 'user', uuid_send(a.user_id)) AS user_token,
    authkit.address_prefix(a.ip) AS ip_prefix,
    authkit.keyed_token(k.inner_key, k.outer_key, 'ip', inet_send(a.ip)) AS ip_token,
    a.asn,
    a.country,
    a.user_agent,
    authkit.keyed_token(k.inner_key, k.outer_key, 'device', a.device_fingerprint) AS device_token,
    authkit.keyed_token(k.inner_key, k.outer_key, 'session', uuid_send(a.session_id))
        AS session_token,
    a.client_id,
    a.stage,
    a.method,
    a.outcome,
    a.failure_reason,
    a.settled_at,
    a.risk_score,
    a.risk_model,
    a.risk_model_version
FROM authkit.auth_attempts AS a
CROSS JOIN authkit.masking_keys AS k
WHERE k.retired_at IS NULL;
COMMENT ON VIEW authkit.attempts_masked IS
    'auth_attempts for analysts: people, devices and addresses as tokens';

CREATE VIEW authkit.sessions_masked WITH (security_barrier) AS
SELECT authkit.keyed_token(k.inner_key, k.outer_key, 'session', uuid_send(s.id)) AS session_token,
    authkit.keyed_token(k.inner_key, k.outer_key, 'user', uuid_send(s.user_id)) AS user_token,
    s.assurance_level,
    s.methods,
    authkit.address_prefix(s.ip) AS ip_prefix,
    authkit.keyed_token(k.inner_key, k.outer_key, 'ip', inet_send(s.ip)) AS ip_token,
    s.country,
    authkit.keyed_token(k.inner_key, k.outer_key, 'device', s.device_fingerprint) AS device_token,
    s.user_agent,
    s.risk_score,
    s.authenticated_at,
    s.created_at,
    s.last_activity,
    s.idle_timeout,
    s.expires_at,
    s.rotated_at,
    s.revoked_at,
    s.revoke_reason
FROM authkit.active_sessions AS s
CROSS JOIN authkit.masking_keys AS k
WHERE k.retired_at IS NULL;
COMMENT ON VIEW authkit.sessions_masked IS
    'active_sessions for analysts: people, devices and addresses as tokens';

-- What an entry says in `before`, `after` and `details` may name people: not shown.
-- Kinds that name nobody stay readable; any other id is a token, a user's the same one
-- as in the other views.
CREATE VIEW authkit.audit_masked WITH (security_barrier) AS
SELECT e.period,
    e.shard,
    e.seq,
    e.recorded_at,
    e.occurred_at,
    CASE
        WHEN split_part(e.actor, ':', 1) IN ('system', 'role', 'permission', 'client')
            THEN e.actor
        ELSE split_part(e.actor, ':', 1) || ':' || authkit.keyed_token(
            k.inner_key, k.outer_key, split_part(e.actor, ':', 1),
            authkit.id_bytes(substr(e.actor, strpos(e.actor, ':') + 1)))
    END AS actor_token,
    e.action,
    CASE
        WHEN split_part(e.target, ':', 1) IN ('system', 'role', 'permission', 'client')
            THEN e.target
        ELSE split_part(e.target, ':', 1) || ':' || authkit.keyed_token(
            k.inner_key, k.outer_key, split_part(e.target, ':', 1),
            authkit.id_bytes(substr(e.target, strpos(e.target, ':') + 1)))
    END AS target_token,
    e.outcome,
    authkit.address_prefix(e.ip) AS ip_prefix,
    authkit.keyed_token(k.inner_key, k.outer_key, 'ip', inet_send(e.ip)) AS ip_token,
    authkit.keyed_token(k.inner_key, k.outer_key, 'correlation',
        convert_to(e.correlation_id, 'UTF8')) AS correlation_token
FROM authkit.audit_logs AS e
CROSS JOIN authkit.masking_keys AS k
WHERE k.retired_at IS NULL;
COMMENT ON VIEW authkit.audit_masked IS
    'audit_logs for analysts: who and where as tokens, no before, after or details';
