"""What the facts of nodes mean, decided without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authkit.ops.findings import Level
from authkit.ops.nodes import NodeFacts, judge_node, judge_topology

SOUND = NodeFacts(
    where="authkit on db1:5432",
    is_replica=False,
    version="18.1",
    version_number=180001,
    system_identifier=7,
    login="app",
    is_superuser=False,
    is_encrypted=True,
    is_local=False,
    settings={
        "data_checksums": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "fsync": "on",
        "full_page_writes": "on",
        "max_connections": "100",
        "server_encoding": "UTF8",
        "superuser_reserved_connections": "3",
        "synchronous_commit": "on",
        "synchronous_standby_names": "ANY 1 (*)",
        "wal_level": "replica",
        "wal_log_hints": "on",
    },
    answer_ms=1.0,
)
REPLICA = replace(SOUND, where="authkit on db2:5432", is_replica=True)


def having(facts: NodeFacts = SOUND, **settings: str) -> NodeFacts:
    return replace(facts, settings={**facts.settings, **settings})


def names(facts: NodeFacts, level: Level, pool_max: int = 20) -> set[str]:
    return {f.name for f in judge_node(facts, pool_max=pool_max) if f.level is level}


def test_a_sound_node_has_neither_note_nor_fault():
    assert names(SOUND, Level.NOTE) | names(SOUND, Level.FAULT) == set()


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(SOUND, version_number=140012), "old_server"),
        (having(server_encoding="LATIN1"), "encoding"),
        (having(default_transaction_isolation="serializable"), "isolation"),
        (having(default_transaction_read_only="on"), "read_only"),
        (having(max_connections="20"), "pool_too_large"),
    ],
)
def test_what_the_application_cannot_live_with_is_a_fault(facts: NodeFacts, name: str):
    assert names(facts, Level.FAULT) == {name}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(SOUND, is_encrypted=False), "not_encrypted"),
        (replace(SOUND, is_superuser=True), "superuser"),
        (having(fsync="off"), "fsync_off"),
        (having(full_page_writes="off"), "full_page_writes_off"),
        (having(data_checksums="off"), "no_checksums"),
    ],
)
def test_what_somebody_should_know_is_a_note(facts: NodeFacts, name: str):
    assert names(facts, Level.NOTE) == {name}


def test_a_replica_is_not_asked_for_what_only_a_primary_needs():
    read_only = having(REPLICA, default_transaction_read_only="on", fsync="off")
    assert names(read_only, Level.FAULT) | names(read_only, Level.NOTE) == set()


def test_a_local_connection_need_not_be_encrypted():
    local = replace(SOUND, is_local=True, is_encrypted=False)
    assert names(local, Level.NOTE) == set()


@pytest.mark.parametrize(
    ("nodes", "level", "name"),
    [
        ([SOUND, REPLICA], Level.GOOD, "one_primary"),
        ([SOUND, REPLICA], Level.GOOD, "synchronous"),
        ([SOUND], Level.NOTE, "no_replica"),
        ([REPLICA], Level.FAULT, "no_primary"),
        ([], Level.FAULT, "no_primary"),
        ([SOUND, SOUND], Level.FAULT, "two_primaries"),
        (
            [SOUND, replace(REPLICA, system_identifier=8)],
            Level.FAULT,
            "foreign_node",
        ),
        (
            [having(synchronous_standby_names=""), REPLICA],
            Level.NOTE,
            "asynchronous",
        ),
        ([having(synchronous_commit="local"), REPLICA], Level.NOTE, "asynchronous"),
        ([having(wal_level="minimal"), REPLICA], Level.FAULT, "wal_level"),
    ],
)
def test_what_the_nodes_are_together(nodes: list[NodeFacts], level: Level, name: str):
    assert (level, name) in {(f.level, f.name) for f in judge_topology(nodes)}


def test_an_unknown_system_identifier_is_not_taken_for_another():
    nodes = [SOUND, replace(REPLICA, system_identifier=None)]
    assert "foreign_node" not in {f.name for f in judge_topology(nodes)}


def test_every_note_and_fault_says_what_to_do():
    odd = having(fsync="off", server_encoding="LATIN1", max_connections="9")
    found = [*judge_node(odd, pool_max=20), *judge_topology([odd, odd])]
    assert all(f.advice for f in found if f.level is not Level.GOOD)
