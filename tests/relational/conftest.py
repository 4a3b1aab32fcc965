from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import authkit
from authkit.ids import uuid7
from authkit.schema.relational import User
from authkit.settings import Settings
from authkit.testing.plugin import Database


@pytest.fixture(scope="module")
def database(pair, template_db) -> Iterator[Database]:
    """One database for a whole module: its tests tell their users apart."""
    name = f"relational_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    yield Database(
        name,
        pair.url("primary", database=name),
        pair.url("replica", database=name),
    )
    pair.drop_database(name)


@pytest.fixture(scope="module")
def module_settings(database) -> Settings:
    """Settings of the module's database."""
    return Settings.load(
        env_file=None,
        database_url=database.url,
        database_replica_urls=(database.replica_url,),
    )


@pytest.fixture(scope="module")
def kit(module_settings) -> Iterator[authkit.Kit]:
    """A kit on the module's database, primary and replica."""
    with authkit.connect(module_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def superuser(database) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the owner, for what no repository may do."""
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def email() -> str:
    """An address that no other test uses."""
    return f"ann.{uuid7().hex}@example.com"


@pytest.fixture
def word() -> str:
    """A name that no other test uses."""
    return f"w{uuid7().hex}"


@pytest.fixture
def user(kit, email) -> User:
    """A user."""
    with kit.unit_of_work() as uow:
        return uow.users.create(email, name="Ann")


@pytest.fixture(scope="module")
def sealed_by(module_settings) -> Callable[..., authkit.Kit]:
    """Make a kit of the module's database that seals with keys; the first one seals."""

    def connect(**keys: bytes) -> authkit.Kit:
        ring = ",".join(f"{k}:{b64encode(v).decode()}" for k, v in keys.items())
        given = module_settings.model_dump() | {"authkit_sealing_keys": ring}
        return authkit.connect(Settings.load(env_file=None, **given))

    return connect
