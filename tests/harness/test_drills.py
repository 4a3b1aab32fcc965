"""The drills: what they measure is pure, what they do is done to real servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.harness.drills import run
from authkit.harness.drills.ledger import Call, Span, judge
from authkit.harness.drills.rounds import (
    BOTH,
    Colour,
    Distribution,
    Goals,
    first_ms,
    freed_ms,
)
from authkit.harness.drills.run import Ground
from authkit.harness.drills.saturation import saturation
from authkit.harness.drills.scenarios import SCENARIOS, Scenario
from authkit.harness.drills.servers import LabServers, settings_of
from authkit.harness.drills.servers_links import LabImpostors
from authkit.harness.drills.staleness import staleness
from authkit.lab import Lab, cluster
from authkit.ops.migrate import upgrade


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with cluster(replicas=2, in_memory=True) as made:
        upgrade(made.url())
        yield made


@pytest.fixture(scope="module")
def ground(lab: Lab) -> Iterator[Ground]:
    with LabServers(lab, proxied=True) as servers:
        yield Ground(servers, servers.links, LabImpostors(lab))


def called(number, outcome, *, kind="write"):
    return Call(kind, "worker", number, 0.0, 1.0, outcome, 1)


# --- what is concluded --------------------------------------------------------------


@given(
    st.dictionaries(
        st.integers(1, 40),
        st.tuples(
            st.sampled_from(["done", "doubt", "applied", "void", "failed"]),
            st.integers(0, 2),
        ),
    ),
    st.frozensets(st.integers(1, 40)),
)
def test_the_checker_names_exactly_what_clients_and_servers_disagree_on(world, late):
    calls = tuple(called(number, outcome) for number, (outcome, _) in world.items())
    rows = {number: times for number, (_, times) in world.items() if times}
    told = {number for number, (outcome, _) in world.items() if outcome == "done"}
    told |= {number for number, (outcome, _) in world.items() if outcome == "applied"}
    found = judge(calls, rows, late)
    assert found.checked == len(told)
    assert set(found.lost) == {n for n in told if n not in rows}
    assert set(found.duplicated) == {n for n, times in rows.items() if times == 2}
    assert set(found.misjudged) == {
        n
        for n, (outcome, times) in world.items()
        if outcome in {"void", "failed"} and times
    }
    assert found.late == tuple(sorted(late))


def test_a_blocked_call_counts_from_the_fault_and_one_sent_later_from_its_start():
    spans = [Span("a", 1.0, 5.0), Span("a", 4.0, 5.5), Span("b", 1.0, 9.0)]
    assert freed_ms(spans, "a", 3.0) == 2000
    assert freed_ms(spans, "a", 6.0) is None


def test_the_first_write_is_the_first_of_any_and_everyones_is_the_last_of_all():
    assert first_ms({"a": 2.0, "b": 3.0}, ("a", "b"), 1.0) == (1000, 2000)
    assert first_ms({"a": 2.0}, ("a", "b"), 1.0) == (1000, None)
    assert first_ms({}, ("a",), 1.0) == (None, None)


def test_a_distribution_of_nothing_is_nothing():
    assert Distribution.of([None]) is None
    found = Distribution.of([1.0, None, 3.0])
    assert found is not None
    assert (found.count, found.max) == (2, 3.0)


# --- what is done -------------------------------------------------------------------


def test_a_drill_finds_what_is_planted_among_the_rows(ground: Ground):
    servers = ground.servers

    def planted(field):
        field.written(times=3)
        with psycopg.connect(servers.admin_url(servers.primary)) as admin:
            numbers = admin.execute(
                "SELECT number, epoch FROM public.drill_writes ORDER BY number DESC"
            ).fetchall()
            (gone, _), (twice, epoch), (late, _) = numbers[:3]
            admin.execute("DELETE FROM public.drill_writes WHERE number = %s", (gone,))
            insert = "INSERT INTO public.drill_writes VALUES (%s, %s, %s)"
            admin.execute(insert, (twice, epoch, epoch))
            admin.execute(
                "UPDATE public.drill_writes SET timeline = epoch - 1 WHERE number = %s",
                (late,),
            )
        planted.numbers = gone, twice, late

    scenario = Scenario("planted", "", planted, Goals())
    (found,) = ground.play(scenario, rounds=1, colour="sync")
    gone, twice, late = planted.numbers
    verdict = found.verdict
    assert (verdict.lost, verdict.duplicated, verdict.late) == (
        (gone,),
        (twice,),
        (late,),
    )


# Every drill in one colour by default; in the other one, and the long ones, if asked.
QUICK = {
    "failover": "sync",
    "freeze": "async",
    "blackhole": "sync",
    "flap": "async",
    "restart": "sync",
    "replica-lost": "async",
}
PLAYED = [
    pytest.param(
        name,
        colour,
        marks=() if QUICK.get(name) == colour else pytest.mark.slow,
        id=f"{name}-{colour}",
    )
    for name in SCENARIOS
    for colour in BOTH
]


@pytest.mark.parametrize(("name", "colour"), PLAYED)
def test_a_drill_loses_and_repeats_nothing_and_writes_to_no_old_timeline(
    ground: Ground, name: str, colour: Colour
):
    scenario = SCENARIOS[name]
    rounds = {"chaos": 3, "split-brain": 2}.get(name, 1)
    for found in ground.play(scenario, rounds=rounds, colour=colour, seed=2):
        assert whole(found), found
        assert found.reads_failed == 0 or not scenario.goals.reads_failed, found.errors
        if scenario.goals.write_ms is not None and rounds == 1:
            assert found.write_ms is not None
        assert not found.split_writes
        if name in {"freeze", "blackhole"}:
            assert found.freed_ms is not None


def whole(found) -> bool:
    verdict = found.verdict
    broken = Counter(
        lost=len(verdict.lost),
        duplicated=len(verdict.duplicated),
        late=len(verdict.late),
        misjudged=len(verdict.misjudged),
    )
    return +broken == Counter()


@pytest.mark.slow
def test_saturation_gives_no_healthy_node_up():
    report = saturation(seconds=3, colours=("async",))
    found = {figure.name: figure.value for figure in report.figures}
    assert found["async_healthy_nodes_given_up"] == 0
    assert found["async_breakers_opened"] == 0
    assert found["async_share_saturated"] > 0


@pytest.mark.parametrize(
    "colour", [pytest.param("sync", marks=pytest.mark.slow), "async"]
)
def test_a_read_with_a_token_is_never_stale_where_one_without_can_be(colour: Colour):
    report = staleness(reads=1500, colours=(colour,), seed=1)
    found = {figure.name: figure.value for figure in report.figures}
    assert found[f"{colour}_stale_reads"] == 0
    assert found[f"{colour}_of_them_stale"] > 0
    assert found[f"{colour}_share_by_replicas"] > 0
    assert found[f"{colour}_failed_visits"] == 0


@pytest.mark.slow
def test_a_restarted_client_that_kept_no_epoch_is_caught_writing_to_an_old_timeline(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
):
    """What the file is for; and that the drill would see it fail."""
    monkeypatch.setattr(run, "settings_of", lambda servers, **_: settings_of(servers))
    (found,) = ground.play(SCENARIOS["split-brain"], rounds=1, colour="async")
    assert len(found.verdict.late) > 0
    assert found.verdict.lost == ()
