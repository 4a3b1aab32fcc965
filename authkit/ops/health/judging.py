"""What the answers mean: for each finding what, why it matters, what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from authkit.cluster.breaker import BreakerState
from authkit.cluster.status import ClusterStatus
from authkit.ops.durability import confirmations
from authkit.ops.findings import Finding, fault, good, note
from authkit.ops.health.server import judge_server
from authkit.ops.health.values import Answer, Unreachable

_LAG_BYTES = 64 * 1024**2
_AHEAD = timedelta(days=2)
_SKEW_S = 2.0
# The purges leave a fortnight and more for inquiries; older rows say nobody purges.
_UNPURGED_S = 45 * 86_400.0


def judge(
    answers: Sequence[Answer],
    lost: Sequence[Unreachable],
    *,
    today: date,
    head: str,
) -> Iterable[Finding]:
    """Judge all nodes: each alone, then together, then the schema they carry.

    Args:
        answers: of the nodes that gave one.
        lost: those that did not.
        today: the date (UTC), for partitions to come.
        head: the newest revision that this code knows.
    """
    for node in lost:
        yield fault(
            node.where,
            "unreachable",
            node.reason,
            "start it, or take its URL out; until then there is one node fewer to"
            " fail over to",
        )
    primaries = [answer for answer in answers if not answer.replica]
    replicas = [answer for answer in answers if answer.replica]
    for answer in answers:
        yield good(
            answer.where,
            "answers",
            f"a {answer.role} on timeline {answer.timeline}, PostgreSQL"
            f" {answer.version}, answered in {1000 * answer.round_trip_s:.0f} ms",
        )
        yield from judge_server(answer)
        yield from _clock(answer)
    yield from _topology(primaries, replicas, lost)
    if len(primaries) == 1:
        yield from _replicas(primaries[0], replicas)
    carrier = next(iter((*primaries, *replicas)), None)
    if carrier is not None:
        yield from _schema(carrier, today=today, head=head)


def judge_client(status: ClusterStatus) -> Iterable[Finding]:
    """Judge this process's own connections: pools and breakers."""
    for node in status.nodes:
        if node.breaker is not BreakerState.CLOSED:
            yield fault(
                node.name,
                "breaker",
                f"this process's breaker for it is {node.breaker.value}: it failed"
                " too often",
                "nothing, if it recovers: it is tried again by itself; else see why"
                " it fails",
            )
        if node.waiting:
            yield fault(
                node.name,
                "pool_exhausted",
                f"{node.waiting} callers wait for one of {node.pool_max} connections",
                "raise DATABASE_POOL_MAX, or find what holds connections so long",
            )
        elif node.pool_max and node.in_use * 10 > node.pool_max * 9:
            yield note(
                node.name,
                "pool_busy",
                f"{node.in_use} of {node.pool_max} connections are in use",
                "raise DATABASE_POOL_MAX before callers wait",
            )


def _topology(
    primaries: Sequence[Answer],
    replicas: Sequence[Answer],
    lost: Sequence[Unreachable],
) -> Iterable[Finding]:
    at = "cluster"
    if len({answer.system for answer in (*primaries, *replicas)}) > 1:
        yield fault(
            at,
            "foreign_node",
            "the nodes are not copies of one another: their system identifiers differ",
            "name nodes of one cluster in DATABASE_URL and DATABASE_REPLICA_URLS",
        )
    if not primaries:
        yield fault(
            at,
            "no_primary",
            "no primary answered: nothing can be written, nobody can log in",
            "start the primary, or promote a replica",
        )
        return
    newest = max(answer.timeline for answer in primaries)
    leading = [answer for answer in primaries if answer.timeline == newest]
    if len(leading) > 1:
        yield fault(
            at,
            "two_primaries",
            "two primaries share the highest timeline: writes to them part ways",
            "stop the one whose writes may be lost, and rewind it",
        )
    for stale in primaries:
        if stale.timeline < newest:
            yield fault(
                stale.where,
                "stale_primary",
                f"still takes writes on timeline {stale.timeline}, and {newest} is"
                " there: whoever connects to it directly loses them",
                "stop it, and make it a replica (pg_rewind)",
            )
    if not replicas and not lost and len(primaries) == 1:
        yield note(
            at,
            "no_replica",
            "there is no replica: losing the primary is losing the service",
            "name one in DATABASE_REPLICA_URLS",
        )


def _replicas(primary: Answer, replicas: Sequence[Answer]) -> Iterable[Finding]:
    wanted = confirmations(primary.settings["synchronous_standby_names"])
    mode = primary.settings["synchronous_commit"]
    # Only a member of pg_monitor sees who confirms; how many there are, all do.
    there = primary.standbys if primary.confirming is None else primary.confirming
    if wanted and mode in {"off", "local"}:
        yield note(
            primary.where,
            "asynchronous",
            f"synchronous_commit is {mode}: a failover may lose acknowledged writes",
            "set synchronous_commit to on",
        )
    elif there is not None and there < wanted:
        yield fault(
            primary.where,
            "writes_wait",
            f"commits wait for synchronous standbys: {wanted} must confirm, and"
            f" {there or 'none'} can",
            "start those that are missing, or ask for fewer in"
            " synchronous_standby_names and reload",
        )
    elif replicas and not wanted:
        yield note(
            primary.where,
            "asynchronous",
            "replication is asynchronous: a failover may lose acknowledged writes",
            "set synchronous_standby_names, e.g. to 'ANY 1 (*)'",
        )
    for replica in replicas:
        lag = max(0, primary.lsn_bytes - replica.lsn_bytes)
        if not replica.streaming:
            yield fault(
                replica.where,
                "not_streaming",
                "receives no WAL: it falls behind and serves old rows",
                "see its log and primary_conninfo; its slot may be gone",
            )
        elif replica.replay_paused:
            yield fault(
                replica.where,
                "replay_paused",
                "its replay is paused: it falls behind",
                "SELECT pg_wal_replay_resume() there",
            )
        elif lag > _LAG_BYTES:
            yield fault(
                replica.where,
                "lags",
                f"is {lag / 1024**2:,.0f} MiB behind: reads with a bound go to the"
                " primary, a failover to it takes longer",
                "see pg_stat_replication: network, disk, or a long query there",
            )


def _clock(answer: Answer) -> Iterable[Finding]:
    if abs(answer.clock_skew_s) > _SKEW_S + answer.round_trip_s:
        yield fault(
            answer.where,
            "clock_skew",
            f"its clock differs from this machine's by {answer.clock_skew_s:+.1f} s:"
            " expiries and point-in-time recovery go by it",
            "synchronise the clocks of both (NTP)",
        )


def _schema(carrier: Answer, *, today: date, head: str) -> Iterable[Finding]:
    at, carried = carrier.where, carrier.carried
    if carried.closed:
        yield note(
            at,
            "schema_closed",
            "this login may not look into the schema: revision and partitions unknown",
            "use a member of authkit_app or authkit_maintenance",
        )
        return
    if carried.revision is None:
        yield fault(
            at, "not_migrated", "has no authkit schema to use", "authkit db setup"
        )
        return
    if carried.revision != head:
        yield fault(
            at,
            "not_newest",
            f"is at revision {carried.revision}, this code is made for {head}",
            "authkit db migrate, or deploy the code that fits",
        )
    wanted = [today + timedelta(days=n) for n in range(_AHEAD.days + 1)]
    missing = [day.isoformat() for day in wanted if day not in set(carrier.days)]
    if missing:
        yield fault(
            at,
            "missing_partitions",
            f"has no partition of attempts for {', '.join(missing)}: rows go to the"
            " default partition, which is slower and is not dropped by age",
            "authkit db maintain (daily), or authkit db setup",
        )
    for table, age_s in sorted(carried.unpurged_s.items()):
        if age_s > _UNPURGED_S:
            yield note(
                table,
                "unpurged",
                f"holds rows that expired {age_s / 86_400:,.0f} days ago: it only"
                " grows, and personal detail is kept longer than it need be",
                "authkit db maintain (daily)",
            )
