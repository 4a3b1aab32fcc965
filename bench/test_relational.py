"""The relational layer beside the same work without it: ratios, taken in turns.

    uv run pytest bench/test_relational.py

Each ratio is of medians (or rates) of arms that take turns in one run, and is printed
beside its goal. The organisation has 20,000 users; AUTHKIT_BENCH_USERS=1000000 makes
it a million, AUTHKIT_BENCH_ENTRIES=1000000 as many audit entries.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy
from psycopg.raw_cursor import RawCursor
from sqlalchemy.orm import Session
from telling import told

import authkit
from authkit.hot import auth_cache
from authkit.relational import verification
from authkit.schema.audit import AUDIT_SHARDS
from authkit.schema.relational import User
from authkit.settings import Settings

USERS = int(os.environ.get("AUTHKIT_BENCH_USERS", "20000"))
ENTRIES = int(os.environ.get("AUTHKIT_BENCH_ENTRIES", "16000"))
ROLES, PERMISSIONS, CHECKED = 50, 500, 100
APPENDERS, APPENDS = 16, 200
BLOCK = 1000
ORM_OPERATIONS = 200

ORGANISATION = """
INSERT INTO authkit.roles (id, name)
SELECT gen_random_uuid(), 'bench.r' || n FROM generate_series(1, {roles}) AS n;
INSERT INTO authkit.permissions (id, name, resource, action)
SELECT gen_random_uuid(), 'bench.p' || n || ':read', 'bench.p' || n, 'read'
FROM generate_series(1, {permissions}) AS n;
INSERT INTO authkit.role_permissions (role_id, permission_id)
SELECT r.id, p.id FROM authkit.roles AS r JOIN authkit.permissions AS p
ON substr(p.resource, 8)::integer % {roles} = substr(r.name, 8)::integer % {roles}
WHERE r.name LIKE 'bench.r%' AND p.resource LIKE 'bench.p%';
INSERT INTO authkit.users (id, email)
SELECT gen_random_uuid(), 'bench' || n || '@example.com'
FROM generate_series(1, {users}) AS n;
INSERT INTO authkit.user_roles (user_id, role_id)
SELECT u.id, r.id FROM (
    SELECT id, row_number() OVER () AS n FROM authkit.users WHERE email LIKE 'bench%'
) AS u JOIN (
    SELECT id, row_number() OVER () AS n FROM authkit.roles WHERE name LIKE 'bench.r%'
) AS r ON r.n = u.n % {roles} + 1;
ANALYZE
"""


@pytest.fixture(scope="module")
def organisation(bench_lab) -> list[UUID]:
    """Users, roles and permissions; returns users who hold `bench.p1:read`."""
    with psycopg.connect(bench_lab.url(), autocommit=True) as connection:
        made = ORGANISATION.format(roles=ROLES, permissions=PERMISSIONS, users=USERS)
        connection.execute(made.encode())
        rows = connection.execute(
            "SELECT g.user_id FROM authkit.user_roles AS g"
            " JOIN authkit.role_permissions AS rp ON rp.role_id = g.role_id"
            " JOIN authkit.permissions AS p ON p.id = rp.permission_id"
            " WHERE p.name = 'bench.p1:read' LIMIT %s",
            (CHECKED,),
        ).fetchall()
    return [user for (user,) in rows]


@pytest.fixture(scope="module")
def kit(bench_lab) -> Iterator[authkit.Kit]:
    found = Settings.load(env_file=None, database_url=bench_lab.url())
    with authkit.connect(found) as opened:
        yield opened


@pytest.fixture(scope="module")
def plain(bench_lab) -> Iterator[sqlalchemy.Engine]:
    """SQLAlchemy as it comes, with a pool of its own."""
    url = bench_lab.url().replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def beside(benchmark, capsys) -> Callable[..., None]:
    """Time two functions in turns, then the first for the table; print the ratio."""

    def run(
        ours: Callable[[], Any], theirs: Callable[[], Any], *, rounds: int, goal: float
    ) -> None:
        if benchmark.disabled:
            rounds = 1
        spent: tuple[list[float], list[float]] = ([], [])
        arms = tuple(zip(spent, (ours, theirs), strict=True))
        for number in range(rounds + rounds // 10):
            # Each goes first every other time: the second finds what the first read.
            for arm, function in arms if number % 2 else arms[::-1]:
                began = perf_counter()
                function()
                if number >= rounds // 10:
                    arm.append(perf_counter() - began)
        ratio = median(spent[0]) / median(spent[1])
        told(benchmark, capsys, "time over theirs", ratio, f"<= {goal:g}")
        benchmark.pedantic(ours, rounds=max(1, rounds // 10))

    return run


@pytest.mark.benchmark(group="relational")
def test_checkout_of_an_engine_beside_queue_pool(beside, kit, plain):
    def checkout(engine: sqlalchemy.Engine) -> Callable[[], None]:
        def run() -> None:
            with engine.connect():
                pass

        return run

    ours = checkout(kit.cluster.writer_engine())
    beside(ours, checkout(plain), rounds=3000, goal=1.5)


@pytest.mark.benchmark(group="relational")
def test_check_of_a_permission_beside_its_prepared_statement(
    beside, kit, bench_lab, organisation
):
    for user in organisation:
        kit.auth_cache.put(user, user.bytes * 2)
    # Each arm asks for every user in turn.
    first, second = cycle(organisation), cycle(organisation)
    with psycopg.connect(
        bench_lab.url(), autocommit=True, prepare_threshold=0, cursor_factory=RawCursor
    ) as raw:
        cursor = raw.cursor(binary=True)

        def ours() -> None:
            assert kit.check(next(first), "bench.p1:read")

        def theirs() -> None:
            cursor.execute(auth_cache.GET.sql, (next(second),))
            assert cursor.fetchone() is not None

        beside(ours, theirs, rounds=3000, goal=1.3)


@pytest.mark.benchmark(group="relational")
def test_appending_to_shards_beside_one_chain(benchmark, capsys, bench_lab):
    append = "SELECT FROM authkit.audit_append(%s, %s)"
    event = b'{"action":"bench.append","actor":"system:bench","outcome":"succeeded"}'
    connections = [
        psycopg.connect(bench_lab.url(), autocommit=True, prepare_threshold=0)
        for _ in range(APPENDERS)
    ]
    appends = 1 if benchmark.disabled else APPENDS

    def rate(shards: int) -> float:
        barrier = threading.Barrier(APPENDERS + 1)

        def work(number: int) -> None:
            barrier.wait(timeout=30)
            for _ in range(appends):
                connections[number].execute(append, (number % shards, event))

        with ThreadPoolExecutor(APPENDERS) as pool:
            done = [pool.submit(work, number) for number in range(APPENDERS)]
            barrier.wait(timeout=30)
            began = perf_counter()
            for one in done:
                one.result()
        return APPENDERS * appends / (perf_counter() - began)

    rates = [
        (rate(AUDIT_SHARDS), rate(1)) for _ in range(1 if benchmark.disabled else 7)
    ]
    sharded, single = (median(arm) for arm in zip(*rates, strict=True))
    told(benchmark, capsys, "appends/s in shards", sharded, "none")
    told(benchmark, capsys, "rate over one chain's", sharded / single, ">= 3")
    benchmark.pedantic(rate, (AUDIT_SHARDS,), rounds=1)
    for connection in connections:
        connection.close()


@pytest.mark.benchmark(group="relational")
def test_verifying_the_trail_beside_a_plain_copy_of_it(
    benchmark, capsys, kit, bench_lab
):
    with psycopg.connect(bench_lab.url(), autocommit=True) as connection:
        # A transaction that moves one head often keeps every version of it alive, and
        # looks through them each time: a thousand at once.
        for first in range(1, ENTRIES // AUDIT_SHARDS + 1, BLOCK):
            last = min(first + BLOCK - 1, ENTRIES // AUDIT_SHARDS)
            for shard in range(AUDIT_SHARDS):
                connection.execute(
                    "SELECT count(*) FROM generate_series(%s::int, %s::int) AS n"
                    " CROSS JOIN LATERAL authkit.audit_append(%s,"
                    " convert_to(jsonb_build_object("
                    "'action', 'role.grant', 'actor', 'user:' || n, 'outcome',"
                    " 'succeeded', 'target', 'role:' || n, 'details',"
                    " jsonb_build_object('n', n))::text, 'UTF8'))",
                    (first, last, shard),
                )
        connection.execute("ANALYZE authkit.audit_logs")

        # The verifier's own query is sent by one process of the server, as its is.
        connection.execute(verification.IN_ORDER.text.replace("true)", "false)"))

        def copy(statement: str) -> float:
            began, size = perf_counter(), 0
            with connection.cursor().copy(statement.encode()) as copying:
                for block in copying:
                    size += len(block)
            assert size > 0
            return perf_counter() - began

        def verify() -> tuple[int, float]:
            began = perf_counter()
            with kit.unit_of_work(read_only=True) as uow:
                found = uow.audit.verify()
            assert found.intact, found.broken
            return found.entries, perf_counter() - began

        verify()
        before_kib = getrusage(RUSAGE_SELF).ru_maxrss
        turns = [
            (
                verify(),
                copy("COPY (TABLE authkit.audit_logs) TO STDOUT"),
                copy(verification.COPY),
            )
            for _ in range(1 if benchmark.disabled else 3)
        ]
        grown_kib = getrusage(RUSAGE_SELF).ru_maxrss - before_kib
    entries = turns[0][0][0]
    checked, copied, served = (
        median(entries / seconds for seconds in arm)
        for arm in zip(*((first[1], *rest) for first, *rest in turns), strict=True)
    )
    told(benchmark, capsys, "rows", entries, "none")
    told(benchmark, capsys, "rows/s verified", checked, "none")
    told(benchmark, capsys, "rows/s of a plain COPY", copied, "none")
    told(benchmark, capsys, "rows/s that the server sends", served, "none")
    told(benchmark, capsys, "verified over sent", checked / served, ">= 0.8")
    told(benchmark, capsys, "MiB of memory it grew by", grown_kib / 1024, "<= 8")
    benchmark.pedantic(verify, rounds=1)


@pytest.mark.benchmark(group="relational")
def test_a_session_of_many_operations_beside_plain_sqlalchemy(
    beside, kit, plain, organisation
):
    def work(session: Session) -> None:
        for number in range(ORM_OPERATIONS):
            wanted = organisation[number % len(organisation)]
            session.scalars(
                sqlalchemy.select(User).where(User.id == wanted),
                execution_options={"populate_existing": True},
            ).one()

    def ours() -> None:
        with kit.unit_of_work() as uow:
            work(uow.session)

    def theirs() -> None:
        with Session(plain, expire_on_commit=False) as session:
            work(session)
            session.commit()

    beside(ours, theirs, rounds=20, goal=1.1)
