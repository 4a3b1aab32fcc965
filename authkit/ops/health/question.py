"""What a node is asked about its health: two questions, sent in one round trip.

The first needs no right beyond a login: what a role may not see comes back as null. The
second names tables, which may be missing or closed to the role: it may fail alone.
"""

from __future__ import annotations

from typing import LiteralString

# Position of this node, whatever its role; a primary's timeline is that of the segment
# it writes, a replica's that of the stream it receives.
QUESTION: LiteralString = r"""
WITH here AS (
  SELECT pg_is_in_recovery() AS replica,
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
              ELSE pg_current_wal_insert_lsn() END AS lsn,
         CASE WHEN pg_is_in_recovery()
              THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
              ELSE pg_current_wal_insert_lsn() END AS reached
), ours AS (
  SELECT c.oid, c.relname, c.relkind, c.relispartition
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname = 'authkit' AND c.relkind IN ('r', 'p')
     AND has_schema_privilege(n.oid, 'USAGE')
)
SELECT jsonb_build_object(
  'replica', h.replica,
  'version', current_setting('server_version'),
  'version_number', current_setting('server_version_num')::integer,
  'system', (SELECT system_identifier::text FROM pg_control_system()),
  'started', extract(epoch FROM pg_postmaster_start_time()),
  'now', extract(epoch FROM clock_timestamp()),
  'timeline', CASE WHEN h.replica
      THEN coalesce((SELECT max(received_tli) FROM pg_stat_wal_receiver),
                    (SELECT timeline_id FROM pg_control_checkpoint()))
      ELSE ('x' || substr(pg_walfile_name(h.lsn), 1, 8))::bit(32)::integer END,
  'lsn_bytes', h.lsn - '0/0'::pg_lsn,
  'behind_bytes', h.reached - h.lsn,
  'streaming', EXISTS (SELECT FROM pg_stat_wal_receiver),
  'replay_paused', h.replica AND pg_is_wal_replay_paused(),
  'settings', (SELECT jsonb_object_agg(s, current_setting(s, true)) FROM unnest(ARRAY[
      'synchronous_commit', 'synchronous_standby_names', 'wal_level',
      'data_checksums', 'archive_mode', 'fsync', 'full_page_writes',
      'autovacuum', 'autovacuum_freeze_max_age', 'max_connections',
      'superuser_reserved_connections']) AS s),
  'standbys', CASE WHEN NOT h.replica THEN
      (SELECT count(*) FROM pg_stat_replication) END,
  'confirming', CASE WHEN NOT h.replica
      AND pg_has_role('pg_read_all_stats', 'USAGE') THEN
      (SELECT count(*) FROM pg_stat_replication
        WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')) END,
  'archive_failing', coalesce((SELECT failed_count > 0 AND
      last_failed_time > coalesce(last_archived_time, '-infinity')
      FROM pg_stat_archiver), false),
  'archived_ago_s', (SELECT extract(epoch FROM now() - last_archived_time)
      FROM pg_stat_archiver),
  'connections', (SELECT count(*) FROM pg_stat_activity
      WHERE backend_type = 'client backend'),
  'longest_transaction_s', (SELECT extract(epoch FROM max(now() - xact_start))
      FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
  'longest_idle_s', (SELECT extract(epoch FROM max(now() - state_change))
      FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'),
  'prepared_s', (SELECT extract(epoch FROM max(now() - prepared))
      FROM pg_prepared_xacts),
  'xid_age', (SELECT max(age(datfrozenxid)) FROM pg_catalog.pg_database),
  'slots', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'name', slot_name, 'active', active, 'wal_status', wal_status,
      'held_bytes', h.reached - restart_lsn)) FROM pg_replication_slots), '[]'),
  'tables', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'name', s.relname, 'live', s.n_live_tup, 'dead', s.n_dead_tup,
      'updates', s.n_tup_upd, 'hot', s.n_tup_hot_upd))
      FROM pg_stat_user_tables AS s JOIN ours AS o ON o.oid = s.relid
      WHERE s.n_dead_tup > 0 OR s.n_tup_upd > 0), '[]'),
  'days', coalesce((SELECT jsonb_agg(right(relname, 8) ORDER BY relname) FROM ours
      WHERE relispartition AND relname ~ '^auth_attempts_[0-9]{8}$'), '[]')
)
FROM here AS h
"""

# Each age is that of the first row of an index.
SCHEMA_QUESTION: LiteralString = """
SELECT (SELECT version_num FROM authkit.alembic_version) AS revision,
       jsonb_strip_nulls(jsonb_build_object(
         'active_sessions', (SELECT extract(epoch FROM now() - min(expires_at))
            FROM authkit.active_sessions),
         'oauth_state_tracking', (SELECT extract(epoch FROM now() - min(expires_at))
            FROM authkit.oauth_state_tracking),
         'oauth_auth_codes', (SELECT extract(epoch FROM now() - min(expires_at))
            FROM authkit.oauth_auth_codes),
         'oauth_token_families', (SELECT extract(epoch FROM now() - min(expires_at))
            FROM authkit.oauth_token_families)
       )) AS unpurged_s
"""
