CREATE TABLE authkit.masking_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    retired_at timestamptz,
    CONSTRAINT masking_keys_pkey PRIMARY KEY (id),
    CONSTRAINT masking_keys_inner_key_length_check CHECK (octet_length(inner_key) = 32),
    CONSTRAINT masking_keys_outer_key_length_check CHECK (octet_length(outer_key) = 32)
);
CREATE UNIQUE INDEX masking_keys_one_active_idx
    ON authkit.masking_keys ((retired_at IS NULL))
    WHERE retired_at IS NULL;
COMMENT ON TABLE authkit.masking_keys IS 'keys of the masked views; one active, none ever granted';
