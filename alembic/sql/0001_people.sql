CREATE TABLE authkit.users (
    id uuid NOT NULL,
    email text NOT NULL,
    email_verified_at timestamptz,
    name text,
    image text,
    password_hash text,
    mfa_enabled boolean DEFAULT false NOT NULL,
    totp_secret_sealed bytea,
    sealing_key_id text,
    failed_attempts integer DEFAULT 0 NOT NULL,
    locked_until timestamptz,
    last_login_at timestamptz,
    last_login_ip inet,
    risk_score double precision,
    disabled_at timestamptz,
    erased_at timestamptz,
    authz_version bigint DEFAULT 1 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_length_check CHECK (char_length(email) BETWEEN 1 AND 320),
    CONSTRAINT users_email_trimmed_check CHECK (email = btrim(email)),
    CONSTRAINT users_email_folded_check CHECK (email = lower(email COLLATE "C")),
    CONSTRAINT users_email_normalised_check CHECK (email IS NFKC NORMALIZED),
    CONSTRAINT users_email_printable_check CHECK (email !~ '[[:cntrl:]]'),
    CONSTRAINT users_name_length_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT users_image_length_check CHECK (char_length(image) BETWEEN 1 AND 2048),
    CONSTRAINT users_password_hash_phc_check
        CHECK (password_hash ~ '^\$[a-z0-9-]{1,32}(\$v=[0-9]{1,10})?(\$[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+(,[a-z0-9-]{1,32}=[A-Za-z0-9/+.-]+)*)?\$[A-Za-z0-9/+.-]{1,64}\$[A-Za-z0-9/+.-]{16,128}$'),
    CONSTRAINT users_sealing_key_id_present_check
        CHECK (num_nonnulls(totp_secret_sealed) = 0 OR sealing_key_id IS NOT NULL),
    CONSTRAINT users_failed_attempts_range_check CHECK (failed_attempts >= 0),
    CONSTRAINT users_authz_version_positive_check CHECK (authz_version > 0),
    CONSTRAINT users_risk_score_finite_check
        CHECK (risk_score > '-Infinity' AND risk_score < 'Infinity'),
    CONSTRAINT users_erased_disabled_check CHECK (erased_at IS NULL OR disabled_at IS NOT NULL),
    CONSTRAINT users_email_key UNIQUE (email)
) WITH (fillfactor = 85);
CREATE INDEX users_created_at_id_idx ON authkit.users (created_at, id);
CREATE INDEX users_sealing_key_id_idx
    ON authkit.users (sealing_key_id)
    WHERE sealing_key_id IS NOT NULL;
COMMENT ON TABLE authkit.users IS 'one row a person or machine; erased, never deleted';
COMMENT ON COLUMN authkit.users.email IS 'normalised: NFKC, trimmed, lower case';
COMMENT ON COLUMN authkit.users.image IS 'URL of a picture';
COMMENT ON COLUMN authkit.users.password_hash IS 'PHC string, argon2id expected; null: no password';
COMMENT ON COLUMN authkit.users.risk_score IS 'null: unscored';
COMMENT ON COLUMN authkit.users.erased_at IS
    'personal details removed and the subject''s key destroyed';
COMMENT ON COLUMN authkit.users.authz_version IS
    'raised by triggers whenever what the user may do changes';

CREATE TABLE authkit.user_backup_codes (
    user_id uuid NOT NULL,
    code_digest bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    used_at timestamptz,
    CONSTRAINT user_backup_codes_pkey PRIMARY KEY (user_id, code_digest),
    CONSTRAINT user_backup_codes_code_digest_digest_check CHECK (octet_length(code_digest) = 32),
    CONSTRAINT user_backup_codes_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE
);
COMMENT ON TABLE authkit.user_backup_codes IS 'backup codes of a user, each good once';

CREATE TABLE authkit.user_totp (
    user_id uuid NOT NULL,
    proposed_sealed bytea,
    sealing_key_id text,
    proposed_at timestamptz,
    enrolled_at timestamptz,
    last_step bigint DEFAULT 0 NOT NULL,
    CONSTRAINT user_totp_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_totp_proposal_whole_check
        CHECK (num_nulls(proposed_sealed, sealing_key_id, proposed_at) IN (0, 3)),
    CONSTRAINT user_totp_last_step_range_check CHECK (last_step >= 0),
    CONSTRAINT user_totp_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE
);
COMMENT ON TABLE authkit.user_totp IS
    'enrolment of a user''s authenticator, and the last code it gave';
COMMENT ON COLUMN authkit.user_totp.proposed_sealed IS 'a secret that nobody has confirmed yet';
COMMENT ON COLUMN authkit.user_totp.enrolled_at IS
    'since when the secret in users is good; null: there is none';
COMMENT ON COLUMN authkit.user_totp.last_step IS
    'time step of the last code that was accepted: no code is good twice';

CREATE TABLE authkit.subject_keys (
    subject_id uuid NOT NULL,
    key_sealed bytea,
    sealing_key_id text,
    created_at timestamptz DEFAULT now() NOT NULL,
    destroyed_at timestamptz,
    CONSTRAINT subject_keys_pkey PRIMARY KEY (subject_id),
    CONSTRAINT subject_keys_destroyed_whole_check CHECK (num_nulls(key_sealed, destroyed_at) = 1),
    CONSTRAINT subject_keys_sealing_key_id_present_check
        CHECK (num_nonnulls(key_sealed) = 0 OR sealing_key_id IS NOT NULL)
);
COMMENT ON TABLE authkit.subject_keys IS 'one key a subject; destroying it erases what it sealed';

CREATE TABLE authkit.accounts (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    type text NOT NULL,
    provider text NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    access_token_sealed bytea,
    refresh_token_sealed bytea,
    id_token_sealed bytea,
    sealing_key_id text,
    token_type text,
    expires_at timestamptz,
    scope text,
    session_state text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_issuer_subject_key UNIQUE (issuer, subject),
    CONSTRAINT accounts_type_known_check
        CHECK (type IN ('oauth', 'oidc', 'saml', 'email', 'credentials', 'webauthn')),
    CONSTRAINT accounts_provider_length_check CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT accounts_issuer_length_check CHECK (char_length(issuer) BETWEEN 1 AND 2048),
    CONSTRAINT accounts_subject_length_check CHECK (char_length(subject) BETWEEN 1 AND 255),
    CONSTRAINT accounts_sealing_key_id_present_check
        CHECK (num_nonnulls(access_token_sealed, refresh_token_sealed, id_token_sealed) = 0 OR sealing_key_id IS NOT NULL),
    CONSTRAINT accounts_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE
);
CREATE INDEX accounts_sealing_key_id_idx
    ON authkit.accounts (sealing_key_id)
    WHERE sealing_key_id IS NOT NULL;
CREATE INDEX accounts_user_id_idx ON authkit.accounts (user_id);
COMMENT ON TABLE authkit.accounts IS 'identities at issuers; provider tokens are sealed';
COMMENT ON COLUMN authkit.accounts.issuer IS 'iss, or the provider''s name if none';
COMMENT ON COLUMN authkit.accounts.subject IS 'sub: the issuer''s id of the user';
COMMENT ON COLUMN authkit.accounts.sealing_key_id IS
    'key that sealed all three; an index finds those of an old one';
COMMENT ON COLUMN authkit.accounts.expires_at IS 'expiry of the access token';

CREATE TABLE authkit.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    assurance_level smallint DEFAULT 1 NOT NULL,
    methods text[] DEFAULT '{}'::text[] NOT NULL,
    device_info jsonb DEFAULT '{}'::jsonb NOT NULL,
    ip inet,
    user_agent text,
    risk_score double precision,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_activity_at timestamptz DEFAULT now() NOT NULL,
    rotated_at timestamptz,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_device_info_object_check CHECK (jsonb_typeof(device_info) = 'object'),
    CONSTRAINT sessions_assurance_level_range_check CHECK (assurance_level BETWEEN 1 AND 3),
    CONSTRAINT sessions_user_agent_length_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT sessions_risk_score_finite_check
        CHECK (risk_score > '-Infinity' AND risk_score < 'Infinity'),
    CONSTRAINT sessions_end_whole_check CHECK (num_nulls(ended_at, end_reason) IN (0, 2)),
    CONSTRAINT sessions_end_reason_slug_check
        CHECK (octet_length(end_reason) <= 63 AND ascii(end_reason) BETWEEN 97 AND 122
            AND btrim(end_reason, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''),
    CONSTRAINT sessions_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_created_at_idx ON authkit.sessions USING brin (created_at);
CREATE INDEX sessions_user_id_created_at_idx ON authkit.sessions (user_id, created_at);
COMMENT ON TABLE authkit.sessions IS 'what is remembered of a session; written when it changes';
COMMENT ON COLUMN authkit.sessions.id IS 'the same as active_sessions.id; never the token';
COMMENT ON COLUMN authkit.sessions.risk_score IS 'null: unscored';
COMMENT ON COLUMN authkit.sessions.last_activity_at IS
    'as of the last change; touches go to active_sessions alone';

CREATE TABLE authkit.webauthn_credentials (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    rp_id text NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint DEFAULT 0 NOT NULL,
    uv_initialized boolean DEFAULT false NOT NULL,
    backup_eligible boolean DEFAULT false NOT NULL,
    backup_state boolean DEFAULT false NOT NULL,
    transports text[] DEFAULT '{}'::text[] NOT NULL,
    aaguid uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    attestation_object bytea,
    attestation_client_data bytea,
    name text,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_used_at timestamptz,
    clone_suspected_at timestamptz,
    retired_at timestamptz,
    CONSTRAINT webauthn_credentials_pkey PRIMARY KEY (id),
    CONSTRAINT webauthn_credentials_rp_id_credential_id_key UNIQUE (rp_id, credential_id),
    CONSTRAINT webauthn_credentials_credential_id_length_check
        CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    CONSTRAINT webauthn_credentials_public_key_length_check
        CHECK (octet_length(public_key) BETWEEN 1 AND 4096),
    CONSTRAINT webauthn_credentials_sign_count_range_check
        CHECK (sign_count BETWEEN 0 AND 4294967295),
    CONSTRAINT webauthn_credentials_backup_state_eligible_check
        CHECK (backup_eligible OR NOT backup_state),
    CONSTRAINT webauthn_credentials_rp_id_length_check CHECK (char_length(rp_id) BETWEEN 1 AND 253),
    CONSTRAINT webauthn_credentials_name_length_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT webauthn_credentials_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE
) WITH (fillfactor = 85);
CREATE INDEX webauthn_credentials_user_id_idx ON authkit.webauthn_credentials (user_id);
COMMENT ON TABLE authkit.webauthn_credentials IS 'passkeys and security keys';
COMMENT ON COLUMN authkit.webauthn_credentials.rp_id IS 'relying party: an effective domain';
COMMENT ON COLUMN authkit.webauthn_credentials.public_key IS 'COSE_Key (RFC 9052 section 7)';
COMMENT ON COLUMN authkit.webauthn_credentials.backup_eligible IS
    'BE flag; a trigger holds it for life';
COMMENT ON COLUMN authkit.webauthn_credentials.name IS 'what the user calls it';
COMMENT ON COLUMN authkit.webauthn_credentials.clone_suspected_at IS
    'a sign count did not increase: a signal for risk, no refusal';
COMMENT ON COLUMN authkit.webauthn_credentials.retired_at IS
    'no longer accepted; kept, so that its id is not taken again';
