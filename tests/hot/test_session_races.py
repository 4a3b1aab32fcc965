"""Every race has one referee: 30 callers behind a barrier, in threads and in tasks."""

from __future__ import annotations

import asyncio

import pytest

import authkit
from authkit.hot import Cap, CreationRefused, NewSession
from authkit.testing import race_async

CALLERS = 30
# Some rounds each time, and twenty where time is no matter.
ROUNDS = [n if n < 4 else pytest.param(n, marks=pytest.mark.slow) for n in range(20)]

rounds = pytest.mark.parametrize("number", ROUNDS)


def alive(kit, user_id) -> int:
    return len(kit.sessions.list(user_id))


@rounds
def test_an_evicting_cap_is_never_exceeded(kit, race, user_id, number):
    made = race(lambda _: kit.sessions.create(user_id, cap=Cap(3)), CALLERS)
    assert all(isinstance(one, NewSession) for one in made)
    assert alive(kit, user_id) == 3
    evicted = [session for one in made for session in one.evicted]
    assert len(evicted) == len(set(evicted)) == CALLERS - 3


@rounds
def test_a_refusing_cap_lets_exactly_so_many_through(kit, race, user_id, number):
    cap = Cap(3, "refuse")
    made = race(lambda _: kit.sessions.create(user_id, cap=cap), CALLERS)
    assert sum(isinstance(one, NewSession) for one in made) == 3
    assert made.count(CreationRefused.CAP_REACHED) == CALLERS - 3
    assert alive(kit, user_id) == 3


@rounds
def test_one_of_many_rotations_of_a_token_wins(kit, race, user_id, number):
    made = kit.sessions.create(user_id)
    answers = race(lambda _: kit.sessions.rotate(made.token), CALLERS)
    winners = [one for one in answers if one is not None]
    assert len(winners) == 1
    assert kit.sessions.validate(winners[0].token).id == made.id
    assert alive(kit, user_id) == 1


@rounds
def test_a_session_is_ended_by_one_of_many_revocations(kit, race, user_id, number):
    made = kit.sessions.create(user_id)
    answers = race(lambda _: kit.sessions.revoke(made.id), CALLERS)
    assert sorted(len(one.ended) for one in answers) == [0] * (CALLERS - 1) + [1]


@rounds
def test_revoking_all_and_others_at_once_never_deadlocks(kit, race, user_id, number):
    made = [kit.sessions.create(user_id) for _ in range(10)]

    def end(caller: int):
        if caller % 2:
            return kit.sessions.revoke_all(user_id)
        keep = made[caller % len(made)].id
        return kit.sessions.revoke_others(user_id, keep=keep)

    ended = [session for one in race(end, CALLERS) for session in one.ended]
    assert sorted(ended) == sorted(one.id for one in made)


@rounds
def test_no_session_slips_past_the_disabling_of_its_user(kit, race, user_id, number):
    def act(caller: int):
        if caller == 0:
            with kit.unit_of_work() as uow:
                return uow.users.disable(user_id)
        return kit.sessions.create(user_id)

    race(act, CALLERS)
    assert alive(kit, user_id) == 0
    refused = kit.sessions.create(user_id)
    assert refused is CreationRefused.USER_UNAVAILABLE


@rounds
def test_no_session_begun_before_revoking_all_survives_it(kit, race, user_id, number):
    """Whoever was answered before the revocation began is ended by it."""
    made = race(lambda _: kit.sessions.create(user_id), CALLERS - 1)
    ended = kit.sessions.revoke_all(user_id)
    assert sorted(ended.ended) == sorted(one.id for one in made)


def test_cap_and_rotation_have_one_referee_under_asyncio_too(module_settings, user_id):
    async def run() -> None:
        async with authkit.connect_async(module_settings) as kit:
            made = await race_async(
                lambda _: kit.sessions.create(user_id, cap=Cap(3)), CALLERS
            )
            assert all(isinstance(one, NewSession) for one in made)
            assert len(await kit.sessions.list(user_id)) == 3
            token = (await kit.sessions.create(user_id)).token
            answers = await race_async(lambda _: kit.sessions.rotate(token), CALLERS)
            assert sum(one is not None for one in answers) == 1

    for _ in range(4):
        asyncio.run(run())
