from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest

from authkit.analysis import Frames
from authkit.lab import Lab, cluster
from authkit.testing.waiting import until

# Sees of the receiver that there is one, and nothing else.
PLAIN = "CREATE ROLE plain LOGIN PASSWORD 'plain'"


@pytest.fixture(scope="module")
def hung() -> Iterator[Lab]:
    """A pair whose link is open and silent, and a row that only the primary has."""
    config = {"wal_receiver_timeout": "10min", "wal_sender_timeout": "10min"}
    with cluster(1, in_memory=True, config=config) as lab:
        lab.sql(PLAIN)
        lab.sql("CREATE TABLE told (id int)")
        lab.sql("GRANT SELECT ON told TO plain")
        lab.wait_replayed()
        [(sender,)] = lab.sql("SELECT pid FROM pg_stat_replication")
        os.kill(int(str(sender)), signal.SIGSTOP)
        try:
            with psycopg.connect(lab.url()) as connection:
                connection.execute("SET synchronous_commit = local")
                connection.execute("INSERT INTO told VALUES (1)")
            yield lab
        finally:
            os.kill(int(str(sender)), signal.SIGCONT)


@pytest.mark.parametrize("member", [True, False])
def test_a_replica_whose_link_hangs_is_not_said_to_be_up_to_date(
    hung: Lab, member: bool
):
    user = {} if member else {"user": "plain", "password": "plain"}
    url = psycopg.conninfo.make_conninfo(hung.url("replica"), **user)
    frames = Frames(lambda: url, masked=False, say=lambda _: None)

    def late() -> bool:
        return frames.query("SELECT id FROM told").attrs["lag_s"] >= 1.0

    until(late, "the replica late")
    frame = frames.query("SELECT id FROM told")
    assert (len(frame), frame.attrs["behind"]) == (0, True)


def test_a_replica_that_hears_of_its_primary_is_not_as_old_as_the_last_commit(
    pair: Lab,
):
    pair.sql("SELECT txid_current()")
    frames = Frames(lambda: pair.url("replica"), masked=False, say=lambda _: None)
    last = "SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8"

    def heard() -> bool:
        frame = frames.query(f"{last} AS ago")
        return frame["ago"][0] > 1.0 > frame.attrs["lag_s"]

    until(heard, "word from the primary after the last commit", within_s=60)
