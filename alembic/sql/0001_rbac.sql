CREATE TABLE authkit.roles (
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    is_system boolean DEFAULT false NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT roles_pkey PRIMARY KEY (id),
    CONSTRAINT roles_name_shape_check CHECK (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    CONSTRAINT roles_description_length_check CHECK (char_length(description) BETWEEN 1 AND 500),
    CONSTRAINT roles_version_positive_check CHECK (version > 0),
    CONSTRAINT roles_name_key UNIQUE (name)
);
COMMENT ON TABLE authkit.roles IS 'named sets of permissions';
COMMENT ON COLUMN authkit.roles.is_system IS 'shipped with authkit; not to be deleted';
COMMENT ON COLUMN authkit.roles.version IS
    'raised by a trigger whenever the role''s permissions change';

CREATE TABLE authkit.permissions (
    id uuid NOT NULL,
    name text NOT NULL,
    resource text NOT NULL,
    action text NOT NULL,
    conditions jsonb DEFAULT '{}'::jsonb NOT NULL,
    description text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT permissions_pkey PRIMARY KEY (id),
    CONSTRAINT permissions_resource_action_key UNIQUE (resource, action),
    CONSTRAINT permissions_name_shape_check
        CHECK (name ~ '^[a-z][a-z0-9_.-]*:[a-z*][a-z0-9_.:*-]*$'),
    CONSTRAINT permissions_name_length_check CHECK (char_length(name) BETWEEN 1 AND 130),
    CONSTRAINT permissions_resource_shape_check CHECK (resource ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    CONSTRAINT permissions_action_shape_check CHECK (action ~ '^([a-z][a-z0-9_.-]{0,62}|[*])$'),
    CONSTRAINT permissions_description_length_check
        CHECK (char_length(description) BETWEEN 1 AND 500),
    CONSTRAINT permissions_conditions_object_check CHECK (jsonb_typeof(conditions) = 'object'),
    CONSTRAINT permissions_name_key UNIQUE (name)
);
COMMENT ON TABLE authkit.permissions IS 'actions on kinds of resources';
COMMENT ON COLUMN authkit.permissions.name IS 'e.g. user:read';
COMMENT ON COLUMN authkit.permissions.conditions IS
    'equality, membership, owner, time window; all must hold';

CREATE TABLE authkit.user_roles (
    user_id uuid NOT NULL,
    role_id uuid NOT NULL,
    granted_by uuid,
    granted_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz,
    CONSTRAINT user_roles_pkey PRIMARY KEY (user_id, role_id),
    CONSTRAINT user_roles_expires_after_grant_check CHECK (expires_at > granted_at),
    CONSTRAINT user_roles_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES authkit.users (id) ON DELETE CASCADE,
    CONSTRAINT user_roles_role_id_fkey
        FOREIGN KEY (role_id) REFERENCES authkit.roles (id) ON DELETE CASCADE,
    CONSTRAINT user_roles_granted_by_fkey
        FOREIGN KEY (granted_by) REFERENCES authkit.users (id) ON DELETE SET NULL
);
CREATE INDEX user_roles_expires_at_idx
    ON authkit.user_roles (expires_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX user_roles_granted_by_idx
    ON authkit.user_roles (granted_by)
    WHERE granted_by IS NOT NULL;
CREATE INDEX user_roles_role_id_idx ON authkit.user_roles (role_id);
COMMENT ON TABLE authkit.user_roles IS 'who holds which role';
COMMENT ON COLUMN authkit.user_roles.granted_by IS 'null: the system';
COMMENT ON COLUMN authkit.user_roles.expires_at IS 'null: never';

CREATE TABLE authkit.role_permissions (
    role_id uuid NOT NULL,
    permission_id uuid NOT NULL,
    granted_by uuid,
    granted_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT role_permissions_pkey PRIMARY KEY (role_id, permission_id),
    CONSTRAINT role_permissions_role_id_fkey
        FOREIGN KEY (role_id) REFERENCES authkit.roles (id) ON DELETE CASCADE,
    CONSTRAINT role_permissions_permission_id_fkey
        FOREIGN KEY (permission_id) REFERENCES authkit.permissions (id) ON DELETE CASCADE,
    CONSTRAINT role_permissions_granted_by_fkey
        FOREIGN KEY (granted_by) REFERENCES authkit.users (id) ON DELETE SET NULL
);
CREATE INDEX role_permissions_granted_by_idx
    ON authkit.role_permissions (granted_by)
    WHERE granted_by IS NOT NULL;
CREATE INDEX role_permissions_permission_id_idx ON authkit.role_permissions (permission_id);
COMMENT ON TABLE authkit.role_permissions IS 'which permissions a role carries';
COMMENT ON COLUMN authkit.role_permissions.granted_by IS 'null: the system';
