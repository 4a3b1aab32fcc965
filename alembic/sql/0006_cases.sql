-- An analyst's cases: a window of time in which each person has a pseudonym that means
-- nothing anywhere else, and what analysts found out about attempts.

CREATE TABLE authkit.cases (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT cases_pkey PRIMARY KEY (id),
    CONSTRAINT cases_name_key UNIQUE (name),
    CONSTRAINT cases_name_length_check CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT cases_window_check CHECK (since < until),
    CONSTRAINT cases_inner_key_length_check CHECK (octet_length(inner_key) = 32),
    CONSTRAINT cases_outer_key_length_check CHECK (octet_length(outer_key) = 32)
);
COMMENT ON TABLE authkit.cases IS
    'windows of time that analysts look into, with keys of their own; never granted';

CREATE TABLE authkit.case_pseudonyms (
    case_id uuid NOT NULL,
    user_id uuid NOT NULL,
    pseudonym text NOT NULL,
    CONSTRAINT case_pseudonyms_pkey PRIMARY KEY (case_id, user_id),
    CONSTRAINT case_pseudonyms_case_id_pseudonym_key UNIQUE (case_id, pseudonym),
    CONSTRAINT case_pseudonyms_case_id_fkey FOREIGN KEY (case_id)
        REFERENCES authkit.cases (id) ON DELETE CASCADE
);
COMMENT ON TABLE authkit.case_pseudonyms IS
    'who is who in a case: drawn at random, so that nothing but this table tells it';

CREATE TABLE authkit.attempt_labels (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    attempt_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    label text NOT NULL,
    note text,
    case_id uuid,
    author text NOT NULL,
    labelled_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT attempt_labels_pkey PRIMARY KEY (id),
    CONSTRAINT attempt_labels_case_id_fkey FOREIGN KEY (case_id)
        REFERENCES authkit.cases (id) ON DELETE CASCADE,
    CONSTRAINT attempt_labels_label_slug_check
        CHECK (octet_length(label) <= 63 AND ascii(label) BETWEEN 97 AND 122
            AND btrim(label, 'abcdefghijklmnopqrstuvwxyz0123456789_.-') = ''),
    CONSTRAINT attempt_labels_note_length_check CHECK (char_length(note) BETWEEN 1 AND 2000)
);
CREATE INDEX attempt_labels_attempt_id_idx ON authkit.attempt_labels (attempt_id);
CREATE INDEX attempt_labels_case_id_idx ON authkit.attempt_labels (case_id);
COMMENT ON TABLE authkit.attempt_labels IS
    'what somebody found out about an attempt, and when; a later label goes before';

CREATE FUNCTION authkit.open_case(name_ text, since_ timestamptz, until_ timestamptz)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    made uuid;
BEGIN
    IF until_ > now() THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a case ends now or earlier: whoever comes later has no pseudonym';
    END IF;
    -- Whoever is being erased is waited for, or waits and ends the pseudonym drawn here.
    LOCK TABLE authkit.case_pseudonyms IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO authkit.cases (name, since, until, inner_key, outer_key, opened_by)
    VALUES (name_, since_, until_,
        sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
        sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
        session_user)
    RETURNING id INTO made;
    INSERT INTO authkit.case_pseudonyms (case_id, user_id, pseudonym)
    SELECT made, u.user_id,
        encode(substr(sha256(uuid_send(gen_random_uuid())
            || uuid_send(gen_random_uuid())), 1, 16), 'hex')
    FROM (
        SELECT DISTINCT a.user_id FROM authkit.auth_attempts AS a
        WHERE a.occurred_at >= since_ AND a.occurred_at < until_
            AND a.user_id IS NOT NULL
    ) AS u
    -- Attempts read from a log may name people of whom there is no row.
    WHERE NOT EXISTS (
        SELECT FROM authkit.users AS e WHERE e.id = u.user_id AND e.erased_at IS NOT NULL
    );
    RETURN made;
END
$body$;
COMMENT ON FUNCTION authkit.open_case IS
    'makes a case and draws a pseudonym for everybody in its window but the erased';

CREATE FUNCTION authkit.label_attempts(
    case_ uuid, attempts uuid[], label_ text, note_ text
) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH made AS (
        INSERT INTO authkit.attempt_labels
            (attempt_id, occurred_at, label, note, case_id, author)
        SELECT a.id, a.occurred_at, label_, note_, c.id, session_user
        FROM authkit.cases AS c
        JOIN authkit.auth_attempts AS a
            ON a.occurred_at >= c.since AND a.occurred_at < c.until
        WHERE c.id = case_ AND a.id = ANY (attempts)
        RETURNING attempt_id
    )
    SELECT count(*) FROM made;
END;
COMMENT ON FUNCTION authkit.label_attempts IS
    'labels attempts of a case as the session''s user; returns how many it found';

-- The one way back from a pseudonym to a person. It cannot be taken without an entry in
-- the trail: both are one transaction.
CREATE FUNCTION authkit.unmask(case_ uuid, pseudonym_ text, reason_ text)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    found_one uuid;
BEGIN
    IF coalesce(char_length(btrim(reason_)), 0) NOT BETWEEN 3 AND 500 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'unmasking needs a reason';
    END IF;
    SELECT p.user_id INTO found_one FROM authkit.case_pseudonyms AS p
    WHERE p.case_id = case_ AND p.pseudonym = pseudonym_;
    IF found_one IS NULL THEN
        RETURN NULL;
    END IF;
    -- Written as RFC 8785 asks: names in order, no space.
    PERFORM authkit.audit_append(0, convert_to(
        '{"action":"case.unmask","actor":' || to_json('database:' || session_user)::text
        || ',"details":{"case":' || to_json(case_)::text
        || ',"reason":' || to_json(btrim(reason_))::text
        || '},"outcome":"succeeded","target":' || to_json('user:' || found_one)::text
        || '}', 'UTF8'));
    RETURN found_one;
END
$body$;
COMMENT ON FUNCTION authkit.unmask IS
    'says who a pseudonym of a case is, and writes that into the audit trail';

-- Whoever is erased is nobody in any case: their attempts stay, under no pseudonym.
CREATE FUNCTION authkit.forget_pseudonyms()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    DELETE FROM authkit.case_pseudonyms AS p WHERE p.user_id = NEW.id;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION authkit.forget_pseudonyms IS
    'ends the pseudonyms of a user who is erased';
CREATE TRIGGER users_forget_pseudonyms AFTER UPDATE OF erased_at ON authkit.users
    FOR EACH ROW WHEN (OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL)
    EXECUTE FUNCTION authkit.forget_pseudonyms();

REVOKE ALL ON FUNCTION authkit.open_case, authkit.label_attempts, authkit.unmask,
    authkit.forget_pseudonyms FROM PUBLIC;

CREATE VIEW authkit.cases_masked WITH (security_barrier) AS
SELECT c.id, c.name, c.since, c.until, c.opened_by, c.opened_at
FROM authkit.cases AS c;
COMMENT ON VIEW authkit.cases_masked IS 'cases without their keys';

CREATE VIEW authkit.case_attempts_masked WITH (security_barrier) AS
SELECT c.id AS case_id,
    a.occurred_at,
    a.id,
    p.pseudonym AS user_token,
    authkit.address_prefix(a.ip) AS ip_prefix,
    authkit.keyed_token(c.inner_key, c.outer_key, 'ip', inet_send(a.ip)) AS ip_token,
    a.asn,
    a.country,
    a.user_agent,
    authkit.keyed_token(c.inner_key, c.outer_key, 'device', a.device_fingerprint)
        AS device_token,
    a.client_id,
    a.stage,
    a.method,
    a.outcome,
    a.failure_reason,
    a.risk_score,
    a.risk_model,
    a.risk_model_version
FROM authkit.cases AS c
JOIN authkit.auth_attempts AS a ON a.occurred_at >= c.since AND a.occurred_at < c.until
LEFT JOIN authkit.case_pseudonyms AS p ON p.case_id = c.id AND p.user_id = a.user_id;
COMMENT ON VIEW authkit.case_attempts_masked IS
    'attempts of a case: people, devices and addresses as that case alone knows them';

CREATE VIEW authkit.labels_masked WITH (security_barrier) AS
SELECT l.case_id, l.attempt_id, l.occurred_at, l.label, l.note, l.author, l.labelled_at
FROM authkit.attempt_labels AS l;
COMMENT ON VIEW authkit.labels_masked IS 'what analysts found out about attempts';

GRANT SELECT ON authkit.cases_masked, authkit.case_attempts_masked, authkit.labels_masked
    TO authkit_analyst;
GRANT EXECUTE ON FUNCTION authkit.label_attempts TO authkit_analyst;
GRANT EXECUTE ON FUNCTION authkit.open_case, authkit.unmask TO authkit_maintenance;
GRANT SELECT ON authkit.cases, authkit.case_pseudonyms, authkit.attempt_labels,
    authkit.cases_masked, authkit.case_attempts_masked, authkit.labels_masked
    TO authkit_backup;
DO $body$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON authkit.cases, authkit.case_pseudonyms,'
            ' authkit.attempt_labels TO authkit_maintenance';
    END IF;
END
$body$;
