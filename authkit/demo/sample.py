"""A kit to explore with: on the database that is set, or on one made for it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import authkit
from authkit.settings import Settings

if TYPE_CHECKING:
    from authkit.kit import Kit


@contextmanager
def sample_kit(*, users: int = 1500, days: int = 14, seed: int = 1) -> Generator[Kit]:
    """Yield a kit on `DATABASE_URL`; without one, on a lab filled with a world.

    The lab is a real primary and replica on loopback; both end with the block. What is
    found in it are results on a synthetic world.

    Args:
        users: how many people the world has.
        days: how long it lasted, until now.
        seed: which world it is; one seed gives the same rows.

    Raises:
        ConfigError: a setting is wrong.
        Unavailable: the database that is set does not answer.
    """
    settings = Settings.load()
    if settings.database_url is not None:
        with authkit.connect(settings) as kit:
            yield kit
        return
    from authkit import lab
    from authkit.ops.migrate import upgrade
    from authkit.risk import PastOnly
    from authkit.workload.load import seed as fill

    with lab.cluster(replicas=1) as house:
        upgrade(house.url())
        made = fill(house.url(), users=users, days=days, seed=seed, score=PastOnly())
        house.wait_replayed()
        sys.stdout.write(
            f"A lab with {made.users:,} synthetic people"
            f" and {made.attempts:,} attempts.\n"
        )
        env = house.env()
        urls = env["DATABASE_URL"], env["DATABASE_REPLICA_URLS"]
        found = Settings.load(database_url=urls[0], database_replica_urls=urls[1])
        with authkit.connect(found) as kit:
            yield kit
