CREATE TABLE authkit.audit_chain_heads (
    shard smallint NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    period date DEFAULT '2000-01-01'::date NOT NULL,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    prev_hash bytea DEFAULT decode(repeat('00', 32), 'hex') NOT NULL,
    hash bytea DEFAULT decode(repeat('00', 32), 'hex') NOT NULL,
    CONSTRAINT audit_chain_heads_pkey PRIMARY KEY (shard),
    CONSTRAINT audit_chain_heads_shard_range_check CHECK (shard >= 0),
    CONSTRAINT audit_chain_heads_seq_range_check CHECK (seq >= 0),
    CONSTRAINT audit_chain_heads_hash_length_check CHECK (octet_length(hash) = 32),
    CONSTRAINT audit_chain_heads_prev_hash_length_check CHECK (octet_length(prev_hash) = 32)
) WITH (fillfactor = 20);
COMMENT ON TABLE authkit.audit_chain_heads IS 'newest entry of each shard; written by audit_append alone';
COMMENT ON COLUMN authkit.audit_chain_heads.seq IS '0: the shard is empty';

CREATE TABLE authkit.audit_logs (
    period date NOT NULL,
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    canonical bytea NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text,
    outcome text NOT NULL,
    before jsonb,
    after jsonb,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    ip inet,
    user_agent text,
    correlation_id text,
    occurred_at timestamptz,
    CONSTRAINT audit_logs_pkey PRIMARY KEY (period, shard, seq),
    CONSTRAINT audit_logs_period_month_check CHECK (period = date_trunc('month', period)::date),
    CONSTRAINT audit_logs_seq_positive_check CHECK (seq > 0),
    CONSTRAINT audit_logs_hash_length_check CHECK (octet_length(hash) = 32),
    CONSTRAINT audit_logs_prev_hash_length_check CHECK (octet_length(prev_hash) = 32),
    CONSTRAINT audit_logs_canonical_length_check
        CHECK (octet_length(canonical) BETWEEN 2 AND 1048576),
    CONSTRAINT audit_logs_actor_shape_check CHECK (actor ~ '^[a-z_]{1,30}:.{1,200}$'),
    CONSTRAINT audit_logs_target_shape_check CHECK (target ~ '^[a-z_]{1,30}:.{1,200}$'),
    CONSTRAINT audit_logs_action_shape_check CHECK (action ~ '^[a-z][a-z0-9_.:-]{0,99}$'),
    CONSTRAINT audit_logs_outcome_known_check CHECK (outcome IN ('succeeded', 'failed', 'denied')),
    CONSTRAINT audit_logs_details_object_check CHECK (jsonb_typeof(details) = 'object'),
    CONSTRAINT audit_logs_user_agent_length_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT audit_logs_correlation_id_length_check
        CHECK (char_length(correlation_id) BETWEEN 1 AND 200)
) PARTITION BY RANGE (period);
CREATE INDEX audit_logs_by_actor_idx ON authkit.audit_logs (actor, recorded_at);
CREATE INDEX audit_logs_by_correlation_idx
    ON authkit.audit_logs (correlation_id)
    WHERE correlation_id IS NOT NULL;
CREATE INDEX audit_logs_by_target_idx ON authkit.audit_logs (target, recorded_at);
CREATE INDEX audit_logs_by_time_idx ON authkit.audit_logs USING brin (recorded_at);
COMMENT ON TABLE authkit.audit_logs IS 'append-only and hash-chained; the layout is in authkit.schema';
COMMENT ON COLUMN authkit.audit_logs.period IS 'month that seals it, first day, UTC';
COMMENT ON COLUMN authkit.audit_logs.seq IS 'gapless within its shard';
COMMENT ON COLUMN authkit.audit_logs.recorded_at IS 'the server''s clock; hashed';
COMMENT ON COLUMN authkit.audit_logs.canonical IS 'the event, RFC 8785, as hashed';
COMMENT ON COLUMN authkit.audit_logs.actor IS 'kind:id of who acted';
COMMENT ON COLUMN authkit.audit_logs.action IS 'e.g. role.grant';
COMMENT ON COLUMN authkit.audit_logs.target IS 'kind:id of what was acted on';
COMMENT ON COLUMN authkit.audit_logs.occurred_at IS
    'when it happened, where that is not when it was recorded';
