CREATE TABLE authkit.oauth_token_families (
    id uuid NOT NULL,
    client_id text NOT NULL,
    user_id uuid,
    session_id uuid,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text,
    CONSTRAINT oauth_token_families_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_token_families_client_id_length_check
        CHECK (char_length(client_id) BETWEEN 1 AND 200),
    CONSTRAINT oauth_token_families_expires_after_creation_check CHECK (expires_at > created_at),
    CONSTRAINT oauth_token_families_revocation_whole_check
        CHECK (num_nulls(revoked_at, revoke_reason) IN (0, 2)),
    CONSTRAINT oauth_token_families_revoke_reason_slug_check
        CHECK (octet_length(revoke_reason) <= 63 AND ascii(revoke_reason) BETWEEN 97 AND 122
            AND btrim(revoke_reason, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = '')
) WITH (fillfactor = 90);
CREATE INDEX oauth_token_families_expires_at_idx ON authkit.oauth_token_families (expires_at);
CREATE INDEX oauth_token_families_live_by_session_idx
    ON authkit.oauth_token_families (session_id)
    WHERE revoked_at IS NULL AND session_id IS NOT NULL;
CREATE INDEX oauth_token_families_live_by_user_idx
    ON authkit.oauth_token_families (user_id)
    WHERE revoked_at IS NULL AND user_id IS NOT NULL;
COMMENT ON TABLE authkit.oauth_token_families IS 'one authorisation: a code and all tokens that descend from it';
COMMENT ON COLUMN authkit.oauth_token_families.user_id IS 'null: the client itself';
COMMENT ON COLUMN authkit.oauth_token_families.expires_at IS 'no token of the family lives longer';

CREATE TABLE authkit.oauth_token_cache (
    user_id uuid NOT NULL,
    provider text NOT NULL,
    provider_account_id text NOT NULL,
    access_token_sealed bytea NOT NULL,
    refresh_token_sealed bytea,
    id_token_sealed bytea,
    sealing_key_id text NOT NULL,
    expires_at timestamptz,
    token_type text DEFAULT 'Bearer' NOT NULL,
    scope text,
    session_state text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT oauth_token_cache_pkey PRIMARY KEY (user_id, provider, provider_account_id),
    CONSTRAINT oauth_token_cache_provider_provider_account_id_key
        UNIQUE (provider, provider_account_id),
    CONSTRAINT oauth_token_cache_provider_length_check
        CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT oauth_token_cache_provider_account_id_length_check
        CHECK (char_length(provider_account_id) BETWEEN 1 AND 255)
) WITH (fillfactor = 80);
CREATE INDEX oauth_token_cache_expires_at_idx ON authkit.oauth_token_cache (expires_at);
CREATE INDEX oauth_token_cache_sealing_key_id_idx ON authkit.oauth_token_cache (sealing_key_id);
COMMENT ON TABLE authkit.oauth_token_cache IS 'tokens of upstream providers, sealed; never in clear';
COMMENT ON COLUMN authkit.oauth_token_cache.sealing_key_id IS 'key that sealed all three';
COMMENT ON COLUMN authkit.oauth_token_cache.expires_at IS
    'expiry of the access token; null where the provider is silent';

CREATE TABLE authkit.oauth_issued_tokens (
    id uuid NOT NULL,
    token_digest bytea NOT NULL,
    kind text NOT NULL,
    family_id uuid NOT NULL,
    generation integer NOT NULL,
    client_id text NOT NULL,
    user_id uuid,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    family_expires_at timestamptz NOT NULL,
    first_used_at timestamptz,
    rotated_at timestamptz,
    revoked_at timestamptz,
    proof_thumbprint bytea,
    derivation_key_id text,
    derivation_salt bytea,
    CONSTRAINT oauth_issued_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_issued_tokens_family_id_generation_kind_key
        UNIQUE (family_id, generation, kind),
    CONSTRAINT oauth_issued_tokens_token_digest_digest_check
        CHECK (octet_length(token_digest) = 32),
    CONSTRAINT oauth_issued_tokens_proof_thumbprint_digest_check
        CHECK (octet_length(proof_thumbprint) = 32),
    CONSTRAINT oauth_issued_tokens_kind_known_check CHECK (kind IN ('refresh', 'access')),
    CONSTRAINT oauth_issued_tokens_generation_range_check CHECK (generation >= 0),
    CONSTRAINT oauth_issued_tokens_client_id_length_check
        CHECK (char_length(client_id) BETWEEN 1 AND 200),
    CONSTRAINT oauth_issued_tokens_expires_after_creation_check CHECK (expires_at > created_at),
    CONSTRAINT oauth_issued_tokens_expires_with_family_check
        CHECK (expires_at <= family_expires_at),
    CONSTRAINT oauth_issued_tokens_derivation_whole_check
        CHECK (num_nulls(derivation_key_id, derivation_salt) IN (0, 2)),
    CONSTRAINT oauth_issued_tokens_derivation_salt_length_check
        CHECK (octet_length(derivation_salt) BETWEEN 16 AND 64),
    CONSTRAINT oauth_issued_tokens_token_digest_key UNIQUE (token_digest),
    CONSTRAINT oauth_issued_tokens_family_id_fkey
        FOREIGN KEY (family_id) REFERENCES authkit.oauth_token_families (id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX oauth_issued_tokens_family_expires_at_idx
    ON authkit.oauth_issued_tokens (family_expires_at);
COMMENT ON TABLE authkit.oauth_issued_tokens IS 'tokens that we issue, as digests; one of each kind in each generation';
COMMENT ON COLUMN authkit.oauth_issued_tokens.token_digest IS
    'SHA-256 of the token, which is stored nowhere';
COMMENT ON COLUMN authkit.oauth_issued_tokens.generation IS
    '0 at redemption, one more with each rotation';
COMMENT ON COLUMN authkit.oauth_issued_tokens.user_id IS 'null: the client itself';
COMMENT ON COLUMN authkit.oauth_issued_tokens.first_used_at IS
    'a successor''s first use ends its predecessor''s grace';
COMMENT ON COLUMN authkit.oauth_issued_tokens.rotated_at IS
    'when its successor was derived; used again: reuse or grace';
COMMENT ON COLUMN authkit.oauth_issued_tokens.proof_thumbprint IS
    'SHA-256 thumbprint of the proof key (RFC 7638, RFC 9449)';
COMMENT ON COLUMN authkit.oauth_issued_tokens.derivation_key_id IS
    'key that derives the successor; it is not in the database';

CREATE TABLE authkit.oauth_state_tracking (
    state_digest bytea NOT NULL,
    provider text NOT NULL,
    issuer text NOT NULL,
    browser_binding_digest bytea NOT NULL,
    nonce_digest bytea,
    verifier_sealed bytea,
    sealing_key_id text,
    redirect_uri text NOT NULL,
    user_id uuid,
    ip inet,
    user_agent text,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz,
    CONSTRAINT oauth_state_tracking_pkey PRIMARY KEY (state_digest),
    CONSTRAINT oauth_state_tracking_state_digest_digest_check
        CHECK (octet_length(state_digest) = 32),
    CONSTRAINT oauth_state_tracking_browser_binding_digest_digest_check
        CHECK (octet_length(browser_binding_digest) = 32),
    CONSTRAINT oauth_state_tracking_nonce_digest_digest_check
        CHECK (octet_length(nonce_digest) = 32),
    CONSTRAINT oauth_state_tracking_sealing_key_id_present_check
        CHECK (num_nonnulls(verifier_sealed) = 0 OR sealing_key_id IS NOT NULL),
    CONSTRAINT oauth_state_tracking_provider_length_check
        CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT oauth_state_tracking_issuer_length_check
        CHECK (char_length(issuer) BETWEEN 1 AND 2048),
    CONSTRAINT oauth_state_tracking_redirect_uri_length_check
        CHECK (char_length(redirect_uri) BETWEEN 1 AND 2048),
    CONSTRAINT oauth_state_tracking_user_agent_length_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT oauth_state_tracking_lifetime_check
        CHECK (expires_at > created_at AND expires_at - created_at <= interval '1 hour')
) WITH (fillfactor = 90);
CREATE INDEX oauth_state_tracking_expires_at_idx ON authkit.oauth_state_tracking (expires_at);
COMMENT ON TABLE authkit.oauth_state_tracking IS 'logins that are away at a provider';
COMMENT ON COLUMN authkit.oauth_state_tracking.issuer IS
    'expected iss of the answer (RFC 9207), against mix-up';
COMMENT ON COLUMN authkit.oauth_state_tracking.browser_binding_digest IS
    'SHA-256 of a cookie: another browser cannot finish the flow';
COMMENT ON COLUMN authkit.oauth_state_tracking.verifier_sealed IS
    'PKCE verifier, sealed: it is sent to the provider';
COMMENT ON COLUMN authkit.oauth_state_tracking.user_id IS 'who links an account; null at a login';

CREATE TABLE authkit.oauth_auth_codes (
    code_digest bytea NOT NULL,
    client_id text NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    family_id uuid NOT NULL,
    redirect_uri text NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    code_challenge bytea NOT NULL,
    code_challenge_method text DEFAULT 'S256' NOT NULL,
    nonce text,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz,
    CONSTRAINT oauth_auth_codes_pkey PRIMARY KEY (code_digest),
    CONSTRAINT oauth_auth_codes_code_digest_digest_check CHECK (octet_length(code_digest) = 32),
    CONSTRAINT oauth_auth_codes_code_challenge_digest_check
        CHECK (octet_length(code_challenge) = 32),
    CONSTRAINT oauth_auth_codes_challenge_method_s256_check CHECK (code_challenge_method = 'S256'),
    CONSTRAINT oauth_auth_codes_client_id_length_check
        CHECK (char_length(client_id) BETWEEN 1 AND 200),
    CONSTRAINT oauth_auth_codes_redirect_uri_length_check
        CHECK (char_length(redirect_uri) BETWEEN 1 AND 2048),
    CONSTRAINT oauth_auth_codes_nonce_length_check CHECK (char_length(nonce) BETWEEN 1 AND 512),
    CONSTRAINT oauth_auth_codes_lifetime_check
        CHECK (expires_at > created_at AND expires_at - created_at <= interval '10 minutes')
) WITH (fillfactor = 90);
CREATE INDEX oauth_auth_codes_expires_at_idx ON authkit.oauth_auth_codes (expires_at);
CREATE INDEX oauth_auth_codes_family_id_idx ON authkit.oauth_auth_codes (family_id);
COMMENT ON TABLE authkit.oauth_auth_codes IS 'authorisation codes, as digests, each to be redeemed once';
COMMENT ON COLUMN authkit.oauth_auth_codes.family_id IS
    'family its tokens will have; presented twice: revoked';
COMMENT ON COLUMN authkit.oauth_auth_codes.code_challenge IS
    'SHA-256 of the verifier, decoded (RFC 7636 section 4.2)';
COMMENT ON COLUMN authkit.oauth_auth_codes.nonce IS
    'echoed in the ID token (OpenID Connect Core, section 3.1.2.1)';
COMMENT ON COLUMN authkit.oauth_auth_codes.consumed_at IS
    'kept, so that a second presentation is seen as a replay';
