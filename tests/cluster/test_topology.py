"""The picture of the nodes: its rules, then a model of a real cluster."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from authkit.cluster.changes import changes
from authkit.cluster.events import EpochRaised, RoleChanged, VerdictChanged
from authkit.cluster.topology import HISTORY, Topology, Verdict, lose, observe
from authkit.cluster.views import Health, Loss, Observation, Role, Snapshot

BLANK = Topology.of([("a", None), ("b", "east"), ("c", None)])


def seen(node: str, role: Role = Role.PRIMARY, **fields: object) -> Observation:
    defaults = {
        "sent": 1.0,
        "received": 1.001,
        "timeline": 1,
        "system_id": "7",
        "lsn": 100,
        "started": f"server {node}",
        "version": 180_000,
        "streaming": role is Role.REPLICA,
    }
    return Observation(node=node, role=role, **(defaults | fields))


def picture(*observations: Observation, start: Topology = BLANK) -> Topology:
    for observation in observations:
        start = observe(start, observation)
    return start


def test_nothing_is_writable_before_anybody_answered():
    assert BLANK.verdict is Verdict.NO_PRIMARY
    assert "not asked yet" in BLANK.why_not_writable()
    assert BLANK.node("b").zone == "east"
    with pytest.raises(KeyError, match="nobody"):
        BLANK.node("nobody")


def test_the_primary_is_the_one_on_the_highest_timeline():
    after = picture(seen("a"), seen("b", timeline=2, sent=2, received=2))
    assert after.primary is not None
    assert after.primary.name == "b"
    assert (after.epoch, after.verdict) == (2, Verdict.WRITABLE)
    assert after.node("a").health is Health.REFUSED
    assert "timeline 1" in after.node("a").reason


def test_an_old_primary_that_answers_again_is_refused():
    after = picture(seen("b", timeline=2), seen("a", timeline=1, received=9))
    assert after.primary is not None
    assert after.primary.name == "b"
    assert after.node("a").health is Health.REFUSED


def test_a_replica_that_follows_a_later_timeline_unseats_the_primary_we_know():
    before = picture(seen("a"))
    after = observe(before, seen("c", Role.REPLICA, timeline=2, received=3))
    assert after.verdict is Verdict.NO_PRIMARY
    assert after.node("a").health is Health.REFUSED
    assert [type(e) for e in changes(before, after)].count(EpochRaised) == 1


def test_a_tie_refuses_writes_and_names_both():
    after = picture(seen("a"), seen("b"))
    assert (after.verdict, after.primary) == (Verdict.SPLIT_BRAIN, None)
    assert "a is a primary" in after.why_not_writable()
    assert "b is a primary" in after.why_not_writable()


def test_a_second_primary_of_the_same_timeline_is_refused_while_the_first_is_down():
    after = observe(lose(picture(seen("a")), Loss("a", 2.0, "gone")), seen("b"))
    assert after.verdict is Verdict.SPLIT_BRAIN


def test_a_tie_ends_when_one_of_them_is_a_replica_again():
    after = picture(
        seen("a"), seen("b"), seen("b", Role.REPLICA, received=5, started="new")
    )
    assert after.verdict is Verdict.WRITABLE


def test_one_server_under_two_names_is_no_tie():
    after = picture(seen("a"), seen("b", started="server a"))
    assert after.verdict is Verdict.WRITABLE
    assert after.node("b").health is Health.REFUSED
    assert "same server" in after.node("b").reason
    later_name_first = picture(seen("b", started="x"), seen("a", started="x"))
    assert later_name_first.verdict is Verdict.WRITABLE


def test_a_node_of_another_system_is_refused_however_high_its_timeline():
    after = picture(seen("a"), seen("b", system_id="8", timeline=99))
    assert after.node("b").health is Health.REFUSED
    assert "another system" in after.node("b").reason
    assert after.epoch == 1
    assert after.primary is not None
    assert after.primary.name == "a"


def test_a_server_that_is_too_old_is_refused():
    after = picture(seen("a", version=140_012))
    assert after.node("a").health is Health.REFUSED
    assert "15" in after.node("a").reason


def test_the_epoch_of_an_earlier_client_bars_the_old_primary():
    start = Topology.of([("a", None)], epoch=2, system_id="7")
    assert picture(seen("a"), start=start).verdict is Verdict.NO_PRIMARY


def test_an_older_answer_changes_nothing():
    now = picture(seen("a", received=5.0))
    assert observe(now, seen("a", Role.REPLICA, received=4.0)) is now
    # Of two of the same moment the one that is heard later counts.
    after = observe(now, seen("a", Role.REPLICA, received=5.0))
    assert after.node("a").role is Role.REPLICA


def test_an_older_answer_can_still_prove_a_later_timeline():
    now = picture(seen("a", received=5.0), seen("b", Role.REPLICA, received=5.0))
    after = observe(now, seen("b", Role.REPLICA, timeline=2, received=4.0))
    assert (after.epoch, after.verdict) == (2, Verdict.NO_PRIMARY)


def test_a_lost_node_keeps_its_role_and_serves_nobody():
    after = lose(picture(seen("a")), Loss("a", 2.0, "connection refused"))
    node = after.node("a")
    assert (node.health, node.role) == (Health.DOWN, Role.PRIMARY)
    assert after.verdict is Verdict.NO_PRIMARY
    assert "connection refused" in after.why_not_writable()


def test_a_lag_that_is_not_known_is_infinite():
    alone = picture(seen("b", Role.REPLICA))
    assert alone.node("b").staleness(100.0) == math.inf
    behind = picture(seen("a", lsn=500), seen("b", Role.REPLICA, lsn=100))
    assert behind.node("b").staleness(100.0) == math.inf
    assert behind.node("b").lag_bytes == 400


def test_staleness_counts_from_the_last_position_that_was_replayed():
    after = picture(
        seen("a", sent=10, received=10.1, lsn=100),
        seen("a", sent=20, received=20.1, lsn=200),
        seen("b", Role.REPLICA, sent=21, received=21.1, lsn=150),
    )
    assert after.node("b").staleness(25.0) == 15.0
    assert after.node("b").lag_bytes == 50
    caught_up = observe(after, seen("b", Role.REPLICA, received=22, lsn=200))
    assert caught_up.node("b").staleness(25.0) == 5.0
    assert after.node("a").staleness(25.0) == 0.0


def test_a_replica_that_comes_back_with_less_is_dated_anew():
    """A crashed standby takes queries again before it has replayed what it had."""
    primary = (
        seen("a", sent=10, received=10.1, lsn=100),
        seen("a", sent=20, received=20.1, lsn=200),
    )
    had = picture(*primary, seen("b", Role.REPLICA, received=21, lsn=200))
    assert had.node("b").fresh_at == 20
    for less in (
        seen("b", Role.REPLICA, received=22, lsn=150),
        seen("b", Role.REPLICA, received=22, lsn=150, started="anew"),
    ):
        assert observe(had, less).node("b").fresh_at == 10
    nothing = seen("b", Role.REPLICA, received=22, lsn=50)
    assert observe(had, nothing).node("b").staleness(25.0) == math.inf


def test_a_replica_stays_fresh_while_nobody_writes():
    """Neither position moves: what moves is until when that is known."""
    after = picture(
        seen("a", sent=10, received=10.1),
        seen("b", Role.REPLICA, received=10.2),
        seen("a", sent=20, received=20.1),
    )
    assert (after.node("b").lag_bytes, after.node("b").staleness(25.0)) == (0, 5.0)


def test_who_serves_reads_are_the_replicas_that_answer():
    after = picture(
        seen("a"),
        seen("b", Role.REPLICA),
        seen("c", Role.REPLICA, system_id="8"),
    )
    assert after.replicas == (after.node("b"),)


def test_a_replica_of_an_earlier_timeline_has_no_lag_in_bytes():
    after = picture(
        seen("a", timeline=2, lsn=500), seen("b", Role.REPLICA, timeline=1, lsn=400)
    )
    assert after.node("b").lag_bytes is None
    assert after.node("b").staleness(9.0) == math.inf


def test_the_history_of_positions_is_bounded():
    after = BLANK
    for at in range(HISTORY + 50):
        after = observe(after, seen("a", sent=float(at), received=at + 0.1, lsn=at))
    assert len(after.history) == HISTORY
    burst = after
    for at in range(100):
        now = 1000 + at / 100
        burst = observe(burst, seen("a", sent=now, received=now, lsn=1000 + at))
    assert len(burst.history) == HISTORY
    assert sum(mark.date >= 1000 for mark in burst.history) < 10


def test_wal_that_is_no_commit_does_not_make_a_replica_look_stale():
    primary = seen("a", sent=10, lsn=150, snapshot=Snapshot(7, 8, frozenset({7})))
    behind = seen("b", Role.REPLICA, lsn=100, snapshot=Snapshot(7, 8))
    assert picture(primary, behind).node("b").staleness(12.0) == 2.0


@pytest.mark.parametrize(
    ("replica", "sees"),
    [(Snapshot(9, 9), True), (Snapshot(8, 9), False), (Snapshot(7, 9), False)],
)
def test_a_snapshot_is_seen_when_no_complete_transaction_is_missing(replica, sees):
    """7 runs on the primary; 8 is complete there and must be so on the replica."""
    assert Snapshot(7, 9, frozenset({7})).seen_by(replica) is sees
    assert Snapshot(7, 8, frozenset({7})).seen_by(Snapshot(7, 8))


def test_an_answer_is_kept_whole():
    view = picture(seen("b", Role.REPLICA, sent=1.0, received=1.25, pooled=True)).node(
        "b"
    )
    assert (view.round_trip_s, view.streaming, view.pooled) == (0.25, True, True)
    assert (view.zone, view.reason, view.version) == ("east", "", 180_000)
    assert view.observed_at == 1.25


def test_a_lost_node_streams_no_more_and_an_older_answer_of_it_comes_too_late():
    before = picture(seen("b", Role.REPLICA, received=5.0))
    after = lose(before, Loss("b", 9.0, "gone"))
    assert after.node("b").streaming is False
    assert after.replicas == ()
    assert observe(after, seen("b", Role.REPLICA, received=8.0)) is after
    assert lose(after, Loss("b", 2.0, "gone")).node("b").observed_at == 9.0


def test_what_system_it_is_outlives_a_loss_and_an_older_answer():
    start = Topology.of([("a", None), ("b", None)], system_id="8")
    assert picture(seen("a"), start=start).node("a").health is Health.REFUSED
    lost = lose(picture(seen("a")), Loss("a", 2.0, "gone"))
    assert lost.system_id == "7"
    late = seen("a", Role.REPLICA, timeline=2, received=0.5)
    assert observe(picture(seen("a")), late).system_id == "7"


def test_every_new_picture_has_the_next_number():
    first = picture(seen("a"))
    second = lose(first, Loss("a", 2.0, "gone"))
    assert [BLANK.version, first.version, second.version] == [0, 1, 2]


def test_the_first_version_that_is_served_is_15():
    assert picture(seen("a", version=150_000)).node("a").health is Health.UP
    assert picture(seen("a", version=149_999)).node("a").health is Health.REFUSED


def test_a_third_name_is_judged_too_and_told_whose_twin_it_is():
    after = picture(
        seen("a"), seen("b", started="server a"), seen("c", started="server a")
    )
    for name in ("b", "c"):
        assert after.node(name).reason == "it is the same server as a"


def test_why_nobody_is_written_to_is_told_by_timeline_and_node():
    assert BLANK.why_not_writable().startswith(
        "no node is the primary of timeline any: a "
    )
    lost = lose(picture(seen("a", timeline=3)), Loss("a", 2.0, "gone"))
    assert lost.why_not_writable() == (
        "no node is the primary of timeline 3: a is down: gone; "
        "b is unknown: not asked yet; c is unknown: not asked yet"
    )
    old, newer = (seen(n, Role.REPLICA, timeline=t) for n, t in (("b", 2), ("c", 3)))
    assert (
        picture(old, newer, start=lost)
        .why_not_writable()
        .endswith("; b is a replica on timeline 2; c is a replica")
    )
    mute = picture(seen("b", Role.REPLICA, timeline=0), start=lost)
    assert "; b is a replica; " in mute.why_not_writable()
    tied = picture(seen("a"), seen("b")).why_not_writable()
    assert tied.startswith("two nodes claim to be the primary of timeline 1: ")


def test_an_address_that_is_lost_does_not_hide_the_one_that_answers():
    """One server under two names: the first was lost, the second answers."""
    lost = lose(picture(seen("a")), Loss("a", 2.0, "gone"))
    after = observe(lost, seen("b", received=3.0, started="server a"))
    assert after.verdict is Verdict.WRITABLE
    assert after.primary is not None
    assert after.primary.name == "b"
    again = observe(lose(after, Loss("b", 4.0, "gone")), seen("a", received=5.0))
    assert again.primary is not None
    assert again.primary.name == "a"


def test_primaries_that_told_no_start_are_told_apart_by_name():
    tied = picture(seen("a", started=""), seen("b", started=""))
    assert tied.verdict is Verdict.SPLIT_BRAIN


def test_a_replica_that_leaves_the_timeline_loses_its_lag_in_bytes():
    before = picture(seen("a", lsn=500), seen("b", Role.REPLICA, lsn=500))
    assert before.node("b").lag_bytes == 0
    after = observe(before, seen("a", timeline=2, lsn=600, received=3.0))
    assert after.node("b").lag_bytes is None


def test_a_snapshot_is_needed_of_both():
    told = seen("a", sent=10, lsn=150, snapshot=Snapshot(7, 8))
    silent = seen("b", Role.REPLICA, lsn=100)
    assert picture(told, silent).node("b").staleness(12.0) == math.inf
    mute = seen("a", sent=10, lsn=150)
    known = seen("b", Role.REPLICA, lsn=100, snapshot=Snapshot(7, 8))
    assert picture(mute, known).node("b").staleness(12.0) == math.inf


def test_a_burst_keeps_its_first_and_its_newest_answer():
    after = BLANK
    for sent in (10.0, 10.05, 10.1, 10.2, 10.4):
        after = observe(after, seen("a", sent=sent, received=sent, lsn=int(sent * 100)))
    assert [mark.date for mark in after.history] == [10.0, 10.2, 10.4]


def test_changes_tell_of_a_promotion():
    before = picture(seen("a"), seen("b", Role.REPLICA))
    after = observe(before, seen("b", timeline=2, received=9))
    kinds = {type(event) for event in changes(before, after)}
    assert {EpochRaised, RoleChanged, VerdictChanged} <= kinds


class RealCluster(RuleBasedStateMachine):
    """Nodes that are promoted, lost and rewound; answers come in any order."""

    names = ("a", "b", "c")

    @initialize()
    def begin(self) -> None:
        self.xids = dict.fromkeys(self.names, 100)
        self.now = 1.0
        self.position = 1000
        self.picture = Topology.of([(name, None) for name in self.names])
        self.truth = {
            name: {"role": Role.REPLICA, "timeline": 1, "lsn": 1000, "start": 0}
            for name in self.names
        }
        self.truth["a"]["role"] = Role.PRIMARY
        self.written: list[tuple[float, int, int]] = [(0.0, 1, 1000)]
        self.epoch_told = 0
        self.pending: list[Observation] = []

    def primary(self) -> str | None:
        highest = max(t["timeline"] for t in self.truth.values())
        for name, truth in self.truth.items():
            if truth["role"] is Role.PRIMARY and truth["timeline"] == highest:
                return name
        return None

    @rule(seconds=st.floats(0.001, 2.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.integers(1, 500))
    @precondition(lambda self: self.primary() is not None)
    def write(self, size: int) -> None:
        truth = self.truth[self.primary()]
        truth["lsn"] += size
        self.xids[self.primary()] += 1
        self.now += 0.001
        self.written.append((self.now, truth["timeline"], truth["lsn"]))

    @rule(size=st.integers(1, 500))
    @precondition(lambda self: self.primary() is not None)
    def make_wal_that_is_no_commit(self, size: int) -> None:
        self.truth[self.primary()]["lsn"] += size

    @rule(name=st.sampled_from(names), part=st.floats(0, 1))
    @precondition(lambda self: self.primary() is not None)
    def replicate(self, name: str, part: float) -> None:
        source, target = self.truth[self.primary()], self.truth[name]
        if target["role"] is Role.REPLICA:
            behind = source["lsn"] - target["lsn"]
            target["timeline"] = source["timeline"]
            target["lsn"] += max(0, int(behind * part))
            self.xids[name] = max(
                self.xids[self.primary()] * (behind * part >= behind), self.xids[name]
            )

    @rule(name=st.sampled_from(names))
    def promote(self, name: str) -> None:
        truth = self.truth[name]
        if truth["role"] is Role.REPLICA:
            truth["role"] = Role.PRIMARY
            truth["timeline"] = max(t["timeline"] for t in self.truth.values()) + 1
            self.now += 0.001
            self.written.append((self.now, truth["timeline"], truth["lsn"]))

    @rule(name=st.sampled_from(names))
    def rejoin(self, name: str) -> None:
        truth = self.truth[name]
        if truth["role"] is Role.PRIMARY and name != self.primary():
            truth["role"] = Role.REPLICA
            truth["lsn"] = 1000
            truth["start"] += 1
            self.xids[name] = 100

    @rule(name=st.sampled_from(names), part=st.floats(0, 1), whole=st.booleans())
    def crash(self, name: str, part: float, *, whole: bool) -> None:
        """A standby begins again before where it was; a new server, or the same."""
        truth = self.truth[name]
        if truth["role"] is Role.REPLICA:
            truth["lsn"] = 1000 + int((truth["lsn"] - 1000) * part)
            truth["start"] += whole
            self.xids[name] = 100

    @rule(name=st.sampled_from(names))
    def ask(self, name: str) -> None:
        truth = self.truth[name]
        self.pending.append(
            Observation(
                node=name,
                sent=self.now,
                received=self.now + 0.001,
                role=truth["role"],
                timeline=truth["timeline"],
                system_id="7",
                lsn=truth["lsn"],
                started=f"{name} {truth['start']}",
                version=180_000,
                streaming=True,
                snapshot=Snapshot(self.xids[name], self.xids[name]),
            )
        )
        self.now += 0.002

    @rule(data=st.data())
    @precondition(lambda self: self.pending)
    def hear(self, data: st.DataObject) -> None:
        """Answers of different nodes arrive in any order; those of one, in theirs."""
        first = {o.node: o for o in reversed(self.pending)}
        observation = first[data.draw(st.sampled_from(sorted(first)))]
        self.pending.remove(observation)
        self.epoch_told = max(self.epoch_told, observation.timeline)
        self.picture = observe(self.picture, observation)

    @rule(name=st.sampled_from(names))
    def lose_one(self, name: str) -> None:
        self.picture = lose(self.picture, Loss(name, self.now, "lost"))

    @invariant()
    def the_epoch_is_the_highest_timeline_told(self) -> None:
        assert self.picture.epoch == self.epoch_told

    @invariant()
    def who_is_written_to_is_alone_and_on_the_epoch(self) -> None:
        primary = self.picture.primary
        assert (primary is not None) == (self.picture.verdict is Verdict.WRITABLE)
        if primary is not None:
            assert primary == self.picture.node(primary.name)
            assert primary.health is Health.UP
            assert primary.role is Role.PRIMARY
            assert primary.timeline == self.picture.epoch

    @invariant()
    def nobody_serves_reads_but_a_usable_replica(self) -> None:
        for node in self.picture.replicas:
            assert (node.health, node.role) == (Health.UP, Role.REPLICA)

    @invariant()
    def an_earlier_primary_never_serves(self) -> None:
        for node in self.picture.nodes:
            if node.role is Role.PRIMARY and node.timeline < self.picture.epoch:
                assert node.health is not Health.UP

    @invariant()
    def staleness_is_an_upper_bound(self) -> None:
        """What was written on its timeline before `fresh_at`, the replica has."""
        for node in self.picture.nodes:
            if node.role is not Role.REPLICA or math.isinf(node.fresh_at):
                continue
            if node.timeline != self.picture.epoch:
                continue
            before = [
                lsn
                for at, timeline, lsn in self.written
                if at <= node.fresh_at and timeline == node.timeline
            ]
            assert all(lsn <= node.lsn for lsn in before)


RealCluster.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
TestRealCluster = RealCluster.TestCase


def test_the_verdict_does_not_depend_on_the_order_of_the_nodes():
    answers = [seen("a"), seen("b", timeline=2), seen("c", Role.REPLICA, timeline=2)]
    one = picture(*answers)
    other = picture(*reversed(answers))
    assert one.primary == other.primary
    assert replace(one, version=0).verdict is other.verdict


def test_a_node_is_in_its_zone_before_anybody_asked_it():
    nodes = Topology.of([("a", "east"), ("b", None)]).nodes
    assert [(node.name, node.zone) for node in nodes] == [("a", "east"), ("b", None)]
