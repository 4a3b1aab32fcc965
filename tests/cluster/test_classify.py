"""The retry matrix, row by row: SQLSTATE x phase x intent."""

from __future__ import annotations

from itertools import product

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors as driver

from authkit.cluster.classify import REPLANS, Action, Blame, Intent, Phase, decide
from authkit.cluster.faults import of_pool, translate, understand
from authkit.errors import (
    AlreadyExists,
    Conflict,
    DatabaseError,
    InDoubt,
    NodeLost,
    NoPrimary,
    NotPermitted,
    RetryLater,
    Saturated,
)

READ, WRITE = Intent.READ, Intent.WRITE
WORK, COMMIT, AUTOCOMMIT = Phase.WORK, Phase.COMMIT, Phase.AUTOCOMMIT
AFTER_CONNECT = (WORK, COMMIT, AUTOCOMMIT)

REPEAT, ELSEWHERE = Action.REPEAT, Action.ELSEWHERE
RECONNECT, DEALLOCATE = Action.RECONNECT, Action.DEALLOCATE
DOUBT, CALLER, STOP = Action.DOUBT, Action.CALLER, Action.STOP

# Each row: codes, phases, intents, and the action they share.
MATRIX = [
    # Rolled back whole; on a replica 40001 is a recovery conflict.
    (("40000", "40001", "40002", "40P01"), AFTER_CONNECT, [WRITE], REPEAT),
    (("40000", "40001", "40002", "40P01"), AFTER_CONNECT, [READ], ELSEWHERE),
    # Demoted, on a writer's connection; the caller's mistake on a reader's.
    (("25006",), AFTER_CONNECT, [WRITE], ELSEWHERE),
    (("25006",), AFTER_CONNECT, [READ], STOP),
    # No slot, not accepting yet.
    (("53300", "57P03"), AFTER_CONNECT, [READ, WRITE], ELSEWHERE),
    # The session was ended while it lay idle: COMMIT was not read.
    (("57P05", "25P03", "25P04"), AFTER_CONNECT, [READ, WRITE], RECONNECT),
    # Prepared statements that the server knows no more, or would plan otherwise.
    (("26000",), AFTER_CONNECT, [READ, WRITE], DEALLOCATE),
    # The caller's choice.
    (("55P03",), AFTER_CONNECT, [READ, WRITE], CALLER),
    # The connection went away.
    (
        ("57P01", "57P02", "57P04", "08000", "08003", "08006", "08P01"),
        AFTER_CONNECT,
        [READ],
        ELSEWHERE,
    ),
    (
        ("57P01", "57P02", "57P04", "08000", "08003", "08006", "08P01"),
        [WORK],
        [WRITE],
        RECONNECT,
    ),
    (
        ("57P01", "57P02", "57P04", "08000", "08003", "08006", "08P01"),
        [COMMIT, AUTOCOMMIT],
        [WRITE],
        DOUBT,
    ),
    # The server does not know either.
    (("40003", "08007"), AFTER_CONNECT, [WRITE], DOUBT),
    (("40003", "08007"), AFTER_CONNECT, [READ], ELSEWHERE),
    # Asked to stop, no room, wrong data, constraint, wrong statement.
    (
        ("57014", "53100", "22P02", "22012", "23505", "23514", "42601", "42501"),
        AFTER_CONNECT,
        [READ, WRITE],
        STOP,
    ),
    (("0A000", "54000", "P0001", "XX000", "99999"), AFTER_CONNECT, [READ, WRITE], STOP),
    # What the driver refused by itself says nothing of the node.
    ((None,), AFTER_CONNECT, [READ, WRITE], STOP),
]
ROWS = [
    pytest.param(code, phase, intent, action, id=f"{code}-{phase.value}-{intent.value}")
    for codes, phases, intents, action in MATRIX
    for code, phase, intent in product(codes, phases, intents)
]


# What a code says of the node, and whether its connection is still of use.
NOTHING, SUSPECT = Blame.NOTHING, Blame.SUSPECT
FAILURE, DEMOTED = Blame.FAILURE, Blame.DEMOTED
SAYS = {
    (FAILURE, True): (
        *("57P01", "57P02", "57P04", "08000", "08003", "08006", "08P01"),
        *("40003", "08007"),
    ),
    (NOTHING, True): ("53300", "57P03", "57P05", "25P03", "25P04"),
    (FAILURE, False): ("53100", "XX000"),
}


@pytest.mark.parametrize(("code", "phase", "intent", "action"), ROWS)
def test_the_matrix(code, phase, intent, action):
    fault = decide(code, phase=phase, intent=intent)
    assert fault.action is action
    assert (fault.sqlstate, fault.phase, fault.intent) == (code, phase, intent)
    says = next((says for says, codes in SAYS.items() if code in codes), None)
    if code == "25006" and intent is WRITE:
        says = (DEMOTED, True)
    assert (fault.blame, fault.discard) == (says or (NOTHING, False))


@pytest.mark.parametrize("code", [None, "57P03", "53300", "28P01", "08006", "3D000"])
@pytest.mark.parametrize("intent", [READ, WRITE])
def test_an_error_of_the_connect_phase_is_always_safe_to_repeat(code, intent):
    fault = decide(code, phase=Phase.CONNECT, intent=intent)
    assert (fault.action, fault.discard) == (ELSEWHERE, True)
    assert (fault.sqlstate, fault.phase, fault.intent) == (code, Phase.CONNECT, intent)
    assert fault.blame is SUSPECT


def test_a_plan_that_changed_is_told_by_the_servers_function_not_by_its_words():
    fault = decide("0A000", phase=WORK, intent=READ, source=REPLANS)
    assert fault.action is DEALLOCATE


@pytest.mark.parametrize(
    ("phase", "action"), [(WORK, RECONNECT), (COMMIT, DOUBT), (AUTOCOMMIT, DOUBT)]
)
def test_a_lost_connection_without_a_code_is_in_doubt_once_it_may_have_committed(
    phase, action
):
    fault = decide(None, phase=phase, intent=WRITE, broken=True)
    assert (fault.action, fault.discard, fault.blame) == (action, True, FAILURE)
    assert (fault.sqlstate, fault.phase, fault.intent) == (None, phase, WRITE)
    assert decide(None, phase=phase, intent=READ, broken=True).action is ELSEWHERE


@pytest.mark.parametrize("code", ["53300", "55P03", "40001", "57014", "23505", "26000"])
def test_what_is_not_the_nodes_fault_is_not_counted_against_it(code):
    for phase, intent in product(AFTER_CONNECT, Intent):
        assert decide(code, phase=phase, intent=intent).blame is Blame.NOTHING


@pytest.mark.parametrize("code", ["53100", "53200", "58000", "58030", "XX001", "57P02"])
def test_what_is_the_nodes_fault_is(code):
    assert decide(code, phase=WORK, intent=WRITE).blame is Blame.FAILURE


@given(
    code=st.one_of(st.none(), st.from_regex(r"\A[0-9A-Z]{5}\Z")),
    phase=st.sampled_from(Phase),
    intent=st.sampled_from(Intent),
    broken=st.booleans(),
)
def test_no_write_that_may_have_committed_is_repeated_after_a_lost_connection(
    code, phase, intent, broken
):
    fault = decide(code, phase=phase, intent=intent, broken=broken)
    told = {"57P05", "25P03", "25P04", "57P03", "53300"}
    if broken and intent is WRITE and phase.may_have_committed and code not in told:
        assert not fault.action.repeats
    if broken:
        assert fault.discard
    if intent is READ:
        assert fault.action is not DOUBT


def raised(kind: type[psycopg.Error]) -> psycopg.Error:
    return kind("Key (email)=(somebody@example.org) exists, password hunter2")


@pytest.mark.parametrize(
    ("kind", "phase", "intent", "expected"),
    [
        (driver.SerializationFailure, WORK, WRITE, RetryLater),
        (driver.DeadlockDetected, COMMIT, WRITE, RetryLater),
        (driver.LockNotAvailable, WORK, WRITE, RetryLater),
        (driver.ReadOnlySqlTransaction, AUTOCOMMIT, WRITE, NoPrimary),
        (driver.ReadOnlySqlTransaction, AUTOCOMMIT, READ, DatabaseError),
        (driver.TooManyConnections, WORK, READ, Saturated),
        (driver.AdminShutdown, AUTOCOMMIT, WRITE, InDoubt),
        (driver.AdminShutdown, WORK, WRITE, NodeLost),
        (driver.AdminShutdown, AUTOCOMMIT, READ, NodeLost),
        (driver.UniqueViolation, WORK, WRITE, AlreadyExists),
        (driver.CheckViolation, WORK, WRITE, Conflict),
        (driver.InsufficientPrivilege, WORK, WRITE, NotPermitted),
        (driver.UndefinedTable, WORK, READ, DatabaseError),
        (driver.QueryCanceled, WORK, READ, DatabaseError),
        (psycopg.ProgrammingError, WORK, READ, DatabaseError),
    ],
)
def test_each_error_becomes_one_of_ours_and_tells_no_data(
    kind, phase, intent, expected
):
    error = raised(kind)
    fault = understand(error, phase=phase, intent=intent, broken=False)
    ours = translate(error, fault, node="db:5432", key="k1")
    assert type(ours) is expected
    assert "hunter2" not in str(ours)
    assert "example.org" not in str(ours)
    if expected is InDoubt:
        assert ours.key == "k1"


def test_the_pools_errors_are_saturation_or_a_node_given_up():
    from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

    kinds = {
        kind: type(of_pool(kind("x"), node="n", waited_s=1.0))
        for kind in (PoolTimeout, TooManyRequests, PoolClosed)
    }
    assert kinds == {
        PoolTimeout: Saturated,
        TooManyRequests: Saturated,
        PoolClosed: NodeLost,
    }
