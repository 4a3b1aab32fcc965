"""Opening and closing leaves no descriptor, thread or task behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from authkit.cluster import AsyncCluster, Cluster


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "rounds", [5, pytest.param(200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_threads_and_descriptors_return_to_what_they_were(settings, rounds):
    def use() -> None:
        with Cluster(settings) as cluster, cluster.writer() as connection:
            connection.execute("SELECT 1")

    use()
    before = descriptors(), threading.active_count()
    for _ in range(rounds):
        use()
    assert (descriptors(), threading.active_count()) == before


@pytest.mark.parametrize(
    "rounds", [5, pytest.param(200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_tasks_and_descriptors_return_to_what_they_were(settings, rounds):
    async def use() -> None:
        async with AsyncCluster(settings) as cluster, cluster.writer() as connection:
            await connection.execute("SELECT 1")

    async def main() -> None:
        await use()
        before = descriptors(), len(asyncio.all_tasks())
        for _ in range(rounds):
            await use()
        assert (descriptors(), len(asyncio.all_tasks())) == before

    asyncio.run(main())


def test_a_cancelled_caller_gives_its_connection_back(settings):
    async def main() -> None:
        one = settings.model_copy(
            update={"database_pool_min": 1, "database_pool_max": 1}
        )
        async with AsyncCluster(one) as cluster:
            inside = asyncio.Event()

            async def sleep() -> None:
                async with cluster.writer() as connection:
                    inside.set()
                    await connection.execute("SELECT pg_sleep(30)")

            for _ in range(3):
                inside.clear()
                task = asyncio.create_task(sleep())
                await inside.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            async with cluster.writer() as connection:
                cursor = await connection.execute("SELECT 1")
                assert await cursor.fetchone() == (1,)
            assert cluster.status().nodes[0].in_use == 0

    asyncio.run(main())


def test_callers_cancelled_while_waiting_leave_the_pool_whole(settings):
    async def main() -> None:
        one = settings.model_copy(
            update={"database_pool_min": 1, "database_pool_max": 1}
        )
        async with AsyncCluster(one) as cluster:

            async def use() -> None:
                async with cluster.writer(timeout=20) as connection:
                    await connection.execute("SELECT 1")

            for _ in range(20):
                tasks = [asyncio.create_task(use()) for _ in range(10)]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            async with cluster.writer(timeout=5) as connection:
                cursor = await connection.execute("SELECT 1")
                assert await cursor.fetchone() == (1,)

    asyncio.run(main())
