"""Databases without our schema, for what makes, changes and judges it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from authkit.lab import Lab
from authkit.ops.migrate import upgrade


@pytest.fixture
def empty_url(pair: Lab) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    name = f"empty_{secrets.token_hex(6)}"
    pair.create_database(name)
    yield pair.url(database=name)
    pair.drop_database(name)


@pytest.fixture(scope="session")
def migrated_url(pair: Lab, template_db: str) -> Iterator[str]:
    """A migrated database that tests share: they roll back, or only read."""
    name = "ops_tests"
    pair.create_database(name, template=template_db)
    upgrade(pair.url(database=name))
    yield pair.url(database=name)
    pair.drop_database(name)
