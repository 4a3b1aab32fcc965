"""Fill both layers of a database from a world, in one transaction, through COPY."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from authkit.errors import AlreadyExists
from authkit.workload import binary, members, rows, trail
from authkit.workload.attempt import Attempt
from authkit.workload.connection import connect, named_faults
from authkit.workload.days import Days
from authkit.workload.identifiers import stream_of
from authkit.workload.lane import statement_of
from authkit.workload.organisation import Organisation
from authkit.workload.population import DAY_US, Person
from authkit.workload.scorer import Scorer
from authkit.workload.sessions import follow
from authkit.workload.spool import CHUNK_BYTES, Spool
from authkit.workload.world import World, whole_hour

_HOT_FOR_US = DAY_US  # an ended session is purged from the hot table a day later
_STEP = 5_000

LABELS_SCHEMA = "authkit_world"
_LABELS_TABLE = """
CREATE SCHEMA IF NOT EXISTS authkit_world;
CREATE TABLE IF NOT EXISTS authkit_world.labels (
    attempt_id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    kind text NOT NULL,
    campaign uuid,
    seed bigint NOT NULL
);
COMMENT ON TABLE authkit_world.labels IS
    'synthetic worlds: who really made an attempt; only attacks are listed';
GRANT USAGE ON SCHEMA authkit_world TO authkit_analyst;
GRANT SELECT ON authkit_world.labels TO authkit_analyst;
"""

# Phase, how much of it is done, how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """What was written."""

    seed: int
    days: int
    start: datetime
    end: datetime
    users: int
    grants: int
    accounts: int
    credentials: int
    attempts: int
    succeeded: int
    attack_attempts: int
    scored: int
    sessions: int
    active_sessions: int
    audit_entries: int
    seconds: float
    attempts_seconds: float


def seed(
    url: str,
    *,
    users: int,
    days: int,
    seed: int,
    progress: Progress | None = None,
    end: datetime | None = None,
    score: Scorer | None = None,
) -> SeedSummary:
    """Fill a migrated database with a synthetic world: all of it or nothing.

    The same seed and `end` give the same rows, ids included; only the audit trail
    differs, which records the server's own clock. Who really made the attempts of an
    attack is kept apart, in `authkit_world.labels`, where no detector looks.

    Args:
        url: the primary, as the owner of the schema.
        users: people with an account.
        days: how far back the world goes.
        seed: which world.
        progress: called with a phase, what is done of it, and all of it.
        end: where the world ends; the last full hour by default.
        score: called with every attempt in order of time; what it returns is stored
            beside the attempt, because a settled attempt never changes again.

    Raises:
        InvalidInput: there can be no such world.
        AlreadyExists: a world of this seed is there already.
        SchemaMismatch: the database lacks the tables or the roles.
        Unavailable: the database cannot be reached.
    """
    world = World(seed=seed, users=users, days=days, end=end or whole_hour())
    with (
        named_faults(),
        closing(connect(url)) as connection,
        connection.transaction(),
        uncollected(),
    ):
        return _Loading(world, connection, progress or _quiet, score).run()


@contextmanager
def uncollected() -> Generator[None]:
    """Keep the collector of cycles from going through a world again and again.

    A world has none, and millions of objects that stay: a third of the time went there.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _quiet(phase: str, done: int, whole: int) -> None:
    del phase, done, whole


class _Loading:
    """One load: attempts stream into COPY, what they imply is spooled until after."""

    def __init__(
        self,
        world: World,
        connection: psycopg.Connection,
        progress: Progress,
        score: Scorer | None,
    ) -> None:
        self._world = world
        self._connection = connection
        self._progress = progress
        self._score = score
        self._end_us = world.start_us + world.days * DAY_US
        self._last: dict[int, tuple[int, str]] = {}
        self._found: list[trail.Stolen] = []
        self._counts: dict[str, int] = dict.fromkeys(
            ("attempts", "succeeded", "attack_attempts", "scored"), 0
        )

    def run(self) -> SeedSummary:
        """Write everything and return what was written."""
        began = time.perf_counter()
        world = self._world
        people = world.population()
        self._prepare(people)
        chance = stream_of(world.seed, "organisation")
        founded_us = min(p.created_us for p in people) - DAY_US
        roles = members.roles(self._connection, chance, founded_us)
        ready = time.perf_counter()
        with Spool() as sessions, Spool() as active, Spool() as labels:
            with Days(self._connection, world.start, world.end) as days:
                self._attempts(days, people, sessions, active, labels)
            attempts_s = time.perf_counter() - ready
            house = Organisation(
                chance, people, start_us=world.start_us, end_us=self._end_us
            )
            told = trail.Told(house)
            self._people(house, people, roles, told)
            self._copy("sessions", rows.SESSIONS, sessions)
            self._copy("active_sessions", rows.ACTIVE_SESSIONS, active)
            self._copy("labels", rows.LABELS, labels, schema=LABELS_SCHEMA)
        self._connection.execute("ANALYZE auth_attempts, users, sessions, user_roles")
        made = told.events(stream_of(world.seed, "trail"), people, self._found)
        entries = trail.append(self._connection, made, seed=world.seed)
        return SeedSummary(
            seed=world.seed,
            days=world.days,
            start=world.start,
            end=world.end,
            users=len(people),
            sessions=sessions.rows,
            active_sessions=active.rows,
            audit_entries=entries,
            seconds=time.perf_counter() - began,
            attempts_seconds=attempts_s,
            **self._counts,
        )

    def _prepare(self, people: list[Person]) -> None:
        """See that the world is not there yet, and that its rows have a place."""
        connection, world = self._connection, self._world
        there = connection.execute(
            "SELECT FROM authkit.users WHERE email = %s", (people[0].email,)
        ).fetchone()
        if there is not None:
            raise AlreadyExists(
                f"a world of seed {world.seed} is in this database already:"
                " choose another seed, or an empty database"
            )
        connection.execute(_LABELS_TABLE)
        connection.execute(
            "DELETE FROM authkit_world.labels WHERE seed = %s", (world.seed,)
        )

    def _attempts(
        self,
        days: Days,
        people: list[Person],
        sessions: Spool,
        active: Spool,
        labels: Spool,
    ) -> None:
        world, counts, score = self._world, self._counts, self._score
        followed = stream_of(world.seed, "sessions")
        start_us = world.start_us
        done = 0
        for done, made in enumerate(world.attempts(people), start=1):
            scored = None if score is None else self._judge(score, made)
            days.add(made.at_us, rows.attempt(made, scored))
            if done % _STEP == 0:
                gc.collect(1)  # what a scorer leaves; the old are not looked at
                day = (made.at_us - start_us) // DAY_US
                self._progress("attempts", day, world.days)
            if made.campaign is not None:
                counts["attack_attempts"] += 1
                labels.add(rows.label(made, world.seed))
            if made.outcome != "succeeded":
                continue
            counts["succeeded"] += 1
            session = follow(followed, made, self._end_us)
            if session is not None:
                self._last[made.person] = (made.at_us, made.source.ip)
                value = None if scored is None else scored.value
                sessions.add(rows.session_record(session, value))
                ended = session.ended_us
                if session.reason == "compromised" and ended is not None:
                    stolen = trail.Stolen(ended, made.person, session.id)
                    self._found.append(stolen)
                if ended is None or ended > self._end_us - _HOT_FOR_US:
                    digest = followed.randbytes(32)
                    active.add(rows.active_session(session, value, digest))
        counts["attempts"] = done
        self._progress("attempts", world.days, world.days)

    def _judge(self, score: Scorer, made: Attempt) -> rows.Scored | None:
        source = made.source
        given = score(
            at_us=made.at_us,
            user_id=made.user_id,
            ip=source.ip,
            asn=source.asn,
            country=source.country,
            user_agent=source.user_agent,
            completed=made.completes,
        )
        if given is None:
            return None
        self._counts["scored"] += given.value is not None
        return rows.Scored(given.value, given.model, given.version, given.as_features())

    def _people(
        self,
        house: Organisation,
        people: list[Person],
        roles: dict[str, bytes],
        told: trail.Told,
    ) -> None:
        """Write users and what they hold."""
        rng, last = stream_of(self._world.seed, "rows"), self._last
        gone = {one.person.index: told.let_go(one) for one in house.let_go(last)}
        self._copy(
            "users",
            rows.USERS,
            (rows.user(rng, p, last.get(p.index), gone.get(p.index)) for p in people),
            whole=len(people),
        )
        self._counts["grants"] = self._copy(
            "user_roles",
            members.USER_ROLES,
            (members.user_role(told.granted(one), roles) for one in house.grants()),
        )
        linked = (members.account(rng, p, self._end_us) for p in people)
        self._counts["accounts"] = self._copy(
            "accounts", members.ACCOUNTS, filter(None, linked)
        )
        self._counts["credentials"] = self._copy(
            "webauthn_credentials",
            members.CREDENTIALS,
            (members.credential(rng, told.held(one)) for one in house.held(last)),
        )

    def _copy(
        self,
        table: str,
        columns: rows.Columns,
        encoded: Iterable[bytes],
        *,
        schema: str = "authkit",
        whole: int | None = None,
    ) -> int:
        """Write rows and return how many."""
        statement = statement_of(schema, table, columns)
        waiting: list[bytes] = [binary.SIGNATURE]
        size = done = 0
        with self._connection.cursor().copy(statement) as copy:
            for row in encoded:
                waiting.append(row)
                size += len(row)
                done += 1
                if size >= CHUNK_BYTES:
                    copy.write(b"".join(waiting))
                    waiting, size = [], 0
                    if whole is not None:
                        self._progress(table, done, whole)
            waiting.append(binary.TRAILER)
            copy.write(b"".join(waiting))
        if whole is not None:
            self._progress(table, whole, whole)
        return done
