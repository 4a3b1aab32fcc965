"""Scores at an arrival rate, on few and many counts in turn; commits beside pgbench.

Response time counts from when a login was due, so a stall is not hidden by who waits in
it. The server's own time is what pg_stat_statements saw of the one statement.
"""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import psycopg

import authkit
from authkit.errors import LabError
from authkit.figures import Figure, figure
from authkit.harness.histogram import Histogram
from authkit.harness.schedule import Schedule, offsets
from authkit.harness.scores.filling import Drawn, Progress, Size, draw
from authkit.hot import Routed
from authkit.ids import uuid7
from authkit.risk import counters, features
from authkit.risk.features import microseconds
from authkit.settings import Settings

if TYPE_CHECKING:
    from authkit.lab import Lab

_WORKERS: Final = 8
_COMMITTERS: Final = 4
_NS: Final = 1_000_000_000
_ROWS: Final = 100_000
_COMMITS: Final = """
    DROP TABLE IF EXISTS authkit_bench.commits;
    CREATE TABLE authkit_bench.commits (id integer PRIMARY KEY, n bigint);
    INSERT INTO authkit_bench.commits SELECT n, 0 FROM generate_series(1, 100000) AS n;
    VACUUM ANALYZE authkit_bench.commits
    """
_SCRIPT: Final = (
    f"\\set id random(1, {_ROWS})\n"
    "UPDATE authkit_bench.commits SET n = n + 1 WHERE id = :id;\n"
)
_SPENT: Final = """
    SELECT sum(calls)::bigint, sum(total_exec_time)::float8
    FROM pg_stat_statements
    WHERE query LIKE '%risk_user_counts%AS networks%'
      AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
_WARM: Final = """
    SELECT sum(pg_prewarm(c.oid::regclass))
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'authkit'::regnamespace AND c.relkind IN ('r', 'i')
      AND c.relname ~ '^risk_(users|user_counts|counts|totals)(_pkey|_read_idx)?$'
    """
_RESET: Final = "SELECT pg_stat_statements_reset()"


@dataclass(frozen=True, slots=True)
class Asked:
    """How hard, how long and how often it is asked; rates are in calls a second."""

    rate: float = 500.0
    commit_rate: float = 100.0
    seconds: float = 5.0
    rounds: int = 3


@dataclass(slots=True)
class _Side:
    """One database of some size."""

    url: str
    size: Size
    logins: list[Drawn]
    took: Histogram
    calls: int = 0
    server_ms: float = 0.0


def measure(
    lab: Lab,
    small: tuple[str, Size],
    large: tuple[str, Size],
    asked: Asked,
    progress: Progress,
) -> list[Figure]:
    """Measure two filled databases of one lab, in turns.

    Raises:
        LabError: pgbench failed.
    """
    sides = [_side(lab, *one) for one in (small, large)]
    ours, plain = Histogram(), Histogram()
    big = sides[1]
    with (
        authkit.connect(_settings(sides[0].url)) as first,
        authkit.connect(_settings(big.url)) as second,
        psycopg.connect(big.url, autocommit=True) as owner,
        TemporaryDirectory(prefix="authkit-scores-") as folder,
    ):
        for statement in _COMMITS.split(";"):
            owner.execute(statement)
        for side in sides:
            _warm(side.url)
        kits = (first, second)
        for kit, side in zip(kits, sides, strict=True):  # connections, plans, caches
            _loop(_scoring(kit, side.logins), asked.rate, 1.0, _WORKERS, seed=0)
            _loop(_durable(kit, side.logins), asked.commit_rate, 0.5, 2, seed=0)
        for turn in range(asked.rounds):
            for place in (0, 1) if turn % 2 == 0 else (1, 0):
                _score(kits[place], sides[place], asked, turn)
            part = _pgbench(lab, big.url, Path(folder), asked)
            plain.add(part)
            call = _durable(second, big.logins)
            ours.add(
                _loop(call, asked.commit_rate, asked.seconds, _COMMITTERS, seed=turn)
            )
            progress("rounds", turn + 1, asked.rounds)
    return _figures(sides, ours, plain)


def _warm(url: str) -> None:
    """Read the counters once: a server that was just filled holds them on disk only."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        owner.execute(_WARM)


def _side(lab: Lab, database: str, size: Size) -> _Side:
    url = lab.url(database=database)
    source = random.Random(7)  # noqa: S311 # which logins are scored is no secret
    with psycopg.connect(url, autocommit=True) as owner:
        numbers = source.sample(range(size.users), min(size.users, 20_000))
        logins = draw(owner, size, numbers)
    source.shuffle(logins)
    return _Side(url, size, logins, Histogram())


def _settings(url: str) -> Settings:
    return Settings.load(
        None, database_url=url, database_replica_urls=(), database_pool_min=_WORKERS
    )


def _score(kit: authkit.Kit, side: _Side, asked: Asked, turn: int) -> None:
    with psycopg.connect(side.url, autocommit=True) as owner:
        owner.execute(_RESET)
        call = _scoring(kit, side.logins)
        side.took.add(_loop(call, asked.rate, asked.seconds, _WORKERS, seed=turn))
        row = owner.execute(_SPENT).fetchone()
    if row is not None and row[0]:
        side.calls += row[0]
        side.server_ms += row[1]


def _scoring(kit: authkit.Kit, logins: Sequence[Drawn]) -> Callable[[int], object]:
    def score(number: int) -> object:
        login = logins[number % len(logins)]
        return kit.risk.score(
            login.user_id,
            ip=login.ip,
            asn=login.asn,
            country=login.country,
            user_agent=login.user_agent,
        )

    return score


def _durable(kit: authkit.Kit, logins: Sequence[Drawn]) -> Callable[[int], object]:
    """Return a score, and the login learned and committed."""
    score, runner = _scoring(kit, logins), Routed(kit.cluster)

    def both(number: int) -> object:
        score(number)
        login = logins[number % len(logins)]
        at = datetime.now(UTC)
        seen = features(
            login.ip, login.asn, login.country, login.user_agent, microseconds(at)
        )
        params = (login.user_id, at, uuid7(), counters.keys(seen))
        return runner.execute(counters.LEARN, params)

    return both


def _loop(
    call: Callable[[int], object],
    rate: float,
    seconds: float,
    workers: int,
    *,
    seed: int,
) -> Histogram:
    """Call at a rate for a while; returns response times from when each was due."""
    clock = time.perf_counter
    schedule = Schedule(offsets("poisson", rate, seconds, seed), clock() + 0.05)
    lock, made = threading.Lock(), Histogram()
    failed: list[BaseException] = []
    number = seed * 100_003

    def work() -> None:
        nonlocal number
        try:
            while not failed:
                with lock:
                    due = schedule.pull(clock())
                    number += 1
                    mine = number
                if due is None:
                    return
                if due.wait_s:
                    time.sleep(due.wait_s)
                call(mine)
                took = round((clock() - due.at_s) * _NS)
                with lock:
                    made.record(took)
        except BaseException as exc:  # noqa: BLE001 # told where the loop was started
            failed.append(exc)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return made


def _pgbench(lab: Lab, url: str, folder: Path, asked: Asked) -> Histogram:
    """Return response times of plain one-row commits, at the same rate."""
    script, log = folder / "commit.sql", folder / "log"
    script.write_text(_SCRIPT, encoding="utf-8")
    command = (
        str(lab.server().programs.path("pgbench")),
        *("-n", "-M", "prepared", "-f", str(script), "-R", str(asked.commit_rate)),
        *("-c", str(_COMMITTERS), "-j", "2", "-T", str(max(1, round(asked.seconds)))),
        *("-l", f"--log-prefix={log}", url),
    )
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        words = ran.stderr.strip().rsplit("\n", 1)[-1]
        raise LabError(f"pgbench could not commit: {words}")
    made = Histogram()
    for path in folder.glob(f"{log.name}.*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\d+ \d+ \d+ ", line):
                made.record(int(line.split()[2]) * 1000)
        path.unlink()
    return made


def _figures(sides: Sequence[_Side], ours: Histogram, plain: Histogram) -> list[Figure]:
    small, large = sides
    made: list[Figure] = []
    for side, goal in ((large, True), (small, False)):
        name = f"{side.size.attempts:,} attempts, {side.size.users:,} users"
        mean = side.server_ms / side.calls if side.calls else None
        p99 = _ms(side.took, 99)
        made += [
            figure(f"score, {name}: server mean", _round(mean), "ms",
                   goal=("<=", 0.3) if goal else None),
            figure(f"score, {name}: client p99", p99, "ms",
                   goal=("<=", 3) if goal else None),
            figure(f"score, {name}: client p50", _ms(side.took, 50), "ms"),
            figure(f"score, {name}: scored", side.took.count, "logins"),
        ]  # fmt: skip
    one, other = _ms(ours, 99), _ms(plain, 99)
    ratio = None if not one or not other else round(one / other, 3)
    grown = None
    if small.calls and large.calls and small.server_ms:
        grown = (large.server_ms / large.calls) / (small.server_ms / small.calls)
    return [
        *made,
        figure("growth of the server's mean", _round(grown), "x", goal=("<=", 1.2)),
        figure("durable score and update p99 over pgbench's commit", ratio, "x",
               goal=("<=", 2)),
        figure("durable score and update p99", one, "ms"),
        figure("durable score and update p50", _ms(ours, 50), "ms"),
        figure("plain pgbench commit p99", other, "ms"),
        figure("plain pgbench commit p50", _ms(plain, 50), "ms"),
        figure("durable updates", ours.count, "logins"),
    ]  # fmt: skip


def _ms(times: Histogram, percent: float) -> float | None:
    found = times.percentile_ns(percent)
    return None if found is None else round(found / 1e6, 4)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
