"""The primary is killed, frozen, restarted or left behind; a real pair of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from authkit.cluster import Health, Resolution, Role, Token, Verdict
from authkit.cluster.events import (
    Admitted,
    EpochRaised,
    HealthChanged,
    Quarantined,
    Suspected,
    VerdictChanged,
)
from authkit.errors import (
    AuthkitError,
    InDoubt,
    NoPrimary,
    SplitBrain,
    TokenLost,
    Unavailable,
)
from authkit.lab import cluster
from authkit.ops.migrate import upgrade
from authkit.settings import Settings


class Load:
    """Callers that write and read until they are stopped, and what became of it."""

    def __init__(self, driver, table, *, writers=2, readers=2):
        self.driver = driver
        self.table = table
        self.writers, self.readers = writers, readers
        self.stop = threading.Event()
        self.acknowledged: list[tuple[int, str]] = []
        self.write_errors: list[AuthkitError] = []
        self.reads: list[str] = []
        self.read_errors: list[AuthkitError] = []
        self._numbers = iter(range(10**9))
        with driver.writer() as connection:
            connection.execute(f"CREATE TABLE {table} (n int)")
        self._threads = [
            *(threading.Thread(target=self._write) for _ in range(writers)),
            *(threading.Thread(target=self._read) for _ in range(readers)),
        ]

    def __enter__(self):
        [thread.start() for thread in self._threads]
        self.driver.until(
            lambda: (
                (self.acknowledged or not self.writers)
                and (self.reads or not self.readers)
            ),
            "the load began",
        )
        return self

    def __exit__(self, *_):
        self.stop.set()
        [thread.join() for thread in self._threads]

    def _write(self):
        while not self.stop.is_set():
            n = next(self._numbers)
            try:
                with self.driver.writer(timeout=10) as connection:
                    connection.execute(f"INSERT INTO {self.table} VALUES (%s)", (n,))
                    node = connection.node
                self.acknowledged.append((n, node))
            except AuthkitError as exc:
                self.write_errors.append(exc)
            self.stop.wait(0.001)

    def _read(self):
        while not self.stop.is_set():
            try:
                with self.driver.reader(stale_ok=True, timeout=10) as connection:
                    connection.execute("SELECT 1")
                    node = connection.node
                self.reads.append(node)
            except AuthkitError as exc:
                self.read_errors.append(exc)
            self.stop.wait(0.001)

    def wrote_to(self, node, after):
        """Wait for a write to this node that is not among the first so many."""
        self.driver.until(
            lambda: any(name == node for _, name in self.acknowledged[after:]),
            f"a write to {node}",
        )


def name_of(lab, node):
    return f"127.0.0.1:{lab.server(node).port}"


def warm(driver):
    """Wait until a replica is known to be fresh."""
    driver.until(
        lambda: any(
            n.lag_s is not None
            for n in driver.cluster.status().nodes
            if n.role is Role.REPLICA
        ),
        "a replica of known lag",
    )


def rows(lab, table):
    return Counter(n for (n,) in lab.sql(f"SELECT n FROM {table}"))


def test_a_killed_primary_is_replaced_and_nothing_acknowledged_is_lost(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    warm(driver)
    old, new = victim.primary, victim.replicas[0]
    with Load(driver, table) as load:
        victim.kill(old)
        victim.promote(new)
        load.wrote_to(name_of(victim, new), len(load.acknowledged))
    kept = rows(victim, table)
    assert all(kept[n] == 1 for n, _ in load.acknowledged)
    assert all(isinstance(e, InDoubt | Unavailable) for e in load.write_errors)
    assert [e for e in load.read_errors if "lost" not in str(e)] == []
    assert driver.cluster.status().epoch == driver.events(EpochRaised)[-1].after
    sizes = driver.events(Admitted)[-1]
    assert (sizes.node, sizes.role, sizes.max_size) == (
        name_of(victim, new),
        Role.PRIMARY,
        20,
    )


def test_a_frozen_primary_frees_its_callers_and_gets_no_write_after_its_thaw(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    warm(driver)
    old, new = victim.primary, victim.replicas[0]
    with Load(driver, table) as load:
        victim.freeze(old)
        victim.promote(new, fence=False)
        load.wrote_to(name_of(victim, new), len(load.acknowledged))
        after = len(load.acknowledged)
        victim.thaw(old)
        driver.await_event(
            HealthChanged,
            lambda e: e.node == name_of(victim, old) and "timeline" in e.reason,
        )
        load.wrote_to(name_of(victim, new), after + 50)
    nodes = {node for _, node in load.acknowledged[after:]}
    assert nodes == {name_of(victim, new)}
    assert load.read_errors == []
    kept = rows(victim, table)
    assert all(kept[n] == 1 for n, _ in load.acknowledged)


def test_a_late_probe_has_every_node_looked_at_closely(drive, hurt, victim):
    """The replica may be promoted before the frozen primary is given up."""
    driver = drive(hurt).open()
    warm(driver)
    hurried: list[bool] = []
    driver.cluster.events.subscribe(
        lambda _: hurried.append(driver.cluster._roster._trouble() is not None),
        Suspected,
    )
    victim.freeze()
    late = driver.await_event(Suspected, lambda e: "late" in e.reason)
    victim.thaw()
    assert late[1].node == name_of(victim, victim.primary)
    driver.until(lambda: hurried, "the subscriber was told")
    assert all(hurried)


def test_a_frozen_primary_without_a_successor_is_given_up_and_taken_back(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    blocked: list[AuthkitError] = []
    inside = threading.Event()

    def call() -> None:
        try:
            with driver.writer() as connection:
                inside.set()
                connection.execute("SELECT pg_sleep(60)")
        except AuthkitError as exc:
            blocked.append(exc)

    caller = threading.Thread(target=call)
    caller.start()
    inside.wait(10)
    victim.freeze()
    try:
        driver.await_event(Quarantined, lambda e: "two probes" in e.reason)
        caller.join(20)
        assert [type(error) for error in blocked] == [InDoubt]
        with pytest.raises(NoPrimary), driver.writer(timeout=0.05):
            pass
    finally:
        victim.thaw()
    driver.until(lambda: driver.cluster.status().writable, "the primary is back")
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_a_restart_costs_nobody_who_was_idle_an_error(drive, hurt, victim):
    driver = drive(hurt).open()
    with driver.writer() as connection:
        connection.execute("SELECT 1")
    victim.stop(immediate=True)
    victim.start()
    for _ in range(10):
        with driver.writer(timeout=10) as connection:
            assert connection.execute("SELECT 1") == [(1,)]


def test_reads_go_on_while_the_replica_is_lost_and_come_back_to_it(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    warm(driver)
    replica = victim.replicas[0]
    with Load(driver, table, writers=0) as load:
        victim.kill(replica)
        driver.await_event(
            HealthChanged,
            lambda e: e.node == name_of(victim, replica) and e.after is Health.DOWN,
        )
        lost = len(load.read_errors)
        seen = len(load.reads)
        driver.until(lambda: len(load.reads) > seen + 20, "reads by the primary")
        victim.rejoin(replica)
        driver.until(
            lambda: name_of(victim, replica) in load.reads[-10:], "reads by the replica"
        )
    assert [e for e in load.read_errors if "lost" not in str(e)] == []
    # What was under way on the server, whose processes die one after the other; and
    # nothing once it was known to be down, but what was told of it in that moment.
    assert len(load.read_errors) <= lost + load.readers
    assert lost <= hurt.database_replica_pool_max


def test_a_read_that_is_run_survives_the_loss_of_its_replica(drive, hurt, victim):
    from authkit.cluster import Intent

    driver = drive(hurt).open()
    warm(driver)
    replica, once = victim.replicas[0], [True]

    def work(connection):
        connection.execute("SELECT 1")
        if once:
            once.clear()
            victim.kill(replica)
        return connection.execute("SELECT pg_is_in_recovery()")

    assert driver.run(work, intent=Intent.READ, max_lag=60) == [(False,)]


def test_an_old_primary_that_is_alive_gets_no_write(drive, hurt, victim, table):
    driver = drive(hurt).open()
    old, new = victim.primary, victim.replicas[0]
    with Load(driver, table, readers=1) as load:
        victim.promote(new, fence=False)
        load.wrote_to(name_of(victim, new), len(load.acknowledged))
        after = len(load.acknowledged)
        load.wrote_to(name_of(victim, new), after + 50)
    assert {node for _, node in load.acknowledged[after:]} == {name_of(victim, new)}
    assert driver.cluster.topology.node(name_of(victim, old)).health is Health.REFUSED


def test_two_primaries_of_one_timeline_refuse_writes_and_serve_reads(
    drive, hurt, victim
):
    """A replica that is started without its standby signal begins no new timeline."""
    driver = drive(hurt).open()
    server = victim.server(victim.replicas[0])
    victim.stop(victim.replicas[0])
    (server.data / "standby.signal").unlink()
    victim.start(victim.replicas[0])
    try:
        _, event = driver.await_event(
            VerdictChanged, lambda e: e.after is Verdict.SPLIT_BRAIN
        )
        assert event.primary is None
        with pytest.raises(SplitBrain, match="two nodes"), driver.writer(timeout=0.05):
            pass
    finally:
        victim.reset()
        upgrade(victim.url())


def test_transactions_with_a_key_are_applied_exactly_once_through_a_failover(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    done: list[int] = []
    stop = threading.Event()
    numbers = iter(range(10**9))

    def write() -> None:
        while not stop.is_set():
            n = next(numbers)
            driver.run(
                lambda c, n=n: c.execute(f"INSERT INTO {table} VALUES (%s)", (n,)),
                key=f"{table} {n}",
                deadline=20,
            )
            done.append(n)

    threads = [threading.Thread(target=write) for _ in range(3)]
    [thread.start() for thread in threads]
    driver.until(lambda: len(done) > 20, "the load began")
    victim.kill()
    victim.promote(victim.replicas[0])
    before = len(done)
    driver.until(lambda: len(done) > before + 20, "it went on")
    stop.set()
    [thread.join() for thread in threads]
    kept = rows(victim, table)
    assert {n: kept[n] for n in done} == dict.fromkeys(done, 1)
    assert sorted(kept) == sorted(done)


def test_a_token_holds_across_a_promotion_or_is_lost_by_name(
    drive, hurt, victim, table
):
    driver = drive(hurt).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
        token = driver.call("token", connection.raw)
    new = name_of(victim, victim.replicas[0])
    victim.kill()
    victim.promote(victim.replicas[0])
    driver.until(
        lambda: driver.cluster.status().primary == new, "the new primary is known"
    )
    with driver.reader(after=token) as connection:
        assert connection.execute(f"SELECT n FROM {table}") == []
    lost = Token(token.timeline, token.lsn + 2**30)
    with pytest.raises(TokenLost), driver.reader(after=lost):
        pass


def test_a_commit_that_no_standby_confirmed_is_in_doubt_until_it_is_resolved(
    drive, hurt, victim, table
):
    """Cancelled while it waits, a commit reports success and stands on one node."""
    driver = drive(hurt).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    replica, key = victim.replicas[0], f"unconfirmed {table}"
    victim.freeze(replica)
    try:
        caught: list[AuthkitError] = []

        def write() -> None:
            try:
                driver.run(
                    lambda c: c.execute(f"INSERT INTO {table} VALUES (1)"), key=key
                )
            except AuthkitError as exc:
                caught.append(exc)

        writer = threading.Thread(target=write)
        writer.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        (pid,) = driver.until(lambda: victim.sql(waiting), "the commit waits")[0]
        victim.sql("SELECT pg_cancel_backend(%s)", [pid])
        writer.join(20)
    finally:
        victim.thaw(replica)
    assert [type(error) for error in caught] == [InDoubt]
    assert caught[0].key == key
    assert driver.call("resolve", key, timeout=20) is Resolution.APPLIED


@pytest.mark.slow
@pytest.mark.timeout(900)  # fifty rejoins on a loaded machine
def test_fifty_failovers_leave_nothing_behind(drive_each, hurt, victim, table):
    drivers = [driver.open() for driver in drive_each(hurt)]
    with drivers[0].writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    before = _held()
    for n in range(50):
        old, new = victim.primary, victim.replicas[0]
        victim.kill(old)
        victim.promote(new)
        for at, driver in enumerate(drivers):
            driver.run(
                lambda c, n=n: c.execute(f"INSERT INTO {table} VALUES (%s)", (n,)),
                key=f"{table} {n} {at}",
                deadline=30,
            )
        victim.rejoin(old)
        for driver in drivers:
            driver.call("wait_for", replicas=1)
    assert rows(victim, table) == Counter([*range(50), *range(50)])
    # A few connections and workers more or less are the pools'; one left behind by each
    # failover would be fifty.
    drivers[0].until(
        lambda: all(now <= was + 8 for now, was in zip(_held(), before, strict=True)),
        "threads, descriptors and tasks ended",
    )


def _held() -> tuple[int, int, int]:
    gc.collect()
    tasks = sum(isinstance(o, asyncio.Task) and not o.done() for o in gc.get_objects())
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), tasks


def test_a_replica_that_crashed_serves_no_read_whose_bound_it_does_not_keep(
    drive, table
):
    bound = 0.9
    with cluster(1, in_memory=True, synchronous=False) as lab:
        own = Settings.load(
            None, **{name.lower(): url for name, url in lab.env().items()}
        )
        driver = drive(own).open()
        (replica,) = lab.replicas
        lab.sql(f"CREATE TABLE {table} (n int)")
        lab.wait_replayed()
        for node in (lab.primary, replica):
            lab.sql("CHECKPOINT", node=node)
        lab.sql(f"INSERT INTO {table} VALUES (1)")
        written = monotonic()
        view = driver.cluster._roster.nodes[name_of(lab, replica)]
        driver.until(lambda: view.view.fresh_at > written, "the replica has the row")
        # What it had replayed it lacks when it comes back, and is long in replaying.
        lab.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'", node=replica)
        driver.until(lambda: monotonic() > written + bound, "the row is old enough")
        before = view.view.started
        lab.kill(replica)
        lab.start(replica)
        assert lab.sql(f"SELECT n FROM {table}", node=replica) == []
        more = iter(range(50))
        while view.view.started == before or next(more, None) is not None:
            with driver.reader(max_lag=bound, timeout=10) as connection:
                assert connection.execute(f"SELECT n FROM {table}") == [(1,)]
