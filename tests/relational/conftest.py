from __future__ import annotations

from collections.abc import Iterator

import pytest

import authkit


@pytest.fixture
def kit(settings) -> Iterator[authkit.Kit]:
    """A kit on the test's own database, primary and replica."""
    with authkit.connect(settings) as opened:
        yield opened
