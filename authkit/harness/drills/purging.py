"""What the application notices of a purge: its latency before, and meanwhile.

Sessions are validated in an open loop, so that a stall counts for everybody who came
during it; and now and then one is begun, which a purge's write-ahead log could hold up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count, takewhile
from math import inf
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, LiteralString

from authkit.errors import AuthkitError, LabError
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.drills.servers import LabServers, settings_of
from authkit.harness.histogram import Histogram, merged
from authkit.harness.schedule import Schedule, offsets
from authkit.hot import NewSession

if TYPE_CHECKING:
    from uuid import UUID

    from authkit.kit import Kit
    from authkit.lab import Lab

RATE: Final = 200.0
LIVE: Final = 2_000
_LONGEST_S: Final = 86_400.0
BEFORE_S: Final = 20.0
_BEGUN: Final = 10  # every so many arrivals one begins a session
_CALLERS: Final = 8
_STRIDE: Final = 7_919  # a prime: neighbours in time are none in the table
_TIMES: Final = 1.5
_FILL_ROWS: Final = 250_000
_FILL: LiteralString = """
    INSERT INTO authkit.active_sessions
        (id, token_digest, user_id, created_at, last_activity, authenticated_at,
         expires_at)
    SELECT gen_random_uuid(), sha256(n::text::bytea), gen_random_uuid(),
           at, at, at, at + interval '14 days'
    FROM (SELECT n, now() - interval '90 days' + n * interval '100 milliseconds' AS at
          FROM generate_series(%s::bigint, %s::bigint) AS n) AS past
"""

_USERS: LiteralString = """
    INSERT INTO authkit.users (id, email)
    SELECT gen_random_uuid(), 'user' || n || '@example.com'
    FROM generate_series(1, %s) AS n RETURNING id
"""


@dataclass(slots=True)
class Seen:
    """What callers saw while something was done."""

    reads: Histogram = field(default_factory=Histogram)
    writes: Histogram = field(default_factory=Histogram)
    failed: int = 0
    skipped: int = 0

    @property
    def whole(self) -> Histogram:
        """Reads and writes as one."""
        return merged((self.reads, self.writes))


def purging(
    *,
    rows: int,
    seconds: float | None = None,
    rate: float = RATE,
    before_s: float = BEFORE_S,
    in_memory: bool = True,
    progress: Progress = silent,
) -> Report:
    """Purge expired sessions under a steady load, and compare its latency.

    Args:
        rows: how many sessions have expired.
        seconds: watch so much of the purge; default: all of it.
        rate: calls a second, a tenth of which write.
        before_s: how long the load runs without it.
        in_memory: the lab in memory, where there is room.
        progress: told the phase, how much is done and how much there is to do.

    Raises:
        LabError: a session could not be begun: the run proves nothing.
    """
    from authkit import connect, lab
    from authkit.ops.migrate import upgrade

    started, began = datetime.now(UTC), monotonic()
    progress("starting", 0, 1)
    with lab.cluster(1, in_memory=in_memory) as made, LabServers(made) as servers:
        upgrade(made.url())
        progress("starting", 1, 1)
        users = [row[0] for row in made.sql(_USERS, [LIVE])]
        _fill(made, rows, progress)
        with connect(settings_of(servers)) as kit:
            calls = _Calls(kit, users, _begin(kit, users))
            before = _loaded(calls, rate, partial(_wait, before_s, progress))
            purge = _Purge(made.url(), seconds, progress)
            during = _loaded(calls, rate, purge)
        version = made.state.version
    return Report(
        command="drill purge",
        started=started,
        seconds=monotonic() - began,
        figures=tuple(_figures(before, during, purge)),
        postgres=version,
        extra={"rows": rows, "rate": rate, "before_s": before_s},
    )


def _fill(lab: Lab, rows: int, progress: Progress) -> None:
    lab.sql("ALTER TABLE authkit.active_sessions SET (autovacuum_enabled = off)")
    for first in range(1, rows + 1, _FILL_ROWS):
        last = min(rows, first + _FILL_ROWS - 1)
        lab.sql(_FILL, [first, last])
        progress("filling", last, rows)
    lab.sql("ALTER TABLE authkit.active_sessions RESET (autovacuum_enabled)")
    lab.sql("VACUUM ANALYZE authkit.active_sessions")
    lab.sql("CHECKPOINT")
    lab.wait_replayed(timeout_s=300)


def _begin(kit: Kit, users: Sequence[UUID]) -> list[str]:
    begun = [kit.sessions.create(user) for user in users]
    tokens = [each.token for each in begun if isinstance(each, NewSession)]
    if len(tokens) < len(users):
        raise LabError("drill: a session could not be begun")
    return tokens


def _wait(seconds: float, progress: Progress) -> None:
    for second in range(round(seconds)):
        progress("before", second, round(seconds))
        sleep(1.0)
    progress("before", round(seconds), round(seconds))


class _Enough(Exception):
    """The purge was watched for as long as was asked."""


class _Purge:
    """Runs `maintain`, or so much of it as is to be watched."""

    def __init__(self, url: str, seconds: float | None, progress: Progress) -> None:
        self.rows = 0
        self.seconds = 0.0
        self._url = url
        self._most_s = seconds
        self._progress = progress

    def __call__(self) -> None:
        from authkit.ops.maintain import maintain

        began = monotonic()

        def tell(phase: str, done: int, whole: int) -> None:
            self.seconds = monotonic() - began
            if phase == "sessions":
                self.rows = done
                self._progress("purging", done, whole)
                if self._most_s is not None and self.seconds > self._most_s:
                    raise _Enough

        with suppress(_Enough):
            maintain(self._url, progress=tell)


class _Calls:
    """What the application does: sessions are validated, and some begin."""

    def __init__(self, kit: Kit, users: Sequence[UUID], tokens: Sequence[str]) -> None:
        self._kit = kit
        self._users = users
        self._tokens = tokens

    def read(self, number: int) -> bool:
        """Validate one; True when it is live, as all of them are."""
        token = self._tokens[_STRIDE * number % len(self._tokens)]
        return self._kit.sessions.validate(token) is not None

    def write(self, number: int) -> bool:
        """Begin one; True when it began."""
        user = self._users[_STRIDE * number % len(self._users)]
        return isinstance(self._kit.sessions.create(user), NewSession)


def _loaded(
    calls: _Calls,
    rate: float,
    work: Callable[[], None],
    clock: Callable[[], float] = monotonic,
) -> Seen:
    """Call at a rate for as long as some work takes; return what callers saw.

    Whoever was due by then and waits is still served: a stall at the end counts too.
    """
    done, turn = threading.Event(), threading.Lock()
    started, ended = clock(), inf
    due_s = offsets("poisson", rate, _LONGEST_S, 1)
    schedule = Schedule(takewhile(lambda at: started + at <= ended, due_s), started)
    numbers = count(1)

    def caller() -> Seen:
        seen = Seen()
        while True:
            with turn:
                due, number = schedule.pull(clock()), next(numbers)
            if due is None or (done.wait(due.wait_s) and due.at_s > ended):
                return seen
            write = number % _BEGUN == 0
            try:
                well = (calls.write if write else calls.read)(number)
            except AuthkitError:
                well = False
            seen.failed += not well
            taken = round(1e9 * (clock() - due.at_s))
            (seen.writes if write else seen.reads).record(taken)

    with ThreadPoolExecutor(_CALLERS) as threads:
        callers = [threads.submit(caller) for _ in range(_CALLERS)]
        try:
            work()
        finally:
            ended = clock()
            done.set()
        found = [each.result() for each in callers]
    return Seen(
        merged(each.reads for each in found),
        merged(each.writes for each in found),
        sum(each.failed for each in found),
        schedule.skipped,
    )


def _figures(before: Seen, during: Seen, purge: _Purge) -> Iterable[Figure]:
    yield figure("sync_rows_purged", purge.rows, "rows")
    yield figure("sync_purge_s", round(purge.seconds, 1), "s")
    if purge.seconds:
        yield figure("sync_purged_per_second", round(purge.rows / purge.seconds), "1/s")
    seen = (before, during)
    for name, (was, now) in {
        "p99": [_p99_ms(each.whole) for each in seen],
        "read_p99": [_p99_ms(each.reads) for each in seen],
        "write_p99": [_p99_ms(each.writes) for each in seen],
    }.items():
        yield figure(f"sync_{name}_before_ms", was, "ms")
        yield figure(f"sync_{name}_during_ms", now, "ms")
        yield figure(
            f"sync_{name}_ratio",
            None if was is None or now is None else round(now / was, 2),
            "x",
            goal=("<=", _TIMES) if name == "p99" else None,
        )
    for name, each in (("before", before), ("during", during)):
        failed = each.failed + each.skipped
        yield figure(f"sync_calls_{name}", each.whole.count)
        yield figure(f"sync_failed_{name}", failed, goal=("==", 0))


def _p99_ms(found: Histogram) -> float | None:
    at = found.percentile_ns(99)
    return None if at is None else round(1e-6 * at, 3)
