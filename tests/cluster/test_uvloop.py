"""Another event loop: the same cluster, through a failover, with nothing left."""

from __future__ import annotations

import asyncio

import pytest

from authkit.cluster import Intent, Verdict

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")


@pytest.mark.parametrize("drive", ["async"], indirect=True)
def test_a_failover_under_uvloop(drive, hurt, victim, table):
    driver = drive(hurt, new_loop=uvloop.new_event_loop).open()
    assert isinstance(driver.loop, uvloop.Loop)
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    new = victim.replicas[0]
    victim.kill()
    victim.promote(new)
    driver.run(lambda c: c.execute(f"INSERT INTO {table} VALUES (1)"), deadline=20)
    assert driver.cluster.status().verdict is Verdict.WRITABLE
    found = driver.run(
        lambda c: c.execute(f"SELECT n FROM {table}"), intent=Intent.READ
    )
    assert found == [(1,)]
    driver.close()

    async def others():
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert driver.wait(others()) == set()
