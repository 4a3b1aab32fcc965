"""`authkit leakcheck`: issue every secret in a lab, then look for them everywhere.

Where a thief looks: a dump of the database, the server's log and its statement
statistics; the log of the application at its most talkative; every repr and error.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from time import perf_counter
from typing import TYPE_CHECKING

from authkit.cluster import Cluster
from authkit.crypto import KeyRing
from authkit.errors import AuthkitError
from authkit.figures import Report, figure
from authkit.lab import cluster
from authkit.ops.database import setup
from authkit.ops.leakcheck.searching import Canary, Leak, search
from authkit.ops.leakcheck.singing import Stage, sing
from authkit.settings import Settings

if TYPE_CHECKING:
    from authkit.lab import Lab

_LOGGERS = ("", "authkit", "psycopg", "psycopg.pool", "sqlalchemy.engine")
_STATISTICS = "SELECT string_agg(query, chr(10)) FROM pg_stat_statements"
# Every statement with its parameters is what a careless operator may switch on; here
# it is what the server logs of an error by itself.
_SERVER = {"log_min_error_statement": "error", "log_error_verbosity": "verbose"}


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """How many secrets were looked for in how many places, and what was found.

    `untried` are operations with a secret in them that the check does not know.
    """

    started: datetime
    seconds: float
    postgres: str
    canaries: int
    places: int
    searched_bytes: int
    leaks: tuple[Leak, ...]
    untried: tuple[str, ...] = ()

    def report(self) -> Report:
        """Return the figures."""
        return Report(
            "leakcheck",
            self.started,
            self.seconds,
            (
                figure("leaks", len(self.leaks), goal=("==", 0)),
                figure("operations_untried", len(self.untried), goal=("==", 0)),
                figure("secrets", self.canaries),
                figure("places", self.places),
                figure("searched", self.searched_bytes, "bytes"),
            ),
            postgres=self.postgres,
            extra={
                "leaks": [
                    {"secret": x.canary, "place": x.place, "form": x.form}
                    for x in self.leaks
                ],
                "untried": list(self.untried),
            },
        )


def leakcheck() -> LeakCheck:
    """Check in a lab of its own, which is removed.

    Raises:
        AuthkitError: an operation failed, so that the check proves nothing.
    """
    started, began = datetime.now(UTC), perf_counter()
    with cluster(replicas=0, config=_SERVER, in_memory=True) as lab:
        setup(lab.url())
        ring = KeyRing.random()
        settings = Settings.load(None, database_url=lab.url())
        with logged() as log:
            stage = _sing(settings, ring)
        stage.canary("password of the database", lab.state.password)
        for number, (_, key) in enumerate(ring.keys):
            text = base64.b64encode(key).decode()
            stage.canary(f"sealing key {number}", text)
        stage.show("settings", settings)
        stage.show("lab", lab)
        places = [*stage.seen, ("log of the application", log.getvalue()), *_of(lab)]
        version = lab.state.version
    leaks = [x for place, text in places for x in search(stage.canaries, place, text)]
    _require_searched(stage.canaries, places)
    return LeakCheck(
        started,
        perf_counter() - began,
        version,
        len(stage.canaries),
        len(places),
        sum(len(text) for _, text in places),
        tuple(leaks),
        stage.silent,
    )


@contextmanager
def logged() -> Generator[StringIO]:
    """Catch everything that is logged, at the most talkative level."""
    said = StringIO()
    handler = logging.StreamHandler(said)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        yield said
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
        loggers[0].removeHandler(handler)


def _sing(settings: Settings, ring: KeyRing) -> Stage:
    pools = Cluster(settings)
    try:
        pools.open()
        return sing(pools, ring)
    finally:
        pools.close()


def _of(lab: Lab) -> Iterable[tuple[str, str]]:
    server = lab.server()
    yield "dump of the database", server.run("pg_dump", ["-d", server.conninfo()])
    yield "log of the server", server.log.read_text(errors="replace")
    yield "statistics of statements", str(lab.sql(_STATISTICS)[0][0])


def _require_searched(
    canaries: Iterable[Canary], places: Iterable[tuple[str, str]]
) -> None:
    """Refuse a check that looked for nothing, or nowhere."""
    empty = [place for place, text in places if place.startswith("dump") and not text]
    if empty or not tuple(canaries):
        raise AuthkitError("there was nothing to search: the check proves nothing")
