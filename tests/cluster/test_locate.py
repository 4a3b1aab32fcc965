"""Where to write, asked once: whoever leads, whichever URL comes first."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from authkit.cluster.epochs import Epoch, EpochFile
from authkit.cluster.locate import writer_url
from authkit.errors import NoPrimary
from authkit.lab import Lab
from authkit.settings import Settings


def port(url: str) -> str:
    return str(conninfo_to_dict(url)["port"])


def swapped(pair: Lab, *, database: str = "authkit", **more: object) -> Settings:
    """Return settings in which the replica comes first, as after a failover."""
    return Settings.model_validate(
        {
            "database_url": pair.url("replica", database=database),
            "database_replica_urls": pair.url(database=database),
            **more,
        }
    )


def test_the_primary_is_found_behind_a_replica(pair: Lab) -> None:
    found = writer_url(swapped(pair))
    assert port(found) == port(pair.url())
    with psycopg.connect(found) as connection:
        answer = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    assert answer == (False,)


def test_it_is_found_before_its_database_is_made(pair: Lab) -> None:
    found = conninfo_to_dict(writer_url(swapped(pair, database="not_made_yet")))
    assert (found["port"], found["dbname"]) == (port(pair.url()), "not_made_yet")


def test_a_primary_that_was_left_behind_is_none(pair: Lab, tmp_path: Path) -> None:
    kept = EpochFile(tmp_path / "epoch")
    with psycopg.connect(pair.url()) as connection:
        row = connection.execute(
            "SELECT system_identifier::text FROM pg_control_system()"
        ).fetchone()
    assert row is not None
    kept.keep(Epoch(row[0], 99))
    with pytest.raises(NoPrimary, match="timeline 99"):
        writer_url(swapped(pair, authkit_epoch_file=kept.path))


def test_where_none_answers_whoever_connects_is_told_why() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    settings = Settings.model_validate(
        {
            "database_url": nowhere,
            "database_replica_urls": nowhere.replace(":1/", ":2/"),
        }
    )
    assert writer_url(settings) == nowhere
