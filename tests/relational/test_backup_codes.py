from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import authkit
from authkit.errors import InvalidInput, NotFound
from authkit.ids import uuid7
from authkit.testing import race


def replace(kit, user, **options):
    with kit.unit_of_work() as uow:
        return uow.backup_codes.replace(user.id, **options)


def redeem(kit, user, code):
    with kit.unit_of_work() as uow:
        return uow.backup_codes.redeem(user.id, code)


def left(kit, user):
    with kit.unit_of_work(read_only=True) as uow:
        return uow.backup_codes.left(user.id)


def test_a_code_is_good_once_however_it_is_typed(kit, user):
    assert left(kit, user) == 0
    first, second, *_ = codes = replace(kit, user)
    assert len(set(codes)) == 10
    assert redeem(kit, user, f" {first.upper().replace('-', ' ')}\n")
    assert not redeem(kit, user, first)
    assert redeem(kit, user, second.replace("-", ""))
    assert left(kit, user) == 8


def test_of_many_who_present_one_code_one_is_let_in(kit, user):
    for code in replace(kit, user, count=4):
        answers = race(lambda _, code=code: redeem(kit, user, code), 30)
        assert answers.count(True) == 1
    with kit.unit_of_work(read_only=True) as uow:
        told = uow.audit.trail(target=f"user:{user.id}", limit=100)
    assert sum(entry.action == "backup_codes.redeem" for entry in told) == 4


def test_of_many_who_make_codes_at_once_one_set_is_good(kit, user):
    made = race(lambda _: replace(kit, user, count=2), 12)
    assert left(kit, user) == 2
    good = [all(redeem(kit, user, code) for code in codes) for codes in made]
    assert good.count(True) == 1
    assert left(kit, user) == 0


def test_new_codes_end_the_old_ones_and_are_no_one_elses(kit, user):
    old, *_ = replace(kit, user)
    new, *_ = replace(kit, user, count=3)
    assert not redeem(kit, user, old)
    with kit.unit_of_work() as uow:
        assert not uow.backup_codes.redeem(uuid7(), new)
        with pytest.raises(NotFound):
            uow.backup_codes.replace(uuid7())
    assert left(kit, user) == 3


def test_what_is_rolled_back_spends_no_code_and_leaves_no_trace(kit, user):
    code, *_ = replace(kit, user)

    def lose_it() -> None:
        with kit.unit_of_work() as uow:
            assert uow.backup_codes.redeem(user.id, code)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose_it()
    with kit.unit_of_work(read_only=True) as uow:
        (newest,) = uow.audit.trail(target=f"user:{user.id}", limit=1)
    assert newest.action == "backup_codes.replace"
    assert redeem(kit, user, code)


def test_erasing_a_user_ends_the_codes_and_no_more_are_made(kit, user):
    code, *_ = replace(kit, user)
    with kit.unit_of_work() as uow:
        uow.users.erase(user.id)
    assert left(kit, user) == 0
    assert not redeem(kit, user, code)
    with pytest.raises(NotFound):
        replace(kit, user)


def test_only_digests_are_kept_and_the_trail_says_what_was_done(kit, superuser, user):
    code, *_ = replace(kit, user)
    assert redeem(kit, user, code)
    stored = superuser.execute(
        "SELECT c::text FROM authkit.user_backup_codes AS c WHERE user_id = %s",
        (user.id,),
    ).fetchall()
    with kit.unit_of_work(read_only=True) as uow:
        told = uow.audit.trail(target=f"user:{user.id}", limit=2)
    assert [entry.action for entry in told] == [
        "backup_codes.redeem",
        "backup_codes.replace",
    ]
    assert len(stored) == 10
    assert code.replace("-", "") not in f"{stored}{told}".replace("-", "")


def test_codes_are_made_and_redeemed_under_asyncio(module_settings, user):
    async def run() -> None:
        async with authkit.connect_async(module_settings) as akit:
            async with akit.unit_of_work(token=True) as uow:
                codes = await uow.run(lambda w: w.backup_codes.replace(user.id))

            async def present(code: str) -> bool:
                async with akit.unit_of_work() as uow:
                    return await uow.run(lambda w: w.backup_codes.redeem(user.id, code))

            answers = await asyncio.gather(*(present(codes[0]) for _ in range(8)))
            assert answers.count(True) == 1
            async with akit.unit_of_work(
                read_only=True, max_lag=timedelta(minutes=1), after=uow.token
            ) as reading:
                assert await reading.run(lambda w: w.backup_codes.left(user.id)) >= 9

    asyncio.run(run())


@pytest.mark.parametrize(
    "code", ["", "abc", "1" * 24, "ä" * 24, "a" * 25, "\x00" * 24, "\u017f" * 24, None]
)
def test_what_cannot_be_a_code_is_refused_and_not_repeated(kit, user, code):
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput) as refused:
        uow.backup_codes.redeem(user.id, code)
    assert str(refused.value) == (
        "a backup code has 24 letters a to z and digits 2 to 7"
    )


@pytest.mark.parametrize("count", [0, 51, 2.0, True])
def test_a_number_of_codes_that_helps_nobody_is_refused(kit, user, count):
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput, match="backup codes"):
        uow.backup_codes.replace(user.id, count=count)
