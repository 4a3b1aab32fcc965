"""No change without its audit entry, whoever catches which error."""

from __future__ import annotations

import pytest

from authkit.errors import DatabaseError, InvalidInput

HUGE = {"equals": {"account": 10**16}}


@pytest.fixture
def stuck(kit, word, superuser) -> str:
    """A permission whose conditions came past the repositories: no trail holds them."""
    name = f"{word}:read"
    with kit.unit_of_work() as uow:
        uow.permissions.create(name)
    superuser.execute(
        "UPDATE authkit.permissions SET conditions = %s::jsonb WHERE name = %s",
        ('{"equals": {"account": 10000000000000000}}', name),
    )
    return name


def conditions(kit, name: str) -> object:
    with kit.unit_of_work(read_only=True) as uow:
        found = uow.permissions.find(name)
        return None if found is None else found.conditions


@pytest.mark.parametrize(
    "origin",
    [{"actor": "ann"}, {"ip": "300.1.1.1"}, {"correlation_id": ""}],
    ids=lambda origin: next(iter(origin)),
)
def test_an_origin_that_the_trail_cannot_hold_is_refused_before_anything_is_done(
    kit, origin
):
    with pytest.raises(InvalidInput):
        kit.unit_of_work(**origin)


def test_a_condition_that_the_trail_cannot_hold_changes_nothing(kit, word):
    name = f"{word}:read"
    with kit.unit_of_work() as uow:
        uow.permissions.create(name)
        with pytest.raises(InvalidInput):
            uow.permissions.restrict(name, HUGE)
        with pytest.raises(InvalidInput):
            uow.permissions.create(f"{word}:burn", when=HUGE)
    assert conditions(kit, name) == {}
    assert conditions(kit, f"{word}:burn") is None


def test_where_a_change_cannot_be_told_nothing_commits(kit, stuck):
    with (
        pytest.raises(DatabaseError, match="cannot be told"),
        kit.unit_of_work() as uow,
        pytest.raises(InvalidInput),
    ):
        uow.permissions.restrict(stuck, {})
    assert conditions(kit, stuck) == HUGE


def test_a_change_that_cannot_be_told_and_was_rolled_back_is_in_nobodys_way(
    kit, stuck, word
):
    with kit.unit_of_work() as uow:
        with pytest.raises(InvalidInput), uow.session.begin_nested():
            uow.permissions.restrict(stuck, {})
        uow.roles.create(word)
    assert conditions(kit, stuck) == HUGE
    assert len(uow.receipts) == 1
