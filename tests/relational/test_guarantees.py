"""What the cluster promises holds inside a unit of work as it does outside."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import text

import authkit
from authkit.cluster import Role, Token
from authkit.cluster.events import Doubted, Suspected
from authkit.errors import InDoubt, NodeLost, NoPrimary, NoReplica, TokenLost


def relational(uow) -> None:
    uow.users.find_by_email("nobody@example.com")


def hot(uow) -> None:
    uow.hot.rate_limits.reset("somebody", "login")


def nothing(_uow) -> None:
    """Come to the commit."""


@pytest.fixture
def kit(module_settings):
    """One that has had no trouble yet."""
    with authkit.connect(module_settings) as opened:
        yield opened
        assert [node.in_use for node in opened.cluster.status().nodes] == [0, 0]


@pytest.fixture
def told(kit):
    events = []
    kit.cluster.events.subscribe(events.append)
    return events


@pytest.mark.parametrize("use", [relational, hot, nothing])
def test_a_node_that_was_given_up_says_that_nothing_was_applied(kit, use):
    with pytest.raises(NodeLost), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        relational(uow)
        uow._driver.cut()
        use(uow)


@pytest.mark.parametrize("use", [relational, hot])
def test_a_lost_connection_counts_once_against_its_node(kit, superuser, use):
    node = kit.cluster._roster.writer
    before = node.breaker.failures
    with pytest.raises(NodeLost), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        pid = uow.session.scalar(text("SELECT pg_backend_pid()"))
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        use(uow)
    assert node.breaker.failures == before + 1


def test_a_write_of_the_hot_path_that_finds_no_primary_raises_suspicion(kit, told):
    with pytest.raises(NoPrimary), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        uow.session.execute(text("SET TRANSACTION READ ONLY"))
        hot(uow)
    assert any(isinstance(event, Suspected) for event in told)


@pytest.mark.parametrize("token", [False, True])
def test_a_doubt_is_told_of_and_gives_no_token(kit, told, token):
    with pytest.raises(InDoubt), kit.unit_of_work(token=token) as uow:
        # A deferred constraint runs within COMMIT: it ends the connection there.
        uow.session.execute(
            text(
                "CREATE TEMP TABLE doubt (n int) ON COMMIT DROP;"
                " CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS $$"
                " BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL;"
                " END $$;"
                " CREATE CONSTRAINT TRIGGER die AFTER INSERT ON doubt DEFERRABLE"
                " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.die();"
                " INSERT INTO doubt VALUES (1)"
            )
        )
    assert [type(event) for event in told].count(Doubted) == 1
    assert uow.token is None


def test_a_read_inside_a_transaction_is_as_fresh_as_it_asks_to_be(kit, replay_paused):
    minute = timedelta(minutes=1)
    roster, deadline = kit.cluster._roster, monotonic() + 30
    while True:
        seen = roster.changed.count
        if any(node.view.fresh_at > monotonic() - 30 for node in roster.replicas):
            break
        assert roster.changed.wait(seen, deadline - monotonic())
    with replay_paused():
        with kit.unit_of_work(token=True) as uow:
            uow.session.execute(text("SET LOCAL synchronous_commit = local"))
            uow.session.execute(text("SELECT pg_logical_emit_message(true, 'a', 'b')"))
        with kit.unit_of_work(read_only=True, max_lag=minute) as stale:
            assert stale.node.role is Role.REPLICA
            read = stale.hot.sessions.validate
            made = "A" * 43
            assert read(made) is None
            assert read(made, max_lag=minute) is None
            for bound in ({"after": uow.token}, {"max_lag": timedelta(0)}):
                with pytest.raises(NoReplica, match="of this transaction"):
                    read(made, **bound)
            assert read(made) is None
        with kit.unit_of_work(read_only=True) as current:
            assert current.hot.sessions.validate(made, after=uow.token) is None


def test_a_commit_of_a_lost_timeline_costs_the_transaction_nothing(kit, user):
    node = kit.cluster._roster.writer.view
    with kit.unit_of_work() as uow:
        uow.users.update(user.id, name="Bea")
        for lost in (Token(node.timeline + 1, 1), Token(node.timeline - 1, 1)):
            with pytest.raises((NoReplica, TokenLost)):
                uow.hot.sessions.validate("A" * 43, after=lost)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find(user.id).name == "Bea"
