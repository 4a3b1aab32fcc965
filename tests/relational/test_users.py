from __future__ import annotations

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import InvalidRequestError

from authkit.errors import (
    AlreadyExists,
    Conflict,
    DatabaseError,
    InvalidInput,
    NotFound,
)
from authkit.ids import uuid7
from authkit.schema.relational import Record, User
from authkit.testing import race


def test_a_user_is_found_by_any_writing_of_the_address(kit, email):
    with kit.unit_of_work() as uow:
        user = uow.users.create(f"  {email.upper()} ", name="Ann")
    assert user.email == email
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find_by_email(email.title()).id == user.id
        assert uow.users.get(user.id).name == "Ann"


def test_an_unknown_user_is_none_or_a_named_error(kit):
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find(uuid7()) is None
        assert uow.users.find_by_email("nobody@example.com") is None
        with pytest.raises(NotFound):
            uow.users.get(uuid7())


def test_a_taken_address_is_named_and_the_transaction_goes_on(kit, user):
    with kit.unit_of_work() as uow:
        with pytest.raises(AlreadyExists) as caught:
            uow.users.create(user.email.upper())
        other = uow.users.create(f"other.{user.email}")
    assert caught.value.constraint == "users_email_key"
    assert user.email not in str(caught.value)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.get(other.id).email == f"other.{user.email}"


def test_of_many_who_take_an_address_one_gets_it(kit, email):
    def take(_: int) -> bool:
        try:
            with kit.unit_of_work() as uow:
                uow.users.create(email)
        except AlreadyExists:
            return False
        return True

    assert race(take, 30).count(True) == 1


def test_a_change_touches_what_is_given_and_nothing_else(kit, user):
    with kit.unit_of_work() as uow:
        uow.users.update(user.id, image="https://example.com/ann.png")
        changed = uow.users.update(user.id, name=None)
    assert (changed.name, changed.image) == (None, "https://example.com/ann.png")
    assert changed.email == user.email


def test_a_new_address_is_unverified(kit, email):
    with kit.unit_of_work() as uow:
        user = uow.users.create(email, email_verified=True)
        assert user.email_verified_at is not None
        changed = uow.users.update(user.id, email=f"new.{email}")
    assert changed.email_verified_at is None


def test_taking_anothers_address_is_a_conflict_that_loses_the_transaction(kit, user):
    with pytest.raises(AlreadyExists), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        other = uow.users.create(f"other.{user.email}")
        uow.users.update(other.id, email=user.email)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find(other.id) is None


def test_a_lost_transaction_is_never_taken_for_a_committed_one(kit, user):
    lost = pytest.raises(DatabaseError, match="nothing was kept")
    with lost, kit.unit_of_work() as uow:
        other = uow.users.create(f"other.{user.email}")
        with pytest.raises(AlreadyExists):
            uow.users.update(other.id, email=user.email)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find(other.id) is None


def test_disabling_a_user_ends_every_session_in_the_same_transaction(kit, user):
    made = kit.sessions.create(user.id)
    with kit.unit_of_work() as uow:
        disabled = uow.users.disable(user.id, reason="left-company")
        assert uow.users.disable(user.id).disabled_at == disabled.disabled_at
    assert kit.sessions.validate(made.token) is None
    with kit.unit_of_work() as uow:
        assert uow.sessions.find(made.id).end_reason == "left-company"
        assert uow.users.enable(user.id).disabled_at is None
    assert kit.sessions.validate(made.token) is None


def test_users_are_read_in_pages_without_repetition_or_gap(kit):
    with kit.unit_of_work() as uow:
        made = [uow.users.create(f"{uuid7().hex}@example.com").id for _ in range(5)]
    with kit.unit_of_work(read_only=True) as uow:
        seen = []
        page = uow.users.page(limit=2)
        while page:
            seen += [user.id for user in page]
            page = uow.users.page(after=page[-1], limit=2)
    assert [user_id for user_id in seen if user_id in made] == made
    assert len(seen) == len(set(seen))


def test_a_clear_password_cannot_be_stored_by_mistake(kit, email):
    with pytest.raises(Conflict) as caught, kit.unit_of_work() as uow:
        uow.users.create(email, password_hash="correct horse battery staple")
    assert caught.value.constraint == "users_password_hash_phc_check"
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "   ", "a\x00b@x", "x" * 400])
def test_a_malformed_address_is_refused(kit, address):
    with kit.unit_of_work() as uow:
        with pytest.raises(InvalidInput):
            uow.users.create(address)
        with pytest.raises(InvalidInput):
            uow.users.find_by_email(address)


def test_a_relationship_that_was_not_loaded_fails_loudly(kit, user):
    with kit.unit_of_work(read_only=True) as uow:
        found = uow.users.get(user.id)
        for one in inspect(User).relationships:
            with pytest.raises(InvalidRequestError, match="lazy='raise'"):
                getattr(found, one.key)


def test_no_relationship_of_any_table_loads_by_itself():
    found = [one for mapper in Record.registry.mappers for one in mapper.relationships]
    assert len(found) >= 6
    assert {str(one) for one in found if one.lazy != "raise"} == set()


def test_no_change_of_a_user_puts_personal_details_into_the_trail(kit, user):
    with kit.unit_of_work() as uow:
        uow.users.update(user.id, email=f"new.{user.email}", name="Ann Secret")
    with kit.unit_of_work(read_only=True) as uow:
        (entry, *_) = uow.audit.trail(target=f"user:{user.id}")
    assert entry.details == {"changed": ["email", "email_verified_at", "name"]}
