from __future__ import annotations

import pytest

from authkit.harness.database import (
    ZERO,
    Counters,
    fingerprint,
    growth,
    node_name,
    standby_names,
)
from authkit.hot.registry import OPERATIONS


def test_a_statement_and_the_form_the_server_stores_have_one_fingerprint():
    written = """
      -- the newest first
      SELECT a FROM t
      WHERE b = $1 AND c > now() - interval '1 day' LIMIT 20
    """
    stored = "SELECT a FROM t WHERE b = $1 AND c > now() - interval $2 LIMIT $3"
    assert fingerprint(written) == fingerprint(stored)


def test_every_operation_has_a_fingerprint_of_its_own():
    assert len({fingerprint(op.sql) for op in OPERATIONS}) == len(OPERATIONS)


def test_counters_grow_by_their_difference_and_from_zero_after_a_restart():
    before, after = Counters(10, 5.0, 10), Counters(15, 9.0, 12)
    assert growth(before, after) == Counters(5, 4.0, 2)
    assert growth(after, before) == before
    assert growth(ZERO, after) == after


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:secret@127.0.0.1:5433/d", "127.0.0.1:5433"),
        ("postgresql+psycopg://u@db.example.org/d", "db.example.org:5432"),
    ],
)
def test_a_node_is_named_by_host_and_port_without_a_secret(url: str, name: str):
    assert node_name(url) == name


def test_a_replica_is_known_to_its_primary_by_its_cluster_or_its_connection():
    assert standby_names("b", None) == {"b"}
    assert standby_names("", "user=r fallback_application_name=walreceiver") == set()
    said = "application_name=east fallback_application_name=b"
    assert standby_names("b", said) == {"b", "east"}
