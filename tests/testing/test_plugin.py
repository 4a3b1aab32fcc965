from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from authkit.lab import Lab
    from authkit.settings import Settings
    from authkit.testing.plugin import Database


def _table_count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'authkit'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_database_has_the_schema_on_both_nodes(database: Database) -> None:
    assert _table_count(database.url) == _table_count(database.replica_url) > 0


def test_settings_name_the_primary_first_and_then_the_replica(
    settings: Settings, pair: Lab, database: Database
) -> None:
    urls = [url.get_secret_value() for url in settings.urls]
    assert urls == [database.url, database.replica_url]
    assert f":{pair.server('primary').port}/" in urls[0]
    assert f":{pair.server('replica').port}/" in urls[1]


def test_database_is_dropped_although_a_connection_is_left(pair: Lab) -> None:
    pair.create_database("left_open")
    pair.wait_replayed()
    with psycopg.connect(pair.url(database="left_open"), autocommit=True):
        pair.drop_database("left_open")
    assert pair.sql("SELECT 1 FROM pg_database WHERE datname = 'left_open'") == []
