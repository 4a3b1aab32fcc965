"""Metrics: counted, shown, served; each alert names metrics that exist."""

from __future__ import annotations

import http.client
import json
import re
import threading
from typing import Any

import pytest
from opentelemetry.metrics import Meter, Observation, get_meter
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import authkit
from authkit.cluster.events import Doubted, EpochRaised, Events, Probed
from authkit.hot import AttemptRecord
from authkit.ids import uuid7
from authkit.ops.database import setup
from authkit.ops.metrics import ALERTS
from authkit.ops.metrics.dashboard import dashboard
from authkit.ops.metrics.database import DatabaseCollector
from authkit.ops.metrics.gathering import BUCKETS, Gathered
from authkit.ops.metrics.prometheus import Collector
from authkit.ops.metrics.serving import MetricsServer
from authkit.ops.metrics.telemetry import Instruments


class Quiet:
    """A kit to which nothing happens but what a test says."""

    def __init__(self) -> None:
        self.cluster = self
        self.events = Events()
        self.stopped = 0

    def observe(self, observer: object) -> Any:
        del observer

        def stop() -> None:
            self.stopped += 1

        return stop

    def status(self) -> Any:
        raise AssertionError("nobody asks")


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert "Python" not in (answer.getheader("Server") or "")
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_every_call_of_every_thread_is_counted_once():
    gathered = Gathered(Quiet())
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(5000):
            error = ValueError() if turn % 10 == 0 else None
            gathered.observe("op", "node", "primary", BUCKETS[number], error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = gathered.operations()
    assert found["op", "primary", "ok"].count == 18_000
    assert found["op", "primary", "ValueError"].count == 2_000
    assert found["op", "primary", "ok"].counts[:5] == (4500, 4500, 4500, 4500, 0)
    assert found["op", "primary", "ok"].total_s == pytest.approx(
        4500 * sum(BUCKETS[:4])
    )


def test_errors_of_one_name_are_one_outcome_and_few_calls_are_seen_at_once():
    gathered = Gathered(Quiet())
    for error in (KeyError(), type("KeyError", (Exception,), {})()):
        gathered.observe("op", "node", "primary", 0.1, error)
    found = gathered.operations()
    assert list(found) == [("op", "primary", "KeyError")]
    assert found["op", "primary", "KeyError"].count == 2
    assert gathered.operations() == found


def test_events_are_counted_by_kind_and_failed_probes_by_node():
    kit = Quiet()
    gathered = Gathered(kit)
    for event in (
        EpochRaised(before=1, after=2),
        Doubted(node="a", key="somebody's"),
        Probed(node="a", seconds=0.1),
        Probed(node="a", seconds=0.1, reason="refused"),
    ):
        kit.events.publish(event)
    assert gathered.events()["failovers"] == gathered.events()["doubts"] == 1
    assert gathered.failed_probes() == {"a": 1}
    gathered.close()
    kit.events.publish(EpochRaised(before=2, after=3))
    assert (gathered.events()["failovers"], kit.stopped) == (1, 1)


def test_a_real_kit_is_served_and_no_label_holds_what_a_user_sent(settings: Any):
    url = settings.database_url.get_secret_value()
    setup(url)
    registry = CollectorRegistry()
    with authkit.connect(settings) as kit:
        registry.register(Collector(kit))
        registry.register(DatabaseCollector(url))
        kit.auth_cache.get(uuid7())
        kit.attempts.record(
            AttemptRecord(outcome="failed", user_agent="Secret/1.0", ip="192.0.2.7")
        )
        with MetricsServer(registry, kit.health, port=0) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                status, text = get(server, "/metrics")
                assert status == 200
                assert json.loads(get(server, "/ready")[1])["ok"] is True
                assert get(server, "/live")[0] == 200
                assert get(server, "/else")[0] == 404
            finally:
                server.shutdown()
                thread.join()
    found = families(text)
    counted = {
        sample.labels["operation"]: sample.value
        for sample in found["authkit_operation_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counted["auth_cache.get"] == 1
    assert found["authkit_writable"].samples[0].value == 1
    assert {s.labels["outcome"] for s in found["authkit_attempts_recent"].samples} == {
        "failed"
    }
    assert "Secret" not in text
    assert "192.0.2.7" not in text
    password = url.split(":")[2].split("@")[0]
    assert password not in text


def test_a_database_that_does_not_answer_leaves_its_metrics_out():
    registry = CollectorRegistry()
    registry.register(DatabaseCollector("postgresql://a:hidden@127.0.0.1:1/x"))
    text = generate_latest(registry).decode()
    assert families(text)["authkit_database_answers"].samples[0].value == 0
    assert "authkit_attempts_recent" not in text


@pytest.fixture
def exported(settings: Any) -> set[str]:
    """What a kit and its database export, by name."""
    setup(settings.database_url.get_secret_value())
    registry = CollectorRegistry()
    with authkit.connect(settings) as kit:
        registry.register(Collector(kit))
        registry.register(DatabaseCollector(settings.database_url.get_secret_value()))
        kit.auth_cache.get(uuid7())
        text = generate_latest(registry).decode()
    histogram = {f"authkit_operation_seconds_{p}" for p in ("bucket", "count", "sum")}
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | histogram


def test_every_metric_that_an_alert_names_is_exported(exported: set[str]):
    rules = ALERTS.read_text(encoding="utf-8")
    named = set(re.findall(r"\bauthkit_[a-z_]+\b", rules))
    assert named
    assert named <= exported, named - exported
    assert rules.count("- alert:") == rules.count("action:")


def test_the_dashboard_shows_every_metric_and_asks_for_no_other(exported: set[str]):
    panels = dashboard()["panels"]
    asked = [each["expr"] for panel in panels for each in panel.get("targets", ())]
    named = {name for one in asked for name in re.findall(r"\bauthkit_[a-z_]+\b", one)}
    assert named == exported - {"authkit_operation_seconds"}
    # Each is asked for the chosen jobs.
    assert [one for one in asked if '{job=~"$job"' not in one] == []
    assert [one for one in asked if one.count("(") != one.count(")")] == []


def test_no_two_pictures_of_the_dashboard_lie_over_each_other():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    fields = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert max(x for x, _ in fields) == 23
    assert len(set(fields)) == len(fields)
    # And every row is full.
    assert len(fields) == 24 * (1 + max(y for _, y in fields))


def test_opentelemetry_is_told_of_operations_without_user_data():
    recorded: list[tuple[float, dict[str, str]]] = []

    class Duration:
        def record(self, value: float, attributes: dict[str, str]) -> None:
            recorded.append((value, attributes))

    class Recording:
        def __init__(self) -> None:
            self.observed: dict[str, Any] = {}

        def create_histogram(self, _name: str, **_: object) -> Duration:
            return Duration()

        def create_observable_counter(self, name: str, callbacks: Any) -> None:
            self.observed[name] = callbacks[0]

        def create_observable_gauge(self, name: str, **rest: Any) -> None:
            self.observed[name] = rest["callbacks"][0]

    meter: Any = Recording()
    kit = Quiet()
    told = Instruments(kit, meter)
    told.observe("op", "node", "replica", 0.25, ValueError("private"))
    kit.events.publish(EpochRaised(before=1, after=2))
    assert recorded == [
        (
            0.25,
            {
                "db.operation.name": "op",
                "authkit.role": "replica",
                "error.type": "ValueError",
            },
        )
    ]
    assert meter.observed["authkit.failovers"](None) == [Observation(1)]


def test_without_an_sdk_opentelemetry_does_nothing():
    meter: Meter = get_meter("test")
    Instruments(Quiet(), meter).observe("op", "node", "primary", 0.1, None)
