from __future__ import annotations

from collections.abc import Iterator

import pytest

from authkit.lab import Lab
from authkit.risk import PastOnly
from authkit.workload.load import seed

NAME = "notebook_world"


@pytest.fixture(scope="session")
def nodes(pair: Lab, template_db: str) -> Iterator[dict[str, str]]:
    """The variables of a small world on the running pair, as a kernel gets them."""
    pair.create_database(NAME, template=template_db)
    seed(pair.url(database=NAME), users=400, days=14, seed=3, score=PastOnly())
    pair.wait_replayed()
    yield {
        "DATABASE_URL": pair.url(database=NAME),
        "DATABASE_REPLICA_URLS": pair.url("replica", database=NAME),
    }
    pair.drop_database(NAME)
