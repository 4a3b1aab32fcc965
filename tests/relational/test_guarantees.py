"""What the cluster promises holds inside a unit of work as it does outside."""

from __future__ import annotations

import pytest
from sqlalchemy import text

import authkit
from authkit.cluster.events import Doubted, Suspected
from authkit.errors import InDoubt, NodeLost, NoPrimary


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
