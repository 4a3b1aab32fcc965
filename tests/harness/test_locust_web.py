"""locust's own pages, as any of its users expects them."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from http.client import HTTPConnection
from time import monotonic

import pytest


@pytest.mark.slow
def test_the_web_pages_show_each_operation_while_it_runs(locust):
    port = locust.port()
    process = locust.start("--autostart", "-u", "2", "-r", "2", web_port=port)
    locust.heard(process, '"progress"')

    def fetch(path: str) -> str:
        with closing(HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read().decode()

    assert "<title>Locust</title>" in fetch("/")
    seen: set[str] = set()
    deadline = monotonic() + 30
    while not {"sessions.validate", "sessions.create", "Aggregated"} <= seen:
        assert monotonic() < deadline, seen
        seen = {row["name"] for row in json.loads(fetch("/stats/requests"))["stats"]}
    process.send_signal(signal.SIGINT)
    assert locust.ended(process).figures["operations"] > 0
