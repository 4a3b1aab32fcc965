-- Roles and permissions that every installation begins with. Their ids are fixed, so that
-- two databases agree on them; what is there already is left as
-- it is: a role that an administrator has changed is not changed back.

INSERT INTO authkit.permissions (id, name, resource, action, description)
SELECT ('00000000-0000-7000-8001-' || lpad(to_hex(p.n), 12, '0'))::uuid,
    p.resource || ':' || p.action, p.resource, p.action, p.description
FROM (VALUES
    (1, 'user', 'read', 'See users'),
    (2, 'user', 'create', 'Create users'),
    (3, 'user', 'update', 'Change users'),
    (4, 'user', 'disable', 'Disable and enable users'),
    (5, 'user', 'erase', 'Erase the personal details of users'),
    (6, 'account', 'read', 'See linked accounts'),
    (7, 'account', 'link', 'Link and unlink accounts'),
    (8, 'session', 'read', 'See sessions'),
    (9, 'session', 'revoke', 'End sessions'),
    (10, 'role', 'read', 'See roles and permissions'),
    (11, 'role', 'manage', 'Create and change roles and permissions'),
    (12, 'role', 'grant', 'Grant and revoke roles'),
    (13, 'credential', 'read', 'See passkeys and security keys'),
    (14, 'credential', 'manage', 'Register, rename and retire them'),
    (15, 'attempt', 'read', 'See authentication attempts'),
    (16, 'audit', 'read', 'See the audit trail')
) AS p (n, resource, action, description)
ON CONFLICT DO NOTHING;

WITH fresh AS (
    INSERT INTO authkit.roles (id, name, description, is_system) VALUES
        ('00000000-0000-7000-8000-000000000001', 'admin', 'May do everything', true),
        ('00000000-0000-7000-8000-000000000002', 'moderator', 'Looks after users', true),
        ('00000000-0000-7000-8000-000000000003', 'user', 'Has an account', true)
    ON CONFLICT DO NOTHING
    RETURNING id, name
)
INSERT INTO authkit.role_permissions (role_id, permission_id)
SELECT r.id, p.id
FROM fresh AS r JOIN authkit.permissions AS p ON
    r.name = 'admin'
    OR (r.name = 'moderator' AND p.name IN (
        'user:read', 'user:update', 'user:disable', 'account:read', 'session:read',
        'session:revoke', 'role:read', 'credential:read', 'attempt:read'));
