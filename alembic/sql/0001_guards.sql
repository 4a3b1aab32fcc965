-- Rules that no CHECK can hold, because they compare a row with what it was.

CREATE FUNCTION authkit.refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    -- Trigger arguments: the name of the rule, and what it says. The error looks like a
    -- CHECK's, so that a client tells rules apart by constraint name.
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = TG_ARGV[1],
        SCHEMA = TG_TABLE_SCHEMA,
        TABLE = TG_TABLE_NAME,
        CONSTRAINT = TG_ARGV[0];
END
$body$;
COMMENT ON FUNCTION authkit.refuse() IS 'raises a check violation under the name of a rule';

CREATE TRIGGER webauthn_credentials_identity
    BEFORE UPDATE ON authkit.webauthn_credentials FOR EACH ROW
    WHEN ((OLD.backup_eligible, OLD.user_id, OLD.rp_id, OLD.credential_id, OLD.public_key)
        IS DISTINCT FROM
        (NEW.backup_eligible, NEW.user_id, NEW.rp_id, NEW.credential_id, NEW.public_key))
    EXECUTE FUNCTION authkit.refuse('webauthn_credentials_identity',
        'backup eligibility and identity of a credential never change');

CREATE TRIGGER roles_system_kept
    BEFORE DELETE ON authkit.roles FOR EACH ROW
    WHEN (OLD.is_system)
    EXECUTE FUNCTION authkit.refuse('roles_system_kept', 'a system role cannot be deleted');

CREATE TRIGGER roles_system_named
    BEFORE UPDATE ON authkit.roles FOR EACH ROW
    WHEN (OLD.is_system AND (NOT NEW.is_system OR NEW.name <> OLD.name))
    EXECUTE FUNCTION authkit.refuse('roles_system_named', 'a system role cannot be renamed');

-- Versions. A cached answer is compared with users.authz_version and roles.version in
-- the statement that reads it; so they rise here, whoever writes, and never fall.

CREATE FUNCTION authkit.raise_user_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    NEW.authz_version := OLD.authz_version + 1;
    RETURN NEW;
END
$body$;

CREATE TRIGGER users_version_raised
    BEFORE UPDATE ON authkit.users FOR EACH ROW
    WHEN (NEW.authz_version = OLD.authz_version AND
        (OLD.disabled_at, OLD.erased_at, OLD.email, OLD.password_hash, OLD.mfa_enabled,
         OLD.totp_secret_sealed)
        IS DISTINCT FROM
        (NEW.disabled_at, NEW.erased_at, NEW.email, NEW.password_hash, NEW.mfa_enabled,
         NEW.totp_secret_sealed))
    EXECUTE FUNCTION authkit.raise_user_version();

CREATE TRIGGER users_version_rises
    BEFORE UPDATE ON authkit.users FOR EACH ROW
    WHEN (NEW.authz_version < OLD.authz_version)
    EXECUTE FUNCTION authkit.refuse('users_version_rises', 'authz_version never falls');

CREATE TRIGGER roles_version_rises
    BEFORE UPDATE ON authkit.roles FOR EACH ROW
    WHEN (NEW.version < OLD.version)
    EXECUTE FUNCTION authkit.refuse('roles_version_rises', 'version never falls');

-- Rows are locked in the order of their keys before they change: two statements that
-- raise several versions at once cannot deadlock on each other.

CREATE FUNCTION authkit.raise_versions_of_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM 1 FROM authkit.users AS u
        WHERE u.id IN (SELECT c.user_id FROM changed AS c)
        ORDER BY u.id FOR NO KEY UPDATE;
    UPDATE authkit.users AS u SET authz_version = u.authz_version + 1
        WHERE u.id IN (SELECT c.user_id FROM changed AS c);
    RETURN NULL;
END
$body$;

CREATE TRIGGER user_roles_inserted AFTER INSERT ON authkit.user_roles
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_users();
CREATE TRIGGER user_roles_deleted AFTER DELETE ON authkit.user_roles
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_users();
CREATE TRIGGER user_roles_updated AFTER UPDATE ON authkit.user_roles
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_users();
CREATE TRIGGER user_roles_identity BEFORE UPDATE ON authkit.user_roles FOR EACH ROW
    WHEN ((OLD.user_id, OLD.role_id) IS DISTINCT FROM (NEW.user_id, NEW.role_id))
    EXECUTE FUNCTION authkit.refuse('user_roles_identity',
        'a grant is revoked and made anew, not moved');

CREATE FUNCTION authkit.raise_versions_of_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    -- A change of a permission does not see that a role is about to carry it, and raises
    -- the others only: of the two, one waits for the other. Taken away, it is still seen.
    IF TG_OP = 'INSERT' THEN
        PERFORM 1 FROM authkit.permissions AS p
            WHERE p.id IN (SELECT c.permission_id FROM changed AS c)
            ORDER BY p.id FOR SHARE;
    END IF;
    PERFORM 1 FROM authkit.roles AS r
        WHERE r.id IN (SELECT c.role_id FROM changed AS c)
        ORDER BY r.id FOR NO KEY UPDATE;
    UPDATE authkit.roles AS r SET version = r.version + 1
        WHERE r.id IN (SELECT c.role_id FROM changed AS c);
    RETURN NULL;
END
$body$;

CREATE TRIGGER role_permissions_inserted AFTER INSERT ON authkit.role_permissions
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_roles();
CREATE TRIGGER role_permissions_deleted AFTER DELETE ON authkit.role_permissions
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_roles();
CREATE TRIGGER role_permissions_identity BEFORE UPDATE ON authkit.role_permissions FOR EACH ROW
    WHEN ((OLD.role_id, OLD.permission_id) IS DISTINCT FROM (NEW.role_id, NEW.permission_id))
    EXECUTE FUNCTION authkit.refuse('role_permissions_identity',
        'a permission is taken from a role and given anew, not moved');

CREATE FUNCTION authkit.raise_versions_of_holders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM 1 FROM authkit.roles AS r
        JOIN authkit.role_permissions AS rp ON rp.role_id = r.id
        WHERE rp.permission_id = NEW.id
        ORDER BY r.id FOR NO KEY UPDATE OF r;
    UPDATE authkit.roles AS r SET version = r.version + 1
        FROM authkit.role_permissions AS rp
        WHERE rp.role_id = r.id AND rp.permission_id = NEW.id;
    RETURN NULL;
END
$body$;

CREATE TRIGGER permissions_changed AFTER UPDATE ON authkit.permissions FOR EACH ROW
    WHEN ((OLD.name, OLD.resource, OLD.action, OLD.conditions)
        IS DISTINCT FROM (NEW.name, NEW.resource, NEW.action, NEW.conditions))
    EXECUTE FUNCTION authkit.raise_versions_of_holders();

-- A trigger function cannot be called, but whoever may execute it may attach it to a table
-- of their own, with columns of types of their own: a comparison in it would run their
-- casts with the owner's rights. Triggers fire whoever may execute their function.
REVOKE ALL ON FUNCTION authkit.refuse, authkit.raise_user_version,
    authkit.raise_versions_of_users, authkit.raise_versions_of_roles,
    authkit.raise_versions_of_holders FROM PUBLIC;
