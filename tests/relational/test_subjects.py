"""Personal details in the trail: sealed, read, and gone with their subject's key."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest

import authkit
from authkit.errors import ConfigError, InvalidInput
from authkit.ids import uuid7
from authkit.testing import race

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
DETAILS = {"email": "ann@example.com", "address": {"street": "Ünter den Linden"}}


@pytest.fixture(scope="module")
def sealing(sealed_by) -> Iterator[authkit.Kit]:
    """A kit with a key to seal with."""
    with sealed_by(old=OLD) as opened:
        yield opened


def write(kit, subject, word: str, **options) -> None:
    with kit.unit_of_work(correlation_id=word) as uow:
        uow.audit.append("profile.change", personal=DETAILS, subject=subject, **options)


def read(kit, word: str):
    with kit.unit_of_work(read_only=True) as uow:
        (entry,) = uow.audit.trail(correlation_id=word, action="profile.change")
        return entry, uow.audit.personal_details(entry)


def stored(superuser, word: str) -> str:
    row = superuser.execute(
        "SELECT convert_from(canonical, 'UTF8') || details::text"
        " FROM authkit.audit_logs WHERE correlation_id = %s",
        (word,),
    ).fetchone()
    return row[0]


def test_personal_details_are_stored_sealed_and_read_in_clear(
    sealing, superuser, user, word
):
    write(sealing, user.id, word, details={"changed": ["email"]})
    entry, personal = read(sealing, word)
    assert personal == DETAILS
    assert entry.details["changed"] == ["email"]
    for secret in ("ann@example.com", "Linden"):
        assert secret not in stored(superuser, word)


def test_erasing_a_user_makes_them_unreadable_and_the_chain_still_verifies(
    sealing, superuser, user, word
):
    write(sealing, user.id, word)
    before = stored(superuser, word)
    with sealing.unit_of_work() as uow:
        uow.users.erase(user.id)
    entry, personal = read(sealing, word)
    assert personal is None
    assert stored(superuser, word) == before
    with sealing.unit_of_work(read_only=True) as uow:
        assert uow.audit.verify().intact
    # Nor is anything kept of what is said of them later.
    write(sealing, user.id, f"{word}.later")
    late, personal = read(sealing, f"{word}.later")
    assert (late.details["personal"]["sealed"], personal) == (None, None)
    assert entry.details["personal"]["sealed"] is not None


def test_a_user_erased_before_anything_was_sealed_never_has_a_key(sealing, user, word):
    with sealing.unit_of_work() as uow:
        uow.users.erase(user.id)
    write(sealing, user.id, word)
    assert read(sealing, word)[1] is None


def test_details_moved_to_another_entry_or_subject_do_not_open(sealing, user, word):
    other = uuid7()
    write(sealing, user.id, word)
    write(sealing, other, f"{word}.other")
    entry, _ = read(sealing, word)
    with sealing.unit_of_work(read_only=True) as uow:
        work = uow.subjects
        envelope = entry.details["personal"]
        assert work.open(envelope, context="profile.change") == DETAILS
        for moved, context in (
            (envelope, "profile.read"),
            (envelope | {"subject": str(other)}, "profile.change"),
            (envelope | {"sealed": "!"}, "profile.change"),
            ({}, "profile.change"),
        ):
            with pytest.raises(InvalidInput):
                work.open(moved, context=context)


def test_the_first_details_of_many_callers_share_one_key(sealing, word):
    subject = uuid7()
    race(lambda n: write(sealing, subject, f"{word}.{n}"), 12)
    for number in range(12):
        assert read(sealing, f"{word}.{number}")[1] == DETAILS


def test_an_erasure_waits_for_details_that_are_being_written(sealing, user, word):
    write(sealing, user.id, f"{word}.first")
    began, done = threading.Event(), threading.Event()

    def erase() -> None:
        with sealing.unit_of_work() as uow:
            began.set()
            uow.users.erase(user.id)
        done.set()

    eraser = threading.Thread(target=erase)
    with sealing.unit_of_work(correlation_id=word) as uow:
        uow.audit.append("profile.change", personal=DETAILS, subject=user.id)
        eraser.start()
        assert began.wait(30)
        assert not done.is_set()
    eraser.join(30)
    assert done.is_set()
    assert read(sealing, word)[1] is None


def test_the_ring_rotates_and_subjects_stay_readable(sealing, sealed_by, word):
    write(sealing, uuid7(), word)
    with sealed_by(new=NEW, old=OLD) as kit:
        resealed = 1
        while resealed:
            with kit.unit_of_work() as uow:
                resealed = uow.subjects.reseal(limit=3)
    with sealed_by(new=NEW) as kit:
        assert read(kit, word)[1] == DETAILS
    with pytest.raises(ConfigError, match="lacks key 'new'"):
        read(sealing, word)


def test_personal_details_ask_for_a_subject_and_a_ring(kit, sealing, word):
    with sealing.unit_of_work() as uow:
        for half in ({"personal": DETAILS}, {"subject": uuid7()}):
            with pytest.raises(InvalidInput, match="go together"):
                uow.audit.append("profile.change", **half)
    with pytest.raises(ConfigError, match="AUTHKIT_SEALING_KEYS"):
        write(kit, uuid7(), word)
