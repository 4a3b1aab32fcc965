-- What login scores are made of: counts of values that were accepted, per user and over
-- everybody, within a horizon. A value is named by a digest of its level and itself.
--
-- Counts over everybody would be hot rows: a login appends one row to risk_deltas, and
-- risk_merge adds up what has gathered there. A user's own counts are moved at once.

CREATE TABLE authkit.risk_logins (
    user_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    attempt_id uuid NOT NULL,
    facets bytea[] NOT NULL,
    CONSTRAINT risk_logins_pkey PRIMARY KEY (user_id, occurred_at, attempt_id)
);
CREATE INDEX risk_logins_by_time_idx ON authkit.risk_logins (occurred_at);
COMMENT ON TABLE authkit.risk_logins IS
    'completed logins that the counts hold now; they leave when the horizon passes';
COMMENT ON COLUMN authkit.risk_logins.facets IS
    'digest of each facet''s value, in the order of authkit.risk.FACETS; null: unknown';

CREATE TABLE authkit.risk_users (
    user_id uuid NOT NULL,
    logins bigint NOT NULL,
    CONSTRAINT risk_users_pkey PRIMARY KEY (user_id),
    CONSTRAINT risk_users_logins_counted_check CHECK (logins >= 0)
) WITH (fillfactor = 80);
COMMENT ON TABLE authkit.risk_users IS 'n_u: completed logins of a user in the horizon';

CREATE TABLE authkit.risk_user_counts (
    user_id uuid NOT NULL,
    key bytea NOT NULL,
    seen bigint NOT NULL,
    CONSTRAINT risk_user_counts_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT risk_user_counts_seen_counted_check CHECK (seen >= 0)
) WITH (fillfactor = 80);
COMMENT ON TABLE authkit.risk_user_counts IS 'c_u: logins of a user with a value';

CREATE TABLE authkit.risk_counts (
    key bytea NOT NULL,
    seen bigint NOT NULL,
    networks integer DEFAULT 0 NOT NULL,
    countries integer DEFAULT 0 NOT NULL,
    CONSTRAINT risk_counts_pkey PRIMARY KEY (key)
) WITH (fillfactor = 80);
-- A score reads fourteen of them: a bucket each instead of a way down a tree.
CREATE INDEX risk_counts_read_idx ON authkit.risk_counts USING hash (key);
COMMENT ON TABLE authkit.risk_counts IS 'c: logins of everybody with a value, as merged';
COMMENT ON COLUMN authkit.risk_counts.networks IS
    'of an address: how many networks it came with (rows of risk_pairs)';
COMMENT ON COLUMN authkit.risk_counts.countries IS
    'of an address: how many countries it came with (rows of risk_pairs)';

CREATE TABLE authkit.risk_pairs (
    key bytea NOT NULL,
    place smallint NOT NULL,
    above bytea NOT NULL,
    seen bigint NOT NULL,
    CONSTRAINT risk_pairs_pkey PRIMARY KEY (key, place, above)
) WITH (fillfactor = 80);
COMMENT ON TABLE authkit.risk_pairs IS
    'which networks (place 2) and countries (place 3) an address came with';

CREATE TABLE authkit.risk_totals (
    one boolean DEFAULT true NOT NULL,
    logins bigint DEFAULT 0 NOT NULL,
    users bigint DEFAULT 0 NOT NULL,
    distinct_values bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    merged_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT risk_totals_pkey PRIMARY KEY (one),
    CONSTRAINT risk_totals_one_row_check CHECK (one)
);
COMMENT ON TABLE authkit.risk_totals IS
    'N, |U| and the distinct values of each facet, as merged; one row';
INSERT INTO authkit.risk_totals (distinct_values) VALUES (array_fill(0::bigint, ARRAY[14]));

CREATE TABLE authkit.risk_deltas (
    attempt_id uuid NOT NULL,
    step smallint NOT NULL,
    users smallint DEFAULT 0 NOT NULL,
    facets bytea[] NOT NULL,
    CONSTRAINT risk_deltas_pkey PRIMARY KEY (attempt_id, step),
    CONSTRAINT risk_deltas_step_one_check CHECK (step IN (-1, 1))
);
COMMENT ON TABLE authkit.risk_deltas IS
    'logins that came or aged and are not in the counts over everybody yet';

CREATE FUNCTION authkit.risk_merge(most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    taken uuid[];
    steps smallint[];
    found bigint;
    moved bigint[] := array_fill(0::bigint, ARRAY[14]);
    emptied bytea[] := '{}';
    part record;
BEGIN
    IF most IS NULL OR most < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a merge takes at least one row';
    END IF;
    -- One merger at a time; another one finds nothing to do and says so.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('authkit.risk_merge', 0)) THEN
        RETURN 0;
    END IF;
    -- By id, and so by time: a login comes before its own ageing. Both halves of the key
    -- are kept, because a login that is taken here may age while this runs, and each
    -- statement would see that from then on.
    SELECT array_agg(d.attempt_id), array_agg(d.step) INTO taken, steps
    FROM (SELECT attempt_id, step FROM authkit.risk_deltas
          ORDER BY attempt_id, step DESC LIMIT most) AS d;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    FOR part IN
        WITH gone AS MATERIALIZED (
            SELECT d.step, d.facets FROM authkit.risk_deltas AS d
            JOIN unnest(taken, steps) AS t (attempt_id, step) USING (attempt_id, step)
        ), sums AS MATERIALIZED (
            SELECT k.place, k.key, sum(gone.step) AS step
            FROM gone, unnest(gone.facets) WITH ORDINALITY AS k (key, place)
            WHERE k.key IS NOT NULL
            GROUP BY k.place, k.key
        ), counted AS (
            INSERT INTO authkit.risk_counts AS c (key, seen)
            SELECT key, step FROM sums WHERE step <> 0 ORDER BY key
            ON CONFLICT (key) DO UPDATE SET seen = c.seen + excluded.seen
            RETURNING key, seen
        )
        SELECT sums.place,
               count(*) FILTER (WHERE counted.seen = sums.step)
               - count(*) FILTER (WHERE counted.seen = 0) AS more,
               array_agg(counted.key) FILTER (WHERE counted.seen = 0) AS emptied
        FROM counted JOIN sums ON sums.key = counted.key
        GROUP BY sums.place
    LOOP
        moved[part.place] := part.more;
        emptied := emptied || part.emptied;
    END LOOP;
    DELETE FROM authkit.risk_counts WHERE key = ANY (emptied) AND seen = 0;
    WITH pairs AS (
        SELECT d.facets[1] AS key, p.place, d.facets[p.place] AS above, sum(d.step) AS step
        FROM authkit.risk_deltas AS d
        JOIN unnest(taken, steps) AS t (attempt_id, step) USING (attempt_id, step)
        CROSS JOIN (VALUES (2), (3)) AS p (place)
        WHERE d.facets[1] IS NOT NULL AND d.facets[p.place] IS NOT NULL
        GROUP BY d.facets[1], p.place, d.facets[p.place]
    )
    INSERT INTO authkit.risk_pairs AS r (key, place, above, seen)
    SELECT key, place, above, step FROM pairs WHERE step <> 0
    ON CONFLICT (key, place, above) DO UPDATE SET seen = r.seen + excluded.seen;
    DELETE FROM authkit.risk_pairs AS r
    USING (SELECT DISTINCT d.facets[1] AS key FROM authkit.risk_deltas AS d
           JOIN unnest(taken, steps) AS t (attempt_id, step) USING (attempt_id, step)
           WHERE d.step < 0) AS d
    WHERE r.key = d.key AND r.seen = 0;
    UPDATE authkit.risk_counts AS c SET networks = p.networks, countries = p.countries
    FROM (SELECT d.key, count(*) FILTER (WHERE r.place = 2) AS networks,
                 count(*) FILTER (WHERE r.place = 3) AS countries
          FROM (SELECT DISTINCT d.facets[1] AS key FROM authkit.risk_deltas AS d
                JOIN unnest(taken, steps) AS t (attempt_id, step) USING (attempt_id, step)
                WHERE d.facets[1] IS NOT NULL) AS d
          LEFT JOIN authkit.risk_pairs AS r ON r.key = d.key
          GROUP BY d.key) AS p
    WHERE c.key = p.key AND (c.networks, c.countries) <> (p.networks, p.countries);
    WITH gone AS (
        DELETE FROM authkit.risk_deltas AS d
        USING unnest(taken, steps) AS t (attempt_id, step)
        WHERE (d.attempt_id, d.step) = (t.attempt_id, t.step)
        RETURNING d.step, d.users
    ), sums AS (
        SELECT count(*) AS taken, sum(step) AS logins, sum(users) AS users FROM gone
    )
    UPDATE authkit.risk_totals AS t
    SET logins = t.logins + sums.logins, users = t.users + sums.users,
        distinct_values = (
            SELECT array_agg(had + got ORDER BY place)
            FROM unnest(t.distinct_values, moved) WITH ORDINALITY AS v (had, got, place)),
        merged_at = clock_timestamp()
    FROM sums
    RETURNING sums.taken INTO found;
    RETURN found;
END
$body$;
COMMENT ON FUNCTION authkit.risk_merge IS
    'adds up to so many logins to the counts over everybody; returns how many it took';

CREATE FUNCTION authkit.risk_age(before timestamptz, most bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS MATERIALIZED (
        -- One at a time: two would lock the same users in different orders.
        SELECT l.user_id, l.occurred_at, l.attempt_id FROM authkit.risk_logins AS l,
            pg_try_advisory_xact_lock(hashtextextended('authkit.risk_age', 0)) AS mine
        WHERE mine AND l.occurred_at < before
        ORDER BY l.occurred_at LIMIT most
    ), gone AS (
        DELETE FROM authkit.risk_logins AS l USING old
        WHERE (l.user_id, l.occurred_at, l.attempt_id)
            = (old.user_id, old.occurred_at, old.attempt_id)
        RETURNING l.user_id, l.attempt_id, l.facets
    ), owners AS (
        SELECT u.user_id, count(*) AS logins
        FROM gone AS u GROUP BY u.user_id
    ), fewer AS (
        UPDATE authkit.risk_users AS u SET logins = u.logins - owners.logins
        FROM owners WHERE u.user_id = owners.user_id
        RETURNING u.user_id
    ), parts AS (
        SELECT gone.user_id, k.key, count(*) AS seen
        -- After `fewer`: a login locks the row of its user first, too.
        FROM gone JOIN fewer ON fewer.user_id = gone.user_id,
            unnest(gone.facets) AS k (key)
        WHERE k.key IS NOT NULL
        GROUP BY gone.user_id, k.key
    ), held AS MATERIALIZED (
        -- Locked, and so as they are now: a login may have come since this began.
        SELECT c.user_id, c.key, c.seen - parts.seen AS seen
        FROM authkit.risk_user_counts AS c
        JOIN parts ON c.user_id = parts.user_id AND c.key = parts.key
        FOR UPDATE OF c
    ), counted AS (
        UPDATE authkit.risk_user_counts AS c SET seen = held.seen FROM held
        WHERE (c.user_id, c.key) = (held.user_id, held.key) AND held.seen <> 0
    ), emptied AS (
        DELETE FROM authkit.risk_user_counts AS c USING held
        WHERE (c.user_id, c.key) = (held.user_id, held.key) AND held.seen = 0
    ), told AS (
        INSERT INTO authkit.risk_deltas (attempt_id, step, facets)
        SELECT attempt_id, -1, facets FROM gone
    )
    SELECT count(*) FROM gone
$body$;
COMMENT ON FUNCTION authkit.risk_age IS
    'forgets up to so many logins older than a time; returns how many they were';

-- global / local of one feature, its levels from fine to coarse; a null key is unknown.
-- The model is in authkit.risk.models.freeman2016, its weights are handed in.
CREATE FUNCTION authkit.risk_freeman_ratio(
    weights double precision[], own bigint[], everybody bigint[], distinct_values bigint[],
    under bigint[], n bigint, total bigint
) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    whole double precision := 0;
    breadth double precision := 1;
    within double precision := 1;
    background double precision := 0;
    mine double precision := 0;
    share double precision;
    c double precision;
BEGIN
    FOR i IN 1 .. cardinality(weights) LOOP
        CONTINUE WHEN own[i] IS NULL;
        whole := whole + weights[i];
        IF i > 1 THEN
            breadth := breadth + distinct_values[i];
            within := within + under[i];
        END IF;
    END LOOP;
    IF whole = 0 THEN
        RETURN NULL;
    END IF;
    FOR i IN REVERSE cardinality(weights) .. 1 LOOP
        CONTINUE WHEN own[i] IS NULL;
        share := weights[i] / whole;
        c := greatest(everybody[i], own[i]);
        IF i > 1 THEN
            background := background + share * c / total;
        ELSIF c = 0 THEN
            background := background + share / (total + breadth);
        ELSE
            background := background + share * c / (total + breadth) * c / (c + within);
        END IF;
        mine := mine + share * own[i] / n;
    END LOOP;
    RETURN CASE WHEN mine = 0 THEN 4 ELSE background / mine END;
END
$body$;
COMMENT ON FUNCTION authkit.risk_freeman_ratio IS
    'p(x_f) / p(x_f | u, L) of Freeman et al., NDSS 2016, for one feature';

REVOKE ALL ON FUNCTION authkit.risk_merge, authkit.risk_age, authkit.risk_freeman_ratio
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION authkit.risk_freeman_ratio TO authkit_app;
GRANT EXECUTE ON FUNCTION authkit.risk_merge, authkit.risk_age TO authkit_maintenance;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    authkit.risk_logins, authkit.risk_users, authkit.risk_user_counts TO authkit_app;
GRANT INSERT ON authkit.risk_deltas TO authkit_app;
GRANT SELECT ON authkit.risk_counts, authkit.risk_totals TO authkit_app;
GRANT SELECT ON authkit.risk_logins, authkit.risk_users, authkit.risk_user_counts,
    authkit.risk_counts, authkit.risk_pairs, authkit.risk_totals, authkit.risk_deltas
    TO authkit_backup;

DO $body$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON authkit.risk_logins, authkit.risk_users,'
            || ' authkit.risk_user_counts, authkit.risk_counts, authkit.risk_pairs,'
            || ' authkit.risk_totals, authkit.risk_deltas TO authkit_maintenance';
    END IF;
END
$body$;
