-- Partitions of auth_attempts (a day each) and audit_logs (a month each), in UTC.
--
-- A DEFAULT partition takes rows of a time for which none was made: a login or an audit
-- entry must not fail because nobody ran the maintenance. Its price is that a new
-- partition must not overlap rows that it holds; add_partition moves them.

CREATE TRIGGER auth_attempts_settle_once
    BEFORE UPDATE ON authkit.auth_attempts FOR EACH ROW
    WHEN (OLD.outcome <> 'pending' OR NEW.outcome = 'pending' OR
        (OLD.occurred_at, OLD.id, OLD.subject_hash, OLD.ip, OLD.user_agent, OLD.stage)
        IS DISTINCT FROM
        (NEW.occurred_at, NEW.id, NEW.subject_hash, NEW.ip, NEW.user_agent, NEW.stage))
    EXECUTE FUNCTION authkit.refuse('auth_attempts_settle_once',
        'an attempt changes once, from pending to settled, and keeps who made it');

CREATE TABLE authkit.auth_attempts_default PARTITION OF authkit.auth_attempts DEFAULT
    WITH (fillfactor = 90);

-- A table that may become a partition: alone it has no index, so rows are loaded fast.
CREATE FUNCTION authkit.bare_partition(parent text, partition text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    -- Serialises makers of partitions; nobody else takes this lock.
    PERFORM pg_advisory_xact_lock(hashtextextended('authkit.add_partition', 0));
    IF to_regclass('authkit.' || quote_ident(partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- CREATE ... PARTITION OF would lock the parent against everybody; ATTACH does not.
    EXECUTE 'CREATE TABLE authkit.' || quote_ident(partition) || ' (LIKE authkit.'
        || quote_ident(parent)
        || ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)'
        || ' WITH (fillfactor = 90)';
    RETURN true;
END
$body$;
COMMENT ON FUNCTION authkit.bare_partition IS
    'makes a table that attach_partition takes; false where there is one of the name';

CREATE FUNCTION authkit.attach_partition(
    parent text, key text, partition text, lower_bound text, upper_bound text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    spare CONSTANT text := 'authkit.' || quote_ident(parent || '_default');
    fresh CONSTANT text := 'authkit.' || quote_ident(partition);
    within CONSTANT text := quote_ident(key) || ' >= ' || quote_literal(lower_bound)
        || ' AND ' || quote_ident(key) || ' < ' || quote_literal(upper_bound);
    found_some boolean;
BEGIN
    -- ATTACH takes this lock anyway; taken now, no row can slip in behind the move.
    EXECUTE 'LOCK TABLE ' || spare || ' IN ACCESS EXCLUSIVE MODE';
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || spare || ' WHERE ' || within || ')' INTO found_some;
    IF found_some THEN
        EXECUTE 'ALTER TABLE ' || spare || ' DISABLE TRIGGER USER';
        EXECUTE 'WITH moved AS (DELETE FROM ' || spare || ' WHERE ' || within
            || ' RETURNING *) INSERT INTO ' || fresh || ' SELECT * FROM moved';
        EXECUTE 'ALTER TABLE ' || spare || ' ENABLE TRIGGER USER';
    END IF;
    EXECUTE 'ALTER TABLE authkit.' || quote_ident(parent) || ' ATTACH PARTITION ' || fresh
        || ' FOR VALUES FROM (' || quote_literal(lower_bound)
        || ') TO (' || quote_literal(upper_bound) || ')';
    -- pg_dump reads partitions by name, so the backup role needs each of them.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authkit_backup') THEN
        EXECUTE 'GRANT SELECT ON ' || fresh || ' TO authkit_backup';
    END IF;
END
$body$;
COMMENT ON FUNCTION authkit.attach_partition IS
    'indexes and attaches a bare partition, with what the default one holds of it';

CREATE FUNCTION authkit.add_partition(
    parent text, key text, partition text, lower_bound text, upper_bound text, is_open boolean
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    stray bigint;
BEGIN
    -- First of all: whoever has looked at the default partition holds a lock on it.
    PERFORM pg_advisory_xact_lock(hashtextextended('authkit.add_partition', 0));
    IF to_regclass('authkit.' || quote_ident(partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE 'SELECT count(*) FROM (SELECT FROM authkit.' || quote_ident(parent || '_default')
        || ' WHERE ' || quote_ident(key) || ' >= ' || quote_literal(lower_bound)
        || ' AND ' || quote_ident(key) || ' < ' || quote_literal(upper_bound)
        || ' LIMIT 10001) AS s' INTO stray;
    -- Rows of a time that is not over may still be arriving in the default partition,
    -- and moving many would hold them up: they wait until it is over.
    IF is_open AND stray > 10000 THEN
        RETURN false;
    END IF;
    -- Whoever is on the way to the default partition is refused there, or misses the row,
    -- once its place is elsewhere: they wait at the parent, and look for the place then.
    -- A weaker lock would deadlock with whoever has read, and goes on to write. Moving
    -- many rows takes long, and is left to a time that is over: nobody is held up for it.
    IF stray BETWEEN 1 AND 10000
        OR is_open AND lower_bound::timestamptz < statement_timestamp() + interval '1 hour'
    THEN
        EXECUTE 'LOCK TABLE ONLY authkit.' || quote_ident(parent)
            || ' IN ACCESS EXCLUSIVE MODE';
    END IF;
    IF NOT authkit.bare_partition(parent, partition) THEN
        RETURN false;
    END IF;
    PERFORM authkit.attach_partition(parent, key, partition, lower_bound, upper_bound);
    RETURN true;
END
$body$;
COMMENT ON FUNCTION authkit.add_partition IS
    'makes one partition and moves what the default one holds of it; false if it did not';

CREATE FUNCTION authkit.ensure_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $body$
DECLARE
    made integer := 0;
    at date;
    -- A time is not over for an hour: what began in it is settled meanwhile.
    today CONSTANT date := (statement_timestamp() - interval '1 hour')::date;
BEGIN
    IF first_day IS NULL OR last_day IS NULL OR last_day - first_day > 3660 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'partitions are made for ten years at most';
    END IF;
    -- The nearest first: for them the parent is locked, and after the default partition
    -- that would deadlock with whoever waits there.
    FOR at IN
        SELECT d::date FROM generate_series(first_day, last_day, interval '1 day') AS d
        ORDER BY greatest(d - statement_timestamp(),
            statement_timestamp() - (d + interval '1 day'))
    LOOP
        IF authkit.add_partition('auth_attempts', 'occurred_at',
            'auth_attempts_' || to_char(at, 'YYYYMMDD'),
            at || ' 00:00:00+00', (at + 1) || ' 00:00:00+00', at >= today)
        THEN
            made := made + 1;
        END IF;
    END LOOP;
    FOR at IN SELECT d::date FROM generate_series(
        date_trunc('month', first_day::timestamp), last_day, interval '1 month') AS d
        ORDER BY greatest(d - statement_timestamp(),
            statement_timestamp() - (d + interval '1 month'))
    LOOP
        IF to_regclass('authkit.audit_logs') IS NOT NULL
            AND authkit.add_partition('audit_logs', 'period',
                'audit_logs_' || to_char(at, 'YYYYMM'),
                at::text, (at + interval '1 month')::date::text,
                at >= date_trunc('month', today))
        THEN
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$body$;
COMMENT ON FUNCTION authkit.ensure_partitions IS
    'makes the partitions from one day to another, both included; returns how many were missing';

CREATE FUNCTION authkit.drop_attempt_partitions(before_day date) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $body$
DECLARE
    doomed text;
BEGIN
    IF before_day IS NULL OR before_day > current_date THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'today and the days to come are kept';
    END IF;
    FOR doomed IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'authkit.auth_attempts'::regclass
            AND c.relname ~ '^auth_attempts_[0-9]{8}$'
            AND substr(c.relname, 15)::date < before_day
        ORDER BY c.relname
    LOOP
        EXECUTE 'DROP TABLE authkit.' || quote_ident(doomed);
        RETURN NEXT doomed;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION authkit.drop_attempt_partitions IS
    'drops the daily partitions that end before a day; the default one is left alone';

REVOKE ALL ON FUNCTION authkit.bare_partition, authkit.attach_partition,
    authkit.add_partition, authkit.ensure_partitions, authkit.drop_attempt_partitions
    FROM PUBLIC;
