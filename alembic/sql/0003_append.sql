-- The one door to the audit trail. What is hashed, byte by byte, is documented in
-- authkit/schema/audit.py; a verifier needs that and SHA-256, nothing else.

CREATE TABLE authkit.audit_logs_default PARTITION OF authkit.audit_logs DEFAULT;

-- One head for each shard: authkit.schema.audit.AUDIT_SHARDS of them.
INSERT INTO authkit.audit_chain_heads (shard) SELECT s FROM generate_series(0, 15) AS s;

CREATE FUNCTION authkit.audit_append(shard_ integer, canonical_ bytea)
RETURNS TABLE (seq bigint, recorded_at timestamptz, hash bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $body$
#variable_conflict use_column
DECLARE
    event jsonb;
    held text := current_setting('authkit.audit_shard', true);
BEGIN
    -- Two shards in one transaction could deadlock with two others, and would let one
    -- slow transaction hold up both chains.
    IF held <> '' AND held <> shard_::text THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'a transaction appends to one audit shard only';
    END IF;
    PERFORM set_config('authkit.audit_shard', shard_::text, true);
    event := convert_from(canonical_, 'UTF8')::jsonb;
    IF jsonb_typeof(event) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'an audit event is a JSON object';
    END IF;
    -- One statement: appenders queue on the head's row, and whoever waited computes
    -- from the row that its predecessor committed. A chain cannot fork.
    RETURN QUERY
    WITH head AS (
        UPDATE authkit.audit_chain_heads AS h
        SET (seq, period, recorded_at, prev_hash, hash) = (
            SELECT h.seq + 1,
                greatest(h.period, date_trunc('month', clock.at)::date),
                clock.at,
                h.hash,
                sha256('\x617574686b69742f61756469742f3100'::bytea
                    || int4send(h.shard::integer)
                    || int8send(h.seq + 1)
                    || int8send((extract(epoch FROM clock.at) * 1000000)::bigint)
                    || h.hash
                    || canonical_)
            -- OFFSET 0 keeps this one reading of the clock one.
            FROM (SELECT clock_timestamp() AS at OFFSET 0) AS clock
        )
        WHERE h.shard = shard_
        RETURNING h.shard, h.seq, h.period, h.recorded_at, h.prev_hash, h.hash
    )
    INSERT INTO authkit.audit_logs AS entry (
        period, shard, seq, recorded_at, prev_hash, hash, canonical,
        actor, action, target, outcome, before, after, details,
        ip, user_agent, correlation_id, occurred_at
    )
    SELECT head.period, head.shard, head.seq, head.recorded_at, head.prev_hash, head.hash,
        canonical_,
        event ->> 'actor', event ->> 'action', event ->> 'target', event ->> 'outcome',
        nullif(event -> 'before', 'null'), nullif(event -> 'after', 'null'),
        coalesce(nullif(event -> 'details', 'null'), '{}'),
        (event ->> 'ip')::inet, event ->> 'user_agent', event ->> 'correlation_id',
        (event ->> 'occurred_at')::timestamptz
    FROM head
    RETURNING entry.seq, entry.recorded_at, entry.hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'there is no such audit shard';
    END IF;
END
$body$;
COMMENT ON FUNCTION authkit.audit_append IS
    'chains one event, given as canonical JSON (RFC 8785), to a shard of the audit trail';
REVOKE ALL ON FUNCTION authkit.audit_append FROM PUBLIC;

-- Privileges keep the application from changing entries; this keeps an owner's slip from
-- it. Neither is proof against a superuser: the chain and its checkpoints are.
CREATE TRIGGER audit_logs_append_only
    BEFORE UPDATE OR DELETE ON authkit.audit_logs FOR EACH ROW
    EXECUTE FUNCTION authkit.refuse('audit_logs_append_only',
        'an audit entry is never changed or deleted');

-- A week of partitions to begin with; `authkit db setup` and maintenance make more.
SELECT authkit.ensure_partitions(
    (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);
