"""Checkpoints of a real server: cut tails, dropped months, a failover that loses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import authkit
from authkit.crypto import SigningKey
from authkit.lab import cluster
from authkit.ops.migrate import upgrade
from authkit.relational import Fault, Verification
from authkit.relational.audit import Audit
from authkit.relational.canonical import canonical
from authkit.relational.chain import entry_hash
from authkit.relational.checkpoint import Checkpoint, evidence
from authkit.relational.checkpoint_log import CheckpointLog, read_file
from authkit.relational.journal import Journal, Origin
from authkit.schema.audit import AUDIT_SHARDS, GENESIS_HASH
from authkit.settings import Settings

SHARD = 7
AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)


@pytest.fixture
def log(tmp_path: Path) -> CheckpointLog:
    return CheckpointLog(tmp_path / "checkpoints", SigningKey.generate())


def take(kit, log: CheckpointLog) -> Checkpoint | str:
    with kit.unit_of_work(read_only=True) as uow:
        return log.add(uow.audit.checkpoint)


def judge(kit, log: CheckpointLog, **options) -> Verification:
    kept = read_file(log.path, log.key.public)
    with kit.unit_of_work(read_only=True) as uow:
        return uow.audit.verify(evidence=uow.audit.evidence(kept, **options))


def append(kit, count: int) -> None:
    for _ in range(count):
        with kit.unit_of_work() as uow:
            uow.audit.append("step.done")


@pytest.fixture(scope="module", autouse=True)
def past(superuser) -> None:
    """Three entries of August and two of September, as they were appended then."""
    previous = GENESIS_HASH
    months = (AUGUST, AUGUST, AUGUST, SEPTEMBER, SEPTEMBER)
    for seq, period in enumerate(months, start=1):
        when = datetime(period.year, period.month, 2, seq, tzinfo=UTC)
        stored = canonical(
            {"action": "step.done", "actor": "system:test", "outcome": "succeeded"}
        )
        digest = entry_hash(SHARD, seq, when, previous, stored)
        superuser.execute(
            "INSERT INTO authkit.audit_logs (period, shard, seq, recorded_at,"
            " prev_hash, hash, canonical, actor, action, outcome) VALUES"
            " (%s, %s, %s, %s, %s, %s, %s, 'system:test', 'step.done', 'succeeded')",
            (period, SHARD, seq, when, previous, digest, stored),
        )
        previous = digest
    superuser.execute(
        "UPDATE authkit.audit_chain_heads SET (seq, period, hash) = (5, %s, %s)"
        " WHERE shard = %s",
        (SEPTEMBER, previous, SHARD),
    )


def test_a_checkpoint_covers_every_head_the_timeline_and_the_position(kit, log):
    append(kit, 3)
    seen = take(kit, log)
    assert isinstance(seen, Checkpoint)
    assert [head.shard for head in seen.heads] == list(range(AUDIT_SHARDS))
    assert (seen.timeline, seen.lsn > 0) == (1, True)
    assert datetime.now(UTC) - seen.at < timedelta(hours=1)
    append(kit, 3)
    found = judge(kit, log)
    assert (found.intact, found.lost, found.dropped) == (True, (), ())


def test_a_tail_cut_off_together_with_its_heads_is_found(kit, log, database):
    append(kit, 20)
    take(kit, log)
    with psycopg.connect(database.url) as mallory:
        mallory.execute("SET session_replication_role = replica")
        for table in ("audit_logs", "audit_chain_heads"):
            mallory.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE authkit.{table}")
        shard = mallory.execute(
            "SELECT shard FROM authkit.audit_chain_heads WHERE seq > 1"
            " ORDER BY recorded_at DESC LIMIT 1"
        ).fetchone()[0]
        mallory.execute(
            "WITH cut AS (UPDATE authkit.audit_chain_heads AS h"
            "  SET (seq, hash) = (SELECT e.seq, e.hash FROM authkit.audit_logs AS e"
            "    WHERE e.shard = h.shard AND e.seq = h.seq - 1)"
            "  WHERE h.shard = %s RETURNING shard, seq)"
            " DELETE FROM authkit.audit_logs AS e USING cut"
            " WHERE e.shard = cut.shard AND e.seq > cut.seq",
            (shard,),
        )
        mallory.commit()
        with kit.unit_of_work(read_only=True) as uow:
            assert uow.audit.verify().intact
        broken = judge(kit, log).broken
        assert (broken.shard, broken.fault) == (shard, Fault.TRUNCATED)
        assert "missing at the end" in str(take(kit, log))
        for table in ("audit_logs", "audit_chain_heads"):
            mallory.execute(f"DELETE FROM authkit.{table}")
            mallory.execute(f"INSERT INTO authkit.{table} TABLE kept_{table}")
    assert judge(kit, log).intact


def test_a_month_is_sealed_once_it_is_over_and_each_entry_provable(kit, log):
    append(kit, 2)
    seen = take(kit, log)
    assert isinstance(seen, Checkpoint)
    assert [(s.period, s.entries) for s in seen.seals] == [(AUGUST, 3), (SEPTEMBER, 2)]
    assert seen.sealed_until == SEPTEMBER
    again = take(kit, log)
    assert isinstance(again, Checkpoint)
    assert (again.seals, again.sealed_until) == ((), SEPTEMBER)
    with kit.unit_of_work(read_only=True) as uow:
        trail = uow.audit.trail(until=datetime(2026, 9, 1, tzinfo=UTC))
        proofs = [uow.audit.prove(entry) for entry in trail]
    assert len(proofs) == 3
    assert all(proof.holds(seen.seals[0]) for proof in proofs)
    assert not any(proof.holds(seen.seals[1]) for proof in proofs)


def test_on_a_new_timeline_what_a_lost_checkpoint_sealed_is_sealed_again(kit):
    with kit.unit_of_work(read_only=True) as uow:
        seen = uow.audit.checkpoint()
        before = replace(seen, timeline=seen.timeline - 1)
        after = uow.audit.checkpoint(before)
    left = {before.timeline: before.lsn - 1}
    found = evidence([before, after], timeline=after.timeline, left=left)
    assert [seal.period for seal in found.seals] == [AUGUST, SEPTEMBER]
    assert after.sealed_until == SEPTEMBER


def test_after_a_month_was_dropped_nothing_else_may_be_missing(kit, log, database):
    take(kit, log)
    kept = read_file(log.path, log.key.public)
    url = database.url.replace("postgresql://", "postgresql+psycopg://")
    # Nothing of this is committed.
    with Session(create_engine(url, poolclass=NullPool)) as mallory:
        mallory.execute(text("SET LOCAL session_replication_role = replica"))
        audit = Audit(mallory, Journal(Origin()))

        def drop(condition: str) -> Verification:
            mallory.execute(text(f"DELETE FROM authkit.audit_logs WHERE {condition}"))
            return audit.verify(evidence=audit.evidence(kept))

        found = drop("period = '2026-08-01'")
        assert (found.intact, found.dropped) == (True, (AUGUST,))
        cut = drop("period = '2026-09-01' AND seq = 4").broken
        assert (cut.shard, cut.seq, cut.fault) == (SHARD, 5, Fault.MISSING)


def test_under_asyncio_the_trail_is_witnessed_and_verified_alike(module_settings):
    async def run() -> Verification:
        async with authkit.connect_async(module_settings) as kit:
            async with kit.unit_of_work() as uow:
                await uow.run(lambda w: w.audit.append("step.done"))
            async with kit.unit_of_work(read_only=True) as uow:
                seen = await uow.run(lambda w: w.audit.checkpoint())
                found = await uow.run(lambda w: w.audit.evidence([seen]))
                return await uow.run(lambda w: w.audit.verify(evidence=found))

    verified = asyncio.run(run())
    assert verified.intact
    assert verified.entries > 0


@pytest.mark.slow
def test_what_a_failover_loses_is_told_from_what_somebody_cut_off(log):
    with cluster(replicas=1, config={"fsync": "off"}, in_memory=True) as lab:
        upgrade(lab.url())
        urls = [lab.url("primary"), lab.url("replica")]
        # Commits that wait for no standby may be lost.
        careless = [f"{url}?options=-csynchronous_commit%3Dlocal" for url in urls]
        found = Settings.load(
            env_file=None, database_url=careless[0], database_replica_urls=careless[1:]
        )
        with authkit.connect(found) as kit:
            append(kit, 20)
            lab.wait_replayed()
            take(kit, log)
            (replica,) = lab.replicas
            lab.stop(replica)
            append(kit, 20)
            take(kit, log)
            lab.kill("primary")
            lab.start(replica)
            lab.promote(replica)
        settings = Settings.load(env_file=None, database_url=urls[1])
        with authkit.connect(settings) as kit:
            after = judge(kit, log)
            assert after.intact
            assert after.lost
            # Without the server's history nothing is excused.
            assert not judge(kit, log, left={}).intact
            take(kit, log)
            append(kit, 40)
            assert judge(kit, log).intact
