from __future__ import annotations

import pytest

from authkit.errors import ConfigError
from authkit.harness.faults import (
    KINDS,
    OF_PROCESSES,
    Fault,
    check,
    parse,
    parse_all,
    table_names,
)


def test_a_fault_is_read_with_its_times_in_seconds_or_milliseconds():
    assert parse("at=10s,kind=freeze-primary,for=500ms") == Fault(
        "freeze-primary", 10.0, 0.5
    )
    assert parse("at=1.5,lag=250ms") == Fault("lag", 1.5, 2.0, lag_s=0.25)
    assert parse("kind=lock-table,table=users,at=0").table == "users"


def test_several_faults_come_in_the_order_of_their_beginning():
    found = parse_all("at=9,kind=kill-primary; at=2,kind=pause-replica")
    assert [fault.kind for fault in found] == ["pause-replica", "kill-primary"]
    assert [fault.role for fault in found] == ["replica", "primary"]
    assert parse_all("") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("at=1,kind=kill-everything", "kind is one of"),
        ("kind=kill-primary", "at= is missing"),
        ("at=soon,kind=kill-primary", "at= is a time"),
        ("at=1,kind=lock-table,table=users;drop", "table= is the name"),
        ("at=1,kind=kill-primary,lag=2s", "lag= is for kind=lag"),
        ("at=1,at=2,kind=kill-primary", "at= is there twice"),
        ("at=1,kind=kill-primary,why=not", "'why=not' is none of"),
    ],
)
def test_a_fault_that_makes_no_sense_is_named_with_its_problem(text, problem):
    with pytest.raises(ConfigError, match=problem):
        parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_is_no_lab_is_hit_only_when_asked_twice(kind):
    faults, tables = (parse(f"at=1,kind={kind}"),), table_names()
    check(faults, lab=True, allowed=False, tables=tables)
    with pytest.raises(ConfigError, match=kind):
        check(faults, lab=False, allowed=False, tables=tables)
    if kind in OF_PROCESSES:
        with pytest.raises(ConfigError, match="needs an embedded cluster"):
            check(faults, lab=False, allowed=True, tables=tables)
    else:
        check(faults, lab=False, allowed=True, tables=tables)


def test_a_table_that_is_not_there_cannot_be_locked():
    fault = parse("at=1,kind=lock-table,table=no_such_table")
    with pytest.raises(ConfigError, match="no table no_such_table"):
        check((fault,), lab=True, allowed=False, tables=table_names())
