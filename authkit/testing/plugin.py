"""pytest fixtures: a running primary and replica, and a fresh database per test.

`pair` is one lab for the whole session. `database` is a clone of a template that was
migrated once, on both nodes, dropped after the test. `settings` points at that clone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from authkit.lab import Lab
    from authkit.settings import Settings

_TEMPLATE = "authkit_template"


@dataclass(frozen=True, slots=True)
class Database:
    """One test's own database: its name, and its URL on the primary and replica."""

    name: str
    url: str
    replica_url: str


def memory_folder() -> Path | None:
    """Return the folder in memory for labs of tests; None where there is no room."""
    from authkit.lab.places import memory_root

    return memory_root()


@pytest.fixture(scope="session")
def pair() -> Iterator[Lab]:
    """One primary and one synchronous replica, running for the whole session.

    A test that kills, freezes or promotes a node must use a lab of its own.
    """
    from authkit.lab import cluster

    # Tests kill processes, not machines: without fsync nothing is lost and all is
    # faster.
    with cluster(replicas=1, config={"fsync": "off"}, in_memory=True) as lab:
        yield lab


@pytest.fixture(scope="session")
def template_db(pair: Lab) -> str:
    """The name of a database with the newest schema, to clone and not to use."""
    from authkit.ops.migrate import upgrade

    pair.create_database(_TEMPLATE)
    upgrade(pair.url(database=_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database(pair: Lab, template_db: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own, present on both nodes."""
    name = f"test_{secrets.token_hex(6)}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    yield Database(
        name,
        pair.url("primary", database=name),
        pair.url("replica", database=name),
    )
    pair.drop_database(name)


@pytest.fixture
def settings(database: Database) -> Settings:
    """Settings of the test's database: the primary and its replica."""
    from authkit.settings import Settings

    return Settings.load(
        env_file=None,
        database_url=database.url,
        database_replica_urls=(database.replica_url,),
    )
