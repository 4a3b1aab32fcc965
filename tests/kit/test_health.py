"""kit.health(), in both colours."""

from __future__ import annotations

import asyncio

import authkit
from authkit.ops.database import setup
from authkit.ops.health import Condition


def test_a_kit_tells_its_health_and_whether_requests_may_come(settings, pair):
    setup(settings.database_url.get_secret_value())
    pair.wait_replayed()
    with authkit.connect(settings) as kit:
        found = kit.health()
        assert found.condition is Condition.HEALTHY, found.findings
        assert found.readiness.body == {"ok": True, "reason": "healthy"}
    assert kit.health().readiness.status == 503


def test_an_async_kit_tells_its_health_without_holding_up_the_loop(settings):
    async def ask() -> tuple[int, bool]:
        async with authkit.connect_async(settings) as kit:
            ticks = 0
            asking = asyncio.ensure_future(kit.health())
            while not asking.done():
                await asyncio.wait({asking}, timeout=0.001)
                ticks += 1
            return ticks, (await asking).open

    ticks, is_open = asyncio.run(ask())
    assert is_open
    assert ticks > 1
