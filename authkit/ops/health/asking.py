"""Ask every node at once, each in a thread of its own and once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import perf_counter, time

import psycopg
from psycopg.rows import TupleRow

from authkit.cluster.credentials import login_urls
from authkit.cluster.status import ClusterStatus
from authkit.errors import AuthkitError, ConfigError
from authkit.ops.connection import connect, named, where
from authkit.ops.findings import Finding, Level
from authkit.ops.health.counting import counted
from authkit.ops.health.judging import judge, judge_client
from authkit.ops.health.question import QUESTION, SCHEMA_QUESTION
from authkit.ops.health.values import Answer, Carried, Condition, Health, Unreachable
from authkit.ops.migrate import head_revision
from authkit.settings import Settings

_PATIENCE = timedelta(seconds=5)

# Without these the service does not serve; every other fault is one to mend.
_DOWN = frozenset({"no_primary", "two_primaries", "foreign_node", "writes_wait"})


def look(settings: Settings, *, client: ClusterStatus | None = None) -> Health:
    """Ask the nodes of the settings and judge what they say.

    Args:
        settings: which nodes.
        client: what this process's own connections look like, if it has some.

    Raises:
        ConfigError: DATABASE_URL is not set.
        Unavailable: the password command failed.
    """
    urls = login_urls(settings)
    began = perf_counter()
    found = ask_all(urls)
    return health_of(found, seconds=perf_counter() - began, client=client)


def ask_all(urls: Sequence[str]) -> tuple[Answer | Unreachable, ...]:
    """Ask nodes at once; one that is slow or dead holds up none of the others."""
    with ThreadPoolExecutor(len(urls), thread_name_prefix="authkit-health") as threads:
        return tuple(threads.map(_ask, urls))


def health_of(
    found: Iterable[Answer | Unreachable],
    *,
    seconds: float,
    client: ClusterStatus | None = None,
) -> Health:
    """Judge what was found; pure but for the clock and the newest revision's name.

    Args:
        found: one answer, or why there is none, for each node that was asked.
        seconds: how long the asking took, for the report.
        client: how a cluster of this process sees its nodes; None: it is not judged.
    """
    found = tuple(found)
    answers = tuple(each for each in found if isinstance(each, Answer))
    lost = tuple(each for each in found if isinstance(each, Unreachable))
    now = datetime.now(UTC)
    findings = (
        *judge(answers, lost, today=now.date(), head=head_revision()),
        *(judge_client(client) if client is not None else ()),
    )
    return Health(
        at=now,
        seconds=seconds,
        condition=_condition(findings),
        answers=answers,
        unreachable=lost,
        findings=findings,
        open=client is None or not client.closed,
    )


def _condition(findings: Iterable[Finding]) -> Condition:
    bad = {f.name for f in findings if f.level is Level.FAULT}
    if bad & _DOWN:
        return Condition.DOWN
    return Condition.DEGRADED if bad else Condition.HEALTHY


def _ask(url: str) -> Answer | Unreachable:
    try:
        with connect(url, statement_timeout=_PATIENCE) as connection:
            sent = time()
            with counted(connection.pgconn) as trips:
                row, carried = _both(connection)
            received = time()
    except ConfigError as exc:
        return Unreachable(where(url), "; ".join(exc.problems))
    except AuthkitError as exc:
        return Unreachable(where(url), str(exc))
    except psycopg.Error as exc:
        return Unreachable(where(url), str(named(exc)))
    if row is None:
        return Unreachable(where(url), "it gave no answer")
    return Answer.read(
        row[0], carried, where=where(url), sent=sent, received=received,
        round_trips=trips(),
    )  # fmt: skip


def _both(connection: psycopg.Connection) -> tuple[TupleRow | None, Carried]:
    answer, schema = connection.cursor(), connection.cursor()
    carried = Carried()
    try:
        with connection.pipeline():
            answer.execute(QUESTION)
            schema.execute(SCHEMA_QUESTION)
        found = schema.fetchone()
        if found is not None:
            carried = Carried(found[0], found[1])
    except psycopg.errors.InsufficientPrivilege:
        carried = Carried(closed=True)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        pass  # never migrated: there is nothing of ours
    return answer.fetchone(), carried
