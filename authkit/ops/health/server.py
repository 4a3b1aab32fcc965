"""What one server's settings and statistics mean for its health. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from authkit.ops.durability import judge_durability
from authkit.ops.findings import Finding, fault, note
from authkit.ops.health.values import Answer, Slot

_LONG_S = 300.0
_IDLE_S = 60.0
_SLOT_BYTES = 2 * 1024**3
_DEAD_LEAST = 10_000
_DEAD_SHARE = 0.3
_UPDATES_LEAST = 10_000
_HOT_SHARE = 0.5
# Written and read so often that every update should stay on its page.
_HOT_TABLES = frozenset({"active_sessions", "rate_limit_tracking"})
# autovacuum forces a freeze at 200 million and PostgreSQL refuses writes 3 million
# short of 2^31 (documentation, section 24.1.5); in between something holds it back.
_XID_FAULT = 1_000_000_000


def judge_server(answer: Answer) -> Iterable[Finding]:
    """Judge one node by itself."""
    yield from _connections(answer)
    yield from _transactions(answer)
    for slot in answer.slots:
        yield from _slot(answer.where, slot)
    if not answer.replica:
        yield from _settings(answer)
        yield from _tables(answer)
        yield from _age(answer)


def _connections(answer: Answer) -> Iterable[Finding]:
    usable = int(answer.settings["max_connections"]) - int(
        answer.settings["superuser_reserved_connections"]
    )
    if answer.connections >= usable * 0.9:
        yield fault(
            answer.where,
            "connections",
            f"{answer.connections} of {usable} connections are taken: the next"
            " process to start gets none",
            "lower the pools (DATABASE_POOL_MAX x processes), put PgBouncer before"
            " it, or raise max_connections",
        )


def _transactions(answer: Answer) -> Iterable[Finding]:
    longest, idle = answer.longest_transaction_s, answer.longest_idle_s
    if longest is not None and longest > _LONG_S:
        yield fault(
            answer.where,
            "long_transaction",
            f"a transaction runs for {longest:,.0f} s: no dead row since can be"
            " removed, and hot tables bloat",
            "find it in pg_stat_activity (xact_start) and end it",
        )
    elif idle is not None and idle > _IDLE_S:
        yield note(
            answer.where,
            "idle_in_transaction",
            f"a connection is idle in its transaction for {idle:,.0f} s, with its"
            " locks held",
            "set idle_in_transaction_session_timeout for that role",
        )
    if answer.prepared_s is not None and answer.prepared_s > _LONG_S:
        yield fault(
            answer.where,
            "prepared_transaction",
            f"a prepared transaction waits for {answer.prepared_s:,.0f} s, with its"
            " locks held",
            "COMMIT PREPARED or ROLLBACK PREPARED it (pg_prepared_xacts)",
        )


def _slot(at: str, slot: Slot) -> Iterable[Finding]:
    if slot.wal_status in {"lost", "unreserved"}:
        yield fault(
            at,
            "slot_lost",
            f"the slot {slot.name} lost WAL that its consumer has not read, or is"
            " about to",
            "make the consumer anew (base backup) and drop the slot",
        )
    elif not slot.active and slot.held_bytes > _SLOT_BYTES:
        yield fault(
            at,
            "slot_holds_wal",
            f"the slot {slot.name} has no consumer and holds"
            f" {slot.held_bytes / 1024**3:,.1f} GiB of WAL: the disk fills up",
            f"start its consumer, or SELECT pg_drop_replication_slot('{slot.name}')",
        )


def _settings(answer: Answer) -> Iterable[Finding]:
    at, settings = answer.where, answer.settings
    yield from judge_durability(at, settings)
    if settings["wal_level"] == "minimal":
        yield fault(
            at,
            "wal_level",
            "wal_level is minimal: no replica and no backup can follow",
            "set wal_level to replica and restart",
        )
    if settings["autovacuum"] == "off":
        yield fault(
            at,
            "autovacuum_off",
            "autovacuum is off: tables bloat, transaction ids run out",
            "set autovacuum to on and reload",
        )
    if answer.archive_failing:
        yield fault(
            at,
            "archive_failing",
            "archiving the last WAL segment failed: the recovery point stands still"
            " and pg_wal grows until the disk is full",
            "see the server's log for what archive_command said",
        )


def _tables(answer: Answer) -> Iterable[Finding]:
    for table in answer.tables:
        if table.dead > max(_DEAD_LEAST, _DEAD_SHARE * table.live):
            yield note(
                table.name,
                "dead_rows",
                f"has {table.dead:,} dead rows beside {table.live:,} live ones: reads"
                " slow down and the table grows",
                "see long transactions first; then VACUUM it, and lower"
                " autovacuum_vacuum_scale_factor for it",
            )
        if (
            table.name in _HOT_TABLES
            and table.updates > _UPDATES_LEAST
            and table.hot < _HOT_SHARE * table.updates
        ):
            share = 100 * table.hot / table.updates
            yield note(
                table.name,
                "few_hot_updates",
                f"{share:.0f} % of its updates were HOT: the rest rewrite every index",
                "an index of its own making stands in the way, or pages are full:"
                " authkit db validate",
            )


def _age(answer: Answer) -> Iterable[Finding]:
    forced = int(answer.settings["autovacuum_freeze_max_age"] or 200_000_000)
    if answer.xid_age > _XID_FAULT:
        yield fault(
            answer.where,
            "transaction_ids",
            f"the oldest transaction id is {answer.xid_age:,} old: at 2,000,000,000"
            " the server refuses writes",
            "end what holds the horizon (transactions, slots, prepared ones), then"
            " VACUUM FREEZE the oldest database",
        )
    elif answer.xid_age > 1.5 * forced:
        yield note(
            answer.where,
            "transaction_ids",
            f"the oldest transaction id is {answer.xid_age:,} old, over the"
            f" {forced:,} at which autovacuum freezes by force",
            "see what holds the horizon: transactions, slots, prepared ones",
        )
