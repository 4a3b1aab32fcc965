"""A caller that is killed (Ctrl-C, a killed greenlet) leaves as it was killed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from authkit.cluster import Cluster


class Killed(BaseException):
    """Stands for KeyboardInterrupt and GreenletExit, which are no Exceptions."""


def be_killed(lease):
    with lease as connection:
        # psycopg closes a connection whose statement was cut off in the middle.
        connection.close()
        raise Killed


@pytest.mark.parametrize("reading", [True, False], ids=["reader", "writer"])
def test_nothing_replaces_the_reason_a_caller_was_killed_for(settings, reading):
    with Cluster(settings) as cluster:
        cluster.wait_for(replicas=1)
        lease = (
            cluster.reader(max_lag=timedelta(minutes=1))
            if reading
            else cluster.writer()
        )
        with pytest.raises(Killed):
            be_killed(lease)
        assert [node.in_use for node in cluster.status().nodes] == [0, 0]
        with cluster.reader(max_lag=timedelta(minutes=1)) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
