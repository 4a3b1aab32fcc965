-- Four group roles. They belong to the whole server, so another database of it may have
-- made them: each is made only where it is missing, and a race is no fault. A login role
-- is given one of them by whoever administers the server.

DO $body$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'authkit_app', 'authkit_analyst', 'authkit_maintenance', 'authkit_backup'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE 'CREATE ROLE ' || pg_catalog.quote_ident(wanted) || ' NOLOGIN';
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server made it a moment ago
            END;
        END IF;
    END LOOP;
END
$body$;

GRANT USAGE ON SCHEMA authkit
    TO authkit_app, authkit_analyst, authkit_maintenance, authkit_backup;

-- The application. It deletes what may be made again and what is revoked by being gone;
-- users, sessions, attempts and keys it ends or marks, and the audit trail it reads.
GRANT SELECT ON authkit.alembic_version, authkit.audit_logs, authkit.audit_chain_heads
    TO authkit_app;
GRANT EXECUTE ON FUNCTION authkit.audit_append TO authkit_app;
GRANT SELECT, INSERT, UPDATE ON
    authkit.users, authkit.subject_keys, authkit.sessions, authkit.webauthn_credentials,
    authkit.active_sessions, authkit.auth_attempts, authkit.write_keys,
    authkit.oauth_token_families, authkit.oauth_issued_tokens,
    authkit.oauth_state_tracking, authkit.oauth_auth_codes
    TO authkit_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    authkit.accounts, authkit.user_backup_codes, authkit.user_totp, authkit.roles,
    authkit.permissions, authkit.user_roles, authkit.role_permissions,
    authkit.rate_limit_tracking, authkit.user_auth_cache, authkit.oauth_token_cache
    TO authkit_app;

-- Maintenance: bounded purges and partitions. FOR UPDATE SKIP LOCKED asks for UPDATE on
-- some column; one that decides nothing is enough.
GRANT DELETE ON
    authkit.active_sessions, authkit.sessions, authkit.rate_limit_tracking,
    authkit.write_keys, authkit.user_roles, authkit.user_auth_cache,
    authkit.oauth_token_families, authkit.oauth_issued_tokens, authkit.oauth_token_cache,
    authkit.oauth_state_tracking, authkit.oauth_auth_codes, authkit.auth_attempts
    TO authkit_maintenance;
-- Which row, and how old: no hash of a password, no digest or sealed value of a token, and
-- no address or device of anybody is read for that.
GRANT SELECT (id, created_at, expires_at) ON
    authkit.active_sessions, authkit.sessions,
    authkit.oauth_token_families, authkit.oauth_issued_tokens
    TO authkit_maintenance;
GRANT SELECT (state_digest, created_at, expires_at) ON authkit.oauth_state_tracking
    TO authkit_maintenance;
GRANT SELECT (code_digest, created_at, expires_at) ON authkit.oauth_auth_codes
    TO authkit_maintenance;
GRANT SELECT (identifier, resource, theoretical_arrival_at, blocked_until, updated_at)
    ON authkit.rate_limit_tracking TO authkit_maintenance;
GRANT SELECT (key, created_at) ON authkit.write_keys TO authkit_maintenance;
GRANT SELECT (user_id, role_id, granted_at, expires_at) ON authkit.user_roles
    TO authkit_maintenance;
GRANT SELECT (occurred_at, id) ON authkit.auth_attempts TO authkit_maintenance;
GRANT SELECT (user_id, cached_at, expires_at) ON authkit.user_auth_cache
    TO authkit_maintenance;
GRANT SELECT (user_id, provider, provider_account_id, created_at, updated_at)
    ON authkit.oauth_token_cache TO authkit_maintenance;
GRANT UPDATE (created_at) ON
    authkit.active_sessions, authkit.sessions, authkit.write_keys,
    authkit.oauth_token_families, authkit.oauth_issued_tokens, authkit.oauth_token_cache,
    authkit.oauth_state_tracking, authkit.oauth_auth_codes
    TO authkit_maintenance;
GRANT UPDATE (updated_at) ON authkit.rate_limit_tracking TO authkit_maintenance;
GRANT UPDATE (cached_at) ON authkit.user_auth_cache TO authkit_maintenance;
GRANT UPDATE (granted_at) ON authkit.user_roles TO authkit_maintenance;
GRANT SELECT ON authkit.alembic_version, authkit.audit_logs, authkit.audit_chain_heads
    TO authkit_maintenance;
GRANT EXECUTE ON FUNCTION authkit.audit_append, authkit.ensure_partitions,
    authkit.drop_attempt_partitions TO authkit_maintenance;

-- `authkit db status` counts the rows that came at a time without a partition; reading a
-- partition by its own name asks for a privilege of its own.
GRANT SELECT ON authkit.auth_attempts_default TO authkit_app;
GRANT SELECT (occurred_at) ON authkit.auth_attempts_default TO authkit_maintenance;

-- Analysts read the masked views and no table.
GRANT SELECT ON authkit.attempts_masked, authkit.sessions_masked, authkit.audit_masked
    TO authkit_analyst;
GRANT EXECUTE ON FUNCTION authkit.keyed_token, authkit.address_prefix, authkit.id_bytes
    TO authkit_analyst;

-- A dump reads everything, the key of the masks included: a restore must give analysts
-- the tokens that their cases name.
GRANT SELECT ON ALL TABLES IN SCHEMA authkit TO authkit_backup;

DO $body$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN
        -- VACUUM and ANALYZE without owning the tables (PostgreSQL 17).
        EXECUTE 'GRANT MAINTAIN ON ALL TABLES IN SCHEMA authkit TO authkit_maintenance';
    END IF;
END
$body$;
