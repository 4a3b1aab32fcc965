"""Events, status, cadence and sizes: small values with a rule or two each."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.cluster.breaker import BreakerState
from authkit.cluster.cadence import Cadence, seconds
from authkit.cluster.events import EpochRaised, Event, Events, Probed
from authkit.cluster.keys import check_key
from authkit.cluster.probe_query import read_answer
from authkit.cluster.sizes import Limits, Sizes
from authkit.cluster.status import ClusterStatus, NodeStatus
from authkit.cluster.topology import Verdict
from authkit.cluster.views import Health, NodeView, Role, Snapshot
from authkit.settings import Settings


def test_a_subscriber_hears_the_kinds_it_asked_for_until_it_stops():
    events, heard = Events(), []
    stop = events.subscribe(heard.append, EpochRaised)
    events.publish(Probed(node="a", seconds=0.1))
    events.publish(EpochRaised(before=1, after=2))
    stop()
    events.publish(EpochRaised(before=2, after=3))
    assert [event.after for event in heard] == [2]


def test_a_subscriber_that_fails_is_logged_and_disturbs_nobody(caplog):
    events, heard = Events(), []

    def fail(_: Event) -> None:
        raise ZeroDivisionError

    events.subscribe(fail)
    events.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "authkit.cluster"):
        events.publish(Probed(node="a", seconds=0.1))
    assert len(heard) == 1
    assert "subscriber" in caplog.text


def test_what_matters_is_logged_and_a_probe_is_not_by_default(caplog):
    events = Events()
    with caplog.at_level(logging.INFO, "authkit.cluster"):
        events.publish(Probed(node="a", seconds=0.1))
        events.publish(EpochRaised(before=1, after=2))
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def node_status(**fields: object) -> NodeStatus:
    view = NodeView("db<1>:5432", health=Health.UP, role=Role.REPLICA, timeline=3)
    status = NodeStatus.of(
        view, 10.0, breaker=BreakerState.CLOSED, pool={"pool_max": 5}, in_use=2
    )
    assert (status.lag_s, status.pool_max, status.in_use) == (None, 5, 2)
    return status


def test_a_status_reads_well_in_a_terminal_and_in_a_notebook():
    status = ClusterStatus(
        verdict=Verdict.WRITABLE,
        epoch=3,
        system_id="7",
        primary=None,
        nodes=(node_status(),),
        closed=False,
    )
    assert status.writable
    assert "timeline 3" in str(status)
    html = status._repr_html_()
    assert "db&lt;1&gt;:5432" in html
    assert "<table>" in html


@given(chance=st.floats(0, 1, exclude_max=True))
def test_calm_probes_are_half_a_second_apart_at_most_and_never_in_step(chance):
    cadence = Cadence()
    pause = cadence.pause(troubled_for_s=None, chance=lambda: chance)
    assert 0.4 <= pause <= 0.5


def test_trouble_makes_bursts_and_long_trouble_patient_ones():
    cadence = Cadence()
    assert cadence.pause(troubled_for_s=0.0, chance=lambda: 0.0) == 0.05
    assert cadence.pause(troubled_for_s=500.0, chance=lambda: 0.0) == 0.2


def test_a_frozen_node_is_given_up_within_a_second_by_the_numbers():
    cadence = Cadence()
    worst = cadence.calm_s + cadence.late_s + cadence.limit_s
    assert worst < 1.0


def test_sizes_follow_the_role():
    limits = Limits.of(Settings.load(None, database_replica_pool_max=4))
    assert limits.of_role(Role.PRIMARY) == Sizes(2, 20)
    assert limits.of_role(Role.REPLICA) == Sizes(1, 4)
    assert (limits.idle_s, limits.acquire_s) == (30.0, 5.0)
    assert limits.policy.base_s == 1.0


@given(value=st.floats(0, 1e6))
def test_a_bare_number_is_seconds(value):
    assert seconds(value) == value


def answer(**changes: bytes | None) -> list[bytes | None]:
    columns: dict[str, bytes | None] = {
        "standby": b"0",
        "system": b"7",
        "lsn": b"0/1000",
        "own": b"0000000A",
        "received": None,
        "control": b"9",
        "started": b"1.5",
        "version": b"180003",
        "streams": b"0",
        "snapshot": b"5:9:5,7",
        "backend": b"4711",
    }
    return list((columns | changes).values())


ASKED = {"sent": 1, "received": 2, "backend_pid": 4711}


def test_a_pooler_shows_by_its_own_process_id():
    assert not read_answer("a", answer(), **ASKED).pooled
    assert read_answer("a", answer(), **(ASKED | {"backend_pid": 1})).pooled


def test_a_primarys_timeline_is_that_of_the_segment_it_writes():
    seen = read_answer("a", answer(), **ASKED)
    assert (seen.role, seen.timeline, seen.lsn) == (Role.PRIMARY, 10, 0x1000)
    assert seen.snapshot == Snapshot(5, 9, frozenset({5, 7}))


@pytest.mark.parametrize(
    ("received", "timeline"), [(b"11", 11), (None, 9)], ids=["streamed", "control file"]
)
def test_a_replicas_timeline_is_that_of_its_stream_or_else_its_control_file(
    received, timeline
):
    values = answer(standby=b"1", own=None, received=received, streams=b"1")
    seen = read_answer("a", values, **ASKED)
    assert (seen.role, seen.timeline, seen.streaming) == (Role.REPLICA, timeline, True)


@pytest.mark.parametrize(
    "values", [[], answer()[:-1], [None] * 11, answer(version=b"x"), answer(lsn=b"y")]
)
def test_an_answer_of_another_form_is_refused(values):
    with pytest.raises(ValueError, match=r".*"):
        read_answer("a", values, **ASKED)


def test_a_key_in_order_is_returned():
    assert check_key("order 17") == "order 17"
