"""Thirty callers at once, twenty times, in threads and in tasks: one referee each.

The tests of each operation race it a few times. This is what they claim, at length.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

import authkit
from authkit.hot import Allowance, AttemptRecord, Cap, RatePolicy, Reserved, Throttle
from authkit.hot.oauth_values import GrantedTokens
from authkit.testing import race, race_async

CALLERS, ROUNDS = 30, 20
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
URI, CLIENT = "https://client.example/cb", "client"
TEN = RatePolicy("ten", 10, timedelta(hours=1))
WINDOW = timedelta(minutes=15)
THREE = Throttle(network=Allowance(3, WINDOW), device=None, ip=None)


@dataclass(frozen=True)
class Contest:
    """What there is to win, how each caller tries, and how many may have won."""

    prepare: Callable[[Any, Any], Any]
    attempt: Callable[[Any, Any], Any]
    won: Callable[[Any], bool]
    winners: int


CONTESTS = {
    "cap": Contest(
        prepare=lambda _, user: user,
        attempt=lambda kit, user: kit.sessions.create(user, cap=Cap(3, "refuse")),
        won=lambda answer: hasattr(answer, "token"),
        winners=3,
    ),
    "redeem": Contest(
        prepare=lambda kit, user: kit.oauth.codes.create(
            client_id=CLIENT,
            user_id=user,
            redirect_uri=URI,
            code_challenge=CHALLENGE,
            scopes=["openid"],
        ),
        attempt=lambda kit, code: kit.oauth.codes.redeem(
            code.code, client_id=CLIENT, redirect_uri=URI, code_verifier=VERIFIER
        ),
        won=lambda answer: isinstance(answer, GrantedTokens),
        winners=1,
    ),
    "rotate": Contest(
        prepare=lambda kit, user: kit.oauth.tokens.issue(
            client_id=CLIENT, user_id=user
        ),
        attempt=lambda kit, made: kit.oauth.tokens.rotate(
            made.refresh_token, client_id=CLIENT
        ),
        won=lambda answer: not answer.repeated,
        winners=1,
    ),
    "consume": Contest(
        prepare=lambda kit, _: kit.oauth.states.create(
            provider="x", issuer="https://x.example", redirect_uri=URI
        ),
        attempt=lambda kit, away: kit.oauth.states.consume(
            away.state, away.browser_binding
        ),
        won=lambda answer: answer is not None,
        winners=1,
    ),
    "limiter": Contest(
        prepare=lambda _, user: str(user),
        attempt=lambda kit, key: kit.rate_limits.check(key, "race", TEN),
        won=lambda answer: answer.allowed,
        winners=10,
    ),
    "reserve": Contest(
        prepare=lambda _, user: user.bytes * 2,
        attempt=lambda kit, subject: kit.attempts.reserve(
            AttemptRecord(outcome="pending", subject=subject, ip="192.0.2.1"),
            throttle=THREE,
        ),
        won=lambda answer: isinstance(answer, Reserved),
        winners=3,
    ),
}

every_contest = pytest.mark.parametrize("name", CONTESTS)


@pytest.fixture(scope="module")
def keyed(module_settings):
    key = base64.b64encode(os.urandom(32)).decode()
    keys = {"authkit_sealing_keys": SecretStr(f"one:{key}")}
    return module_settings.model_copy(update=keys)


@pytest.fixture(scope="module")
def kit(keyed) -> Iterator[authkit.Kit]:
    with authkit.connect(keyed) as opened:
        yield opened


@pytest.mark.slow
@every_contest
def test_threads_have_one_referee(kit, add_user, name):
    contest = CONTESTS[name]
    for _ in range(ROUNDS):
        prize = contest.prepare(kit, add_user())
        answers = race(lambda _, prize=prize: contest.attempt(kit, prize), CALLERS)
        assert sum(map(contest.won, answers)) == contest.winners


@pytest.mark.slow
@every_contest
def test_tasks_have_one_referee(keyed, kit, add_user, name):
    contest = CONTESTS[name]

    async def run() -> None:
        async with authkit.connect_async(keyed) as opened:
            for _ in range(ROUNDS):
                prize = contest.prepare(kit, add_user())
                answers = await race_async(
                    lambda _, prize=prize: contest.attempt(opened, prize), CALLERS
                )
                assert sum(map(contest.won, answers)) == contest.winners

    asyncio.run(run())
