from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest

from authkit.analysis import Frames
from authkit.lab import Lab
from authkit.risk import PastOnly
from authkit.workload.load import SeedSummary, seed

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAME = "analysis_world"


@dataclass(frozen=True, slots=True)
class Seeded:
    """A small world that the tests of this room read and never change."""

    url: str
    replica_url: str
    summary: SeedSummary

    def frames(self, *, masked: bool = True, **options: object) -> Frames:
        said: Callable[[str], None] = lambda text: None  # noqa: E731 # quiet
        given: dict[str, object] = {"say": said, "now": lambda: END, **options}
        return Frames(lambda: self.replica_url, masked=masked, **given)  # type: ignore[arg-type] # options of Frames

    def fetch(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="session")
def seeded(pair: Lab, template_db: str) -> Iterator[Seeded]:
    pair.create_database(NAME, template=template_db)
    url = pair.url(database=NAME)
    summary = seed(url, users=250, days=14, seed=5, end=END, score=PastOnly())
    pair.wait_replayed()
    yield Seeded(url, pair.url("replica", database=NAME), summary)
    pair.drop_database(NAME)
