CREATE TABLE authkit.active_sessions (
    id uuid NOT NULL,
    token_digest bytea NOT NULL,
    user_id uuid NOT NULL,
    assurance_level smallint DEFAULT 1 NOT NULL,
    methods text[] DEFAULT '{}'::text[] NOT NULL,
    ip inet,
    country text,
    device_fingerprint bytea,
    user_agent text,
    risk_score double precision,
    authenticated_at timestamptz DEFAULT now() NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_activity timestamptz DEFAULT now() NOT NULL,
    idle_timeout interval DEFAULT '00:30:00'::interval NOT NULL,
    expires_at timestamptz NOT NULL,
    rotated_at timestamptz,
    revoked_at timestamptz,
    revoke_reason text,
    refresh_family_id uuid,
    CONSTRAINT active_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT active_sessions_token_digest_digest_check CHECK (octet_length(token_digest) = 32),
    CONSTRAINT active_sessions_device_fingerprint_digest_check
        CHECK (octet_length(device_fingerprint) = 32),
    CONSTRAINT active_sessions_assurance_level_range_check CHECK (assurance_level BETWEEN 1 AND 3),
    CONSTRAINT active_sessions_idle_timeout_positive_check CHECK (idle_timeout > interval '0'),
    CONSTRAINT active_sessions_expires_after_creation_check CHECK (expires_at > created_at),
    CONSTRAINT active_sessions_country_code_check CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT active_sessions_user_agent_length_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT active_sessions_risk_score_finite_check
        CHECK (risk_score > '-Infinity' AND risk_score < 'Infinity'),
    CONSTRAINT active_sessions_revocation_whole_check
        CHECK (num_nulls(revoked_at, revoke_reason) IN (0, 2)),
    CONSTRAINT active_sessions_revoke_reason_slug_check
        CHECK (octet_length(revoke_reason) <= 63 AND ascii(revoke_reason) BETWEEN 97 AND 122
            AND btrim(revoke_reason, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''),
    CONSTRAINT active_sessions_token_digest_key UNIQUE (token_digest)
) WITH (fillfactor = 80);
CREATE INDEX active_sessions_by_family_idx
    ON authkit.active_sessions (refresh_family_id)
    WHERE refresh_family_id IS NOT NULL;
CREATE INDEX active_sessions_expires_at_idx ON authkit.active_sessions (expires_at);
CREATE INDEX active_sessions_live_by_device_idx
    ON authkit.active_sessions (device_fingerprint)
    WHERE revoked_at IS NULL AND device_fingerprint IS NOT NULL;
CREATE INDEX active_sessions_live_by_ip_idx
    ON authkit.active_sessions (ip)
    WHERE revoked_at IS NULL AND ip IS NOT NULL;
CREATE INDEX active_sessions_live_by_risk_idx
    ON authkit.active_sessions (risk_score)
    WHERE revoked_at IS NULL AND risk_score IS NOT NULL;
CREATE INDEX active_sessions_live_by_user_idx
    ON authkit.active_sessions (user_id, created_at)
    WHERE revoked_at IS NULL;
COMMENT ON TABLE authkit.active_sessions IS 'live sessions; the detailed record of each is in sessions, by the same id';
COMMENT ON COLUMN authkit.active_sessions.token_digest IS
    'SHA-256 of the bearer token, which is stored nowhere';
COMMENT ON COLUMN authkit.active_sessions.assurance_level IS
    'authenticator assurance level, 1 to 3 (NIST SP 800-63B)';
COMMENT ON COLUMN authkit.active_sessions.methods IS 'how the user authenticated (amr, RFC 8176)';
COMMENT ON COLUMN authkit.active_sessions.country IS 'ISO 3166-1 alpha-2';
COMMENT ON COLUMN authkit.active_sessions.device_fingerprint IS
    'keyed hash of what the application knows the device by';
COMMENT ON COLUMN authkit.active_sessions.risk_score IS 'null: unscored';
COMMENT ON COLUMN authkit.active_sessions.authenticated_at IS
    'when the user last proved who they are; rotation resets it';
COMMENT ON COLUMN authkit.active_sessions.last_activity IS
    'in no index, so that touching a session is a HOT update';
COMMENT ON COLUMN authkit.active_sessions.expires_at IS
    'absolute expiry; nothing extends a session past it';
COMMENT ON COLUMN authkit.active_sessions.rotated_at IS 'when the token was last replaced';
COMMENT ON COLUMN authkit.active_sessions.refresh_family_id IS
    'its refresh tokens: a row of oauth_token_families';

CREATE TABLE authkit.auth_attempts (
    occurred_at timestamptz DEFAULT now() NOT NULL,
    id uuid NOT NULL,
    subject_hash bytea,
    user_id uuid,
    ip inet,
    asn bigint,
    country text,
    user_agent text,
    device_fingerprint bytea,
    session_id uuid,
    client_id text,
    stage text DEFAULT 'primary' NOT NULL,
    method text DEFAULT 'password' NOT NULL,
    outcome text DEFAULT 'pending' NOT NULL,
    failure_reason text,
    settled_at timestamptz,
    risk_score double precision,
    risk_model text,
    risk_model_version text,
    risk_features jsonb,
    CONSTRAINT auth_attempts_pkey PRIMARY KEY (occurred_at, id),
    CONSTRAINT auth_attempts_subject_hash_digest_check CHECK (octet_length(subject_hash) = 32),
    CONSTRAINT auth_attempts_device_fingerprint_digest_check
        CHECK (octet_length(device_fingerprint) = 32),
    CONSTRAINT auth_attempts_asn_range_check CHECK (asn BETWEEN 0 AND 4294967295),
    CONSTRAINT auth_attempts_country_code_check CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT auth_attempts_user_agent_length_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT auth_attempts_client_id_length_check
        CHECK (char_length(client_id) BETWEEN 1 AND 200),
    CONSTRAINT auth_attempts_stage_known_check CHECK (stage IN ('primary', 'second_factor')),
    CONSTRAINT auth_attempts_method_known_check
        CHECK (method IN ('password', 'passkey', 'webauthn', 'totp', 'backup_code', 'push', 'sms_code', 'email_code', 'magic_link', 'oauth', 'saml', 'client_secret', 'refresh_token', 'public_key', 'other')),
    CONSTRAINT auth_attempts_outcome_known_check
        CHECK (outcome IN ('pending', 'succeeded', 'failed', 'denied', 'abandoned')),
    CONSTRAINT auth_attempts_failure_reason_slug_check
        CHECK (octet_length(failure_reason) <= 63 AND ascii(failure_reason) BETWEEN 97 AND 122
            AND btrim(failure_reason, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''),
    CONSTRAINT auth_attempts_failure_reason_fits_check
        CHECK (failure_reason IS NULL OR outcome IN ('failed', 'denied', 'abandoned')),
    CONSTRAINT auth_attempts_pending_unsettled_check
        CHECK (outcome <> 'pending' OR settled_at IS NULL),
    CONSTRAINT auth_attempts_risk_score_finite_check
        CHECK (risk_score > '-Infinity' AND risk_score < 'Infinity'),
    CONSTRAINT auth_attempts_risk_attributed_check
        CHECK (risk_score IS NULL OR (risk_model IS NOT NULL AND risk_model_version IS NOT NULL)),
    CONSTRAINT auth_attempts_risk_features_object_check
        CHECK (jsonb_typeof(risk_features) = 'object')
) PARTITION BY RANGE (occurred_at);
CREATE INDEX auth_attempts_by_device_idx
    ON authkit.auth_attempts (device_fingerprint, occurred_at)
    WHERE device_fingerprint IS NOT NULL;
CREATE INDEX auth_attempts_by_ip_idx ON authkit.auth_attempts (ip, occurred_at) WHERE ip IS NOT NULL;
CREATE INDEX auth_attempts_by_subject_idx
    ON authkit.auth_attempts (subject_hash, occurred_at)
    WHERE subject_hash IS NOT NULL;
CREATE INDEX auth_attempts_by_time_idx ON authkit.auth_attempts USING brin (occurred_at);
CREATE INDEX auth_attempts_by_user_idx
    ON authkit.auth_attempts (user_id, occurred_at)
    WHERE user_id IS NOT NULL;
COMMENT ON TABLE authkit.auth_attempts IS 'every attempt to authenticate; no request body, no e-mail in clear';
COMMENT ON COLUMN authkit.auth_attempts.subject_hash IS
    'keyed hash of the normalised e-mail or name that was tried';
COMMENT ON COLUMN authkit.auth_attempts.user_id IS
    'null while, and if, the subject is nobody we know';
COMMENT ON COLUMN authkit.auth_attempts.asn IS 'autonomous system of the address';
COMMENT ON COLUMN authkit.auth_attempts.country IS 'ISO 3166-1 alpha-2';
COMMENT ON COLUMN authkit.auth_attempts.device_fingerprint IS
    'keyed hash of what the application knows the device by';
COMMENT ON COLUMN authkit.auth_attempts.session_id IS
    'session that it opened, or that it was made in';
COMMENT ON COLUMN authkit.auth_attempts.outcome IS
    'pending changes once; whatever is never settled counts as failed';
COMMENT ON COLUMN authkit.auth_attempts.settled_at IS 'null where the row was inserted settled';
COMMENT ON COLUMN authkit.auth_attempts.risk_score IS 'null: unscored';
COMMENT ON COLUMN authkit.auth_attempts.risk_features IS
    'terms of the score, so that it can be replayed';

CREATE TABLE authkit.rate_limit_tracking (
    identifier text NOT NULL,
    resource text NOT NULL,
    policy text NOT NULL,
    theoretical_arrival_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    hits bigint DEFAULT 0 NOT NULL,
    window_started_at timestamptz,
    blocked_until timestamptz,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT rate_limit_tracking_pkey PRIMARY KEY (identifier, resource),
    CONSTRAINT rate_limit_tracking_identifier_length_check
        CHECK (char_length(identifier) BETWEEN 1 AND 200),
    CONSTRAINT rate_limit_tracking_resource_length_check
        CHECK (char_length(resource) BETWEEN 1 AND 100),
    CONSTRAINT rate_limit_tracking_policy_slug_check
        CHECK (octet_length(policy) <= 63 AND ascii(policy) BETWEEN 97 AND 122
            AND btrim(policy, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''),
    CONSTRAINT rate_limit_tracking_hits_range_check CHECK (hits >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE authkit.rate_limit_tracking IS 'rate limiter and attempt counters; a row that says nothing may go';
COMMENT ON COLUMN authkit.rate_limit_tracking.identifier IS
    'whom it limits: an id, an address or a keyed hash; never an e-mail';
COMMENT ON COLUMN authkit.rate_limit_tracking.resource IS 'what it limits, e.g. login';
COMMENT ON COLUMN authkit.rate_limit_tracking.policy IS 'name of the policy last applied';
COMMENT ON COLUMN authkit.rate_limit_tracking.theoretical_arrival_at IS
    'TAT of the generic cell rate algorithm (ITU-T I.371)';
COMMENT ON COLUMN authkit.rate_limit_tracking.hits IS
    'attempts reserved since window_started_at; of a limiter, what its last batch let through';

CREATE TABLE authkit.user_auth_cache (
    user_id uuid NOT NULL,
    email_hash bytea NOT NULL,
    password_hash text,
    mfa_enabled boolean DEFAULT false NOT NULL,
    totp_secret_sealed bytea,
    sealing_key_id text,
    failed_attempts integer DEFAULT 0 NOT NULL,
    locked_until timestamptz,
    disabled_at timestamptz,
    last_login_at timestamptz,
    last_login_ip inet,
    risk_score double precision,
    authz_version bigint NOT NULL,
    role_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    role_versions bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    permissions text[] DEFAULT '{}'::text[] NOT NULL,
    conditions jsonb DEFAULT '{}'::jsonb NOT NULL,
    cached_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT user_auth_cache_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_auth_cache_email_hash_digest_check CHECK (octet_length(email_hash) = 32),
    CONSTRAINT user_auth_cache_password_hash_phc_check
        CHECK (password_hash ~ '^\$[a-z0-9-]{1,32}(\$v=[0-9]{1,10})?(\$[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+(,[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+)*)?\$[A-Za-z0-9/+.-]{1,64}\$[A-Za-z0-9/+.-]{16,128}$'),
    CONSTRAINT user_auth_cache_sealing_key_id_present_check
        CHECK (num_nonnulls(totp_secret_sealed) = 0 OR sealing_key_id IS NOT NULL),
    CONSTRAINT user_auth_cache_failed_attempts_range_check CHECK (failed_attempts >= 0),
    CONSTRAINT user_auth_cache_risk_score_finite_check
        CHECK (risk_score > '-Infinity' AND risk_score < 'Infinity'),
    CONSTRAINT user_auth_cache_authz_version_positive_check CHECK (authz_version > 0),
    CONSTRAINT user_auth_cache_role_versions_paired_check
        CHECK (cardinality(role_ids) = cardinality(role_versions)),
    CONSTRAINT user_auth_cache_conditions_object_check CHECK (jsonb_typeof(conditions) = 'object'),
    CONSTRAINT user_auth_cache_email_hash_key UNIQUE (email_hash)
) WITH (fillfactor = 80);
CREATE INDEX user_auth_cache_role_ids_idx ON authkit.user_auth_cache USING gin (role_ids);
COMMENT ON TABLE authkit.user_auth_cache IS 'all that a login or a permission check needs, in one read';
COMMENT ON COLUMN authkit.user_auth_cache.email_hash IS 'keyed hash of the normalised e-mail';
COMMENT ON COLUMN authkit.user_auth_cache.password_hash IS 'PHC string';
COMMENT ON COLUMN authkit.user_auth_cache.risk_score IS 'null: unscored';
COMMENT ON COLUMN authkit.user_auth_cache.authz_version IS
    'users.authz_version at the time; another one: not to be served';
COMMENT ON COLUMN authkit.user_auth_cache.role_versions IS
    'roles.version of each of role_ids; another one: not to be served';
COMMENT ON COLUMN authkit.user_auth_cache.conditions IS
    'conditions of those permissions that have some, by permission';
COMMENT ON COLUMN authkit.user_auth_cache.expires_at IS
    'no later than the earliest expiry among the user''s grants';

CREATE TABLE authkit.write_keys (
    key text NOT NULL,
    status text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT write_keys_pkey PRIMARY KEY (key),
    CONSTRAINT write_keys_key_length_check CHECK (char_length(key) BETWEEN 1 AND 200),
    CONSTRAINT write_keys_status_known_check CHECK (status IN ('applied', 'void')),
    CONSTRAINT write_keys_epoch_range_check CHECK (epoch >= 0)
);
CREATE INDEX write_keys_created_at_idx ON authkit.write_keys USING brin (created_at);
COMMENT ON TABLE authkit.write_keys IS 'idempotency keys, each written in the transaction that it stands for';
COMMENT ON COLUMN authkit.write_keys.status IS
    'applied: its transaction committed; void: claimed, it never can';
COMMENT ON COLUMN authkit.write_keys.epoch IS 'timeline on which the row was written';
