"""States, codes and tokens: single use, one referee, replays seen in both orders."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import pytest
from pydantic import SecretStr

import authkit
from authkit.crypto import KeyRing, tokens
from authkit.errors import ConfigError, InvalidInput
from authkit.hot import (
    Cap,
    CodeRefusal,
    GrantedTokens,
    Lifetimes,
    NewSession,
    TokenRefusal,
)
from authkit.hot.oauth_values import challenge_of, challenge_text, read_challenge
from authkit.hot.successors import successors
from authkit.ids import uuid7

# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
URI = "https://client.example/cb"
CLIENT = "client"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def kit(module_settings) -> Iterator[authkit.Kit]:
    """A kit that has keys."""
    key = base64.b64encode(os.urandom(32)).decode()
    keyed = {"authkit_sealing_keys": SecretStr(f"one:{key}")}
    with authkit.connect(module_settings.model_copy(update=keyed)) as opened:
        yield opened


@pytest.fixture(scope="module")
def frozen(frozen_kit, kit) -> authkit.Kit:
    """The kit whose clock stands still, with the same keys."""
    frozen_kit.key_ring = kit.key_ring
    return frozen_kit


def new_code(kit, user_id, **parts):
    return kit.oauth.codes.create(
        **{
            "client_id": CLIENT,
            "user_id": user_id,
            "redirect_uri": URI,
            "code_challenge": CHALLENGE,
            "scopes": ["openid", "profile"],
            "nonce": "n-0S6_WzA2Mj",
            **parts,
        }
    )


def redeem(kit, code: str, **parts):
    presented = {
        "client_id": CLIENT,
        "redirect_uri": URI,
        "code_verifier": VERIFIER,
        **parts,
    }
    return kit.oauth.codes.redeem(code, **presented)


def granted(kit, user_id, **parts) -> GrantedTokens:
    made = kit.oauth.tokens.issue(client_id=CLIENT, user_id=user_id, **parts)
    assert isinstance(made, GrantedTokens)
    return made


def rotate(kit, token: str, **parts):
    return kit.oauth.tokens.rotate(token, **{"client_id": CLIENT, **parts})


# --- states ---------------------------------------------------------------------------


def begin(kit, **parts):
    return kit.oauth.states.create(
        **{
            "provider": "x",
            "issuer": "https://x.example",
            "redirect_uri": URI,
            **parts,
        }
    )


def test_a_login_comes_back_once_with_what_was_remembered(kit, user_id):
    away = begin(kit, user_id=user_id, ip="192.0.2.1", user_agent="x" * 4096)
    back = kit.oauth.states.consume(away.state, away.browser_binding)
    assert (back.provider, back.issuer) == ("x", "https://x.example")
    assert (back.redirect_uri, back.user_id) == (URI, user_id)
    assert back.nonce_matches(away.nonce)
    for other in ("another", "", "\ud800"):
        assert not back.nonce_matches(other)
    assert challenge_text(challenge_of(back.verifier)) == away.code_challenge
    assert kit.oauth.states.consume(away.state, away.browser_binding) is None


def test_another_browser_cannot_finish_a_login_nor_spoil_it(kit):
    away = begin(kit)
    stranger = tokens.issue().token
    assert kit.oauth.states.consume(away.state, stranger) is None
    assert kit.oauth.states.consume(stranger, away.browser_binding) is None
    assert kit.oauth.states.consume(away.state, away.browser_binding) is not None


def test_a_login_is_too_late_at_the_instant_of_its_expiry(frozen, clock):
    early, late = begin(frozen), begin(frozen)
    clock.advance(timedelta(minutes=10) - timedelta(microseconds=1))
    assert frozen.oauth.states.consume(early.state, early.browser_binding) is not None
    clock.advance(timedelta(microseconds=1))
    assert frozen.oauth.states.consume(late.state, late.browser_binding) is None
    clock.advance(timedelta(days=2))
    assert frozen.oauth.states.purge() >= 2


@pytest.mark.parametrize("number", range(4))
def test_of_many_who_return_with_one_state_one_is_let_in(kit, race, number):
    away = begin(kit)
    answers = race(
        lambda _: kit.oauth.states.consume(away.state, away.browser_binding), 30
    )
    assert sum(answer is not None for answer in answers) == 1


# --- codes ----------------------------------------------------------------------------


def test_the_challenge_is_that_of_rfc_7636_appendix_b():
    assert challenge_text(challenge_of(VERIFIER)) == CHALLENGE
    assert read_challenge(CHALLENGE, "S256") == sha256(VERIFIER.encode()).digest()


def test_a_code_is_redeemed_for_tokens_of_its_family(kit, user_id):
    code = new_code(kit, user_id)
    made = redeem(kit, code.code)
    assert (made.family_id, made.user_id) == (code.family_id, user_id)
    assert (made.scopes, made.nonce) == (("openid", "profile"), "n-0S6_WzA2Mj")
    for token, kind in ((made.access_token, "access"), (made.refresh_token, "refresh")):
        info = kit.oauth.tokens.introspect(token)
        assert (info.kind, info.client_id, info.user_id) == (kind, CLIENT, user_id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "another"},
        {"redirect_uri": f"{URI}/other"},
        {"code_verifier": "x" * 43},
    ],
    ids=lambda w: next(iter(w)),
)
def test_what_does_not_match_burns_no_code(kit, user_id, wrong):
    code = new_code(kit, user_id)
    assert redeem(kit, code.code, **wrong) is CodeRefusal.INVALID
    assert isinstance(redeem(kit, code.code), GrantedTokens)


def test_an_unknown_code_is_answered_as_an_expired_one_is(frozen, clock, user_id):
    code = new_code(frozen, user_id)
    clock.advance(timedelta(minutes=1))
    assert redeem(frozen, code.code) is CodeRefusal.INVALID
    assert redeem(frozen, tokens.issue().token) is CodeRefusal.INVALID


def test_a_code_presented_again_revokes_what_it_was_redeemed_for(kit, user_id):
    code = new_code(kit, user_id)
    made = redeem(kit, code.code)
    # Whoever presents it, and with whatever beside it.
    again = redeem(kit, code.code, client_id="thief", code_verifier="x" * 43)
    assert again is CodeRefusal.REPLAYED
    assert kit.oauth.tokens.introspect(made.access_token) is None
    assert rotate(kit, made.refresh_token) is TokenRefusal.INVALID


def test_a_replay_is_remembered_although_its_caller_fails(kit, user_id):
    code = new_code(kit, user_id)
    made = redeem(kit, code.code)
    refusal = redeem(kit, code.code)
    with pytest.raises(InvalidInput):
        raise InvalidInput(refusal.value)
    assert kit.oauth.tokens.introspect(made.access_token) is None


@pytest.mark.parametrize("number", range(4))
def test_of_many_who_present_one_code_one_wins_and_then_nobody(
    kit, race, user_id, number
):
    code = new_code(kit, user_id)
    answers = race(lambda _: redeem(kit, code.code), 30)
    (winner,) = [one for one in answers if isinstance(one, GrantedTokens)]
    assert answers.count(CodeRefusal.REPLAYED) == 29
    # The losers came while the winner was answered: its tokens are revoked too.
    assert kit.oauth.tokens.introspect(winner.access_token) is None


@pytest.mark.parametrize("number", range(4))
def test_a_family_revoked_while_its_code_is_redeemed_has_no_good_token(
    kit, race, user_id, number
):
    code = new_code(kit, user_id)

    def act(caller: int):
        if caller == 0:
            return kit.oauth.tokens.revoke_family(code.family_id)
        return redeem(kit, code.code) if caller == 1 else None

    _, made, *_ = race(act, 4)
    if isinstance(made, GrantedTokens):
        assert kit.oauth.tokens.introspect(made.access_token) is None
    else:
        assert made is CodeRefusal.INVALID


def revoked(kit, session, user_id):
    kit.sessions.revoke(session.id)


def evicted(kit, session, user_id):
    assert kit.sessions.create(user_id, cap=Cap(1)).evicted == (session.id,)


@pytest.mark.parametrize("end", [revoked, evicted])
def test_ending_a_session_ends_its_codes_and_tokens(kit, user_id, end):
    session = kit.sessions.create(user_id)
    assert isinstance(session, NewSession)
    code = new_code(kit, user_id, session_id=session.id)
    made = granted(kit, user_id, session_id=session.id)
    end(kit, session, user_id)
    assert redeem(kit, code.code) is CodeRefusal.INVALID
    assert kit.oauth.tokens.introspect(made.access_token) is None


@pytest.mark.parametrize("how", ["disable", "erase"])
def test_who_is_shut_out_keeps_no_token_of_an_application(kit, add_user, how):
    gone, other = add_user(), add_user()
    # Neither belongs to a session: the application works while its user is away.
    code = new_code(kit, gone)
    made = kit.oauth.tokens.issue(client_id=CLIENT, user_id=gone)
    kept = kit.oauth.tokens.issue(client_id=CLIENT, user_id=other)
    with kit.unit_of_work() as uow:
        getattr(uow.users, how)(gone)
    assert redeem(kit, code.code) is CodeRefusal.INVALID
    assert kit.oauth.tokens.introspect(made.access_token) is None
    answer = kit.oauth.tokens.rotate(made.refresh_token, client_id=CLIENT)
    assert answer is TokenRefusal.INVALID
    assert kit.oauth.tokens.introspect(kept.access_token) is not None


# As a script or another system may do it, which knows nothing of tokens.
BY_HAND = {
    "session": """
        UPDATE authkit.active_sessions SET revoked_at = now(), revoke_reason = 'x'
        WHERE user_id = %s
    """,
    "user": "UPDATE authkit.users SET disabled_at = now() WHERE id = %s",
}


@pytest.mark.parametrize("ended", BY_HAND)
def test_what_was_ended_by_other_means_gives_no_more_tokens(
    kit, superuser, add_user, ended
):
    user_id = add_user()
    session = kit.sessions.create(user_id)
    of = {"session_id": session.id} if ended == "session" else {}
    code = new_code(kit, user_id, **of)
    made = granted(kit, user_id, **of)
    superuser.execute(BY_HAND[ended], [user_id])
    assert redeem(kit, code.code) is CodeRefusal.INVALID
    assert rotate(kit, made.refresh_token) is TokenRefusal.INVALID


def test_every_token_of_a_user_ends_in_one_call_and_no_session(kit, race, add_user):
    user_id = add_user()
    session = kit.sessions.create(user_id)
    made = [kit.oauth.tokens.issue(client_id=CLIENT, user_id=user_id) for _ in "123"]
    ended = race(lambda _: kit.oauth.tokens.revoke_all(user_id), 12)
    found = [family for one in ended for family in one.ended]
    assert sorted(found) == sorted(one.family_id for one in made)
    last = {"max_lag": timedelta(hours=1), "after": ended[0].token}
    assert kit.oauth.tokens.introspect(made[0].access_token, **last) is None
    assert kit.sessions.validate(session.token) is not None


# --- rotation -------------------------------------------------------------------------


def test_a_rotated_token_is_followed_by_another_pair(kit, user_id):
    first = granted(kit, user_id, scopes=["a"])
    second = rotate(kit, first.refresh_token)
    third = rotate(kit, second.refresh_token)
    assert third.family_id == first.family_id
    assert third.scopes == ("a",)
    secrets = {
        token
        for made in (first, second, third)
        for token in (made.access_token, made.refresh_token)
    }
    assert len(secrets) == 6
    assert kit.oauth.tokens.introspect(third.access_token).generation == 2
    assert kit.oauth.tokens.introspect(first.refresh_token) is None


def test_the_same_answer_is_given_again_within_the_grace(kit, user_id):
    first = granted(kit, user_id)
    second, again = rotate(kit, first.refresh_token), rotate(kit, first.refresh_token)
    assert (second.repeated, again.repeated) == (False, True)
    for name in (
        "access_token",
        "refresh_token",
        "access_expires_at",
        "refresh_expires_at",
    ):
        assert getattr(second, name) == getattr(again, name), name


@pytest.mark.parametrize("number", range(4))
def test_of_many_who_rotate_one_token_all_get_one_answer(kit, race, user_id, number):
    first = granted(kit, user_id)
    answers = race(lambda _: rotate(kit, first.refresh_token), 30)
    assert Counter(answer.repeated for answer in answers) == {False: 1, True: 29}
    assert len({answer.refresh_token for answer in answers}) == 1
    assert len({answer.access_token for answer in answers}) == 1


@pytest.mark.parametrize("use", ["rotate", "introspect"])
def test_the_grace_ends_with_the_first_use_of_the_successor(kit, user_id, use):
    first = granted(kit, user_id)
    second = rotate(kit, first.refresh_token)
    if use == "rotate":
        assert isinstance(rotate(kit, second.refresh_token), GrantedTokens)
    else:
        assert kit.oauth.tokens.introspect(second.access_token) is not None
    assert rotate(kit, first.refresh_token) is TokenRefusal.REUSED
    assert kit.oauth.tokens.introspect(second.access_token) is None


def test_the_grace_ends_with_its_time(frozen, clock, user_id):
    first = granted(frozen, user_id)
    second = rotate(frozen, first.refresh_token)
    clock.advance(10 * SECOND - timedelta(microseconds=1))
    assert rotate(frozen, first.refresh_token).repeated
    clock.advance(timedelta(microseconds=1))
    assert rotate(frozen, first.refresh_token) is TokenRefusal.REUSED
    assert rotate(frozen, second.refresh_token) is TokenRefusal.INVALID


@pytest.mark.parametrize(
    "other",
    [{"client_id": "thief"}, {"proof_thumbprint": b"t" * 32}, {"grace": timedelta(0)}],
    ids=lambda o: next(iter(o)),
)
def test_the_grace_is_for_the_same_client_and_key_only(kit, user_id, other):
    first = granted(kit, user_id)
    assert isinstance(rotate(kit, first.refresh_token), GrantedTokens)
    assert rotate(kit, first.refresh_token, **other) is TokenRefusal.REUSED
    assert rotate(kit, first.refresh_token) is TokenRefusal.REUSED


def test_a_token_bound_to_a_key_is_rotated_with_that_key(kit, user_id):
    thumbprint = os.urandom(32)
    first = granted(kit, user_id, proof_thumbprint=thumbprint)
    assert rotate(kit, first.refresh_token) is TokenRefusal.INVALID
    second = rotate(kit, first.refresh_token, proof_thumbprint=thumbprint)
    info = kit.oauth.tokens.introspect(second.access_token)
    assert info.proof_thumbprint == thumbprint


def test_another_clients_try_at_a_fresh_token_changes_nothing(kit, user_id):
    first = granted(kit, user_id)
    assert rotate(kit, first.refresh_token, client_id="x") is TokenRefusal.INVALID
    assert isinstance(rotate(kit, first.refresh_token), GrantedTokens)


def test_no_token_outlives_its_family(frozen, clock, user_id):
    lives = Lifetimes(
        access=timedelta(hours=1), refresh=timedelta(hours=2), family=timedelta(hours=3)
    )
    made = granted(frozen, user_id, lifetimes=lives)
    end = clock.now + timedelta(hours=3)
    for _ in range(2):
        clock.advance(timedelta(hours=1))
        made = rotate(frozen, made.refresh_token, lifetimes=lives)
    assert made.refresh_expires_at == end
    assert made.access_expires_at == end
    clock.advance(timedelta(hours=1))
    assert rotate(frozen, made.refresh_token) is TokenRefusal.INVALID
    assert frozen.oauth.tokens.introspect(made.access_token) is None


def test_a_revoked_family_is_over_and_only_its_client_may_revoke_it(kit, user_id):
    made = granted(kit, user_id)
    stranger = kit.oauth.tokens.revoke(made.access_token, client_id="another")
    assert not stranger
    assert kit.oauth.tokens.introspect(made.access_token) is not None
    assert kit.oauth.tokens.revoke(made.access_token, client_id=CLIENT)
    assert kit.oauth.tokens.introspect(made.access_token) is None
    assert not kit.oauth.tokens.revoke_family(made.family_id)


def test_what_ended_long_ago_is_purged_with_its_tokens(
    frozen, clock, superuser, user_id
):
    made = granted(frozen, user_id, lifetimes=Lifetimes(family=timedelta(days=15)))
    count = "SELECT count(*) FROM authkit.oauth_issued_tokens WHERE family_id = %s"

    def left() -> int:
        frozen.oauth.tokens.purge(keep=timedelta(days=1))
        return superuser.execute(count, (made.family_id,)).fetchone()[0]

    clock.advance(timedelta(days=16))
    assert left() == 2
    clock.advance(timedelta(microseconds=1))
    assert left() == 0


# --- what is stored, and keys ---------------------------------------------------------


def test_no_secret_is_in_a_row_or_a_repr(kit, superuser, user_id):
    away, code = begin(kit), new_code(kit, user_id)
    made = redeem(kit, code.code)
    second = rotate(kit, made.refresh_token)
    secrets = [
        away.state,
        away.nonce,
        away.browser_binding,
        code.code,
        made.access_token,
        made.refresh_token,
        second.access_token,
        second.refresh_token,
    ]
    shown = repr([away, code, made, second])
    for table in (
        "oauth_state_tracking",
        "oauth_auth_codes",
        "oauth_issued_tokens",
        "oauth_token_families",
    ):
        rows = superuser.execute(f"SELECT t::text FROM authkit.{table} AS t").fetchall()
        shown += "".join(row[0] for row in rows)
    for secret in secrets:
        assert secret not in shown
        assert secret.encode().hex() not in shown


def test_successors_depend_on_every_part():
    ring = KeyRing((("a", b"k" * 32), ("b", b"l" * 32)))
    family = uuid7()
    base = {
        "key_id": "a",
        "family": family,
        "generation": 1,
        "salt": b"s" * 32,
        "token": "t" * 43,
    }
    others = [
        {"key_id": "b"},
        {"family": uuid7()},
        {"generation": 2},
        {"salt": b"x" * 32},
        {"token": "u" * 43},
    ]
    pairs = [successors(ring, **{**base, **other}) for other in [{}, *others]]
    secrets = {secret for pair in pairs for secret in (pair.refresh, pair.access)}
    assert len(secrets) == 12
    assert successors(ring, **base) == pairs[0]
    for pair in pairs:
        assert tokens.digest(pair.refresh) == pair.digests[0]
    with pytest.raises(ConfigError):
        successors(ring, **{**base, "key_id": "gone"})


def test_a_key_is_asked_for_only_when_it_is_needed(module_settings):
    with authkit.connect(module_settings) as keyless:
        assert keyless.oauth.tokens.introspect(tokens.issue().token) is None
        with pytest.raises(ConfigError, match="AUTHKIT_SEALING_KEYS"):
            begin(keyless)


def test_codes_and_tokens_share_the_fate_of_a_unit_of_work(kit, user_id):
    made: list[GrantedTokens] = []
    with pytest.raises(InvalidInput), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        made.append(uow.hot.oauth.tokens.issue(client_id=CLIENT, user_id=user_id))
        uow.users.create("")
    assert kit.oauth.tokens.introspect(made[0].access_token) is None


@pytest.mark.parametrize(
    "parts",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": CHALLENGE + "A"},
        {"code_challenge": "!" * 43},
        {"code_challenge": "+/" + "A" * 41},
        {"code_challenge": "A" * 42 + "="},
        {"code_challenge": "A" * 42 + "\n"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": f"{URI}#fragment"},
        {"redirect_uri": ""},
        {"scopes": ["two words"]},
        {"scopes": ['quo"te']},
        {"client_id": ""},
        {"lifetime": timedelta(minutes=11)},
        {"lifetime": timedelta(0)},
        {"nonce": "n\x00"},
    ],
    ids=lambda p: str(p)[:50],
)
def test_a_malformed_code_is_refused(kit, user_id, parts):
    with pytest.raises(InvalidInput):
        new_code(kit, user_id, **parts)


@pytest.mark.parametrize("verifier", ["", "x" * 42, "x" * 129, "x" * 43 + "!"])
def test_a_malformed_verifier_is_refused(kit, user_id, verifier):
    code = new_code(kit, user_id)
    with pytest.raises(InvalidInput) as caught:
        redeem(kit, code.code, code_verifier=verifier)
    assert not verifier or verifier not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a" * 42, "\x00" * 43, "a" * 4096])
def test_a_malformed_token_is_refused_and_not_repeated(kit, token):
    for call in (
        lambda: kit.oauth.tokens.introspect(token),
        lambda: rotate(kit, token),
        lambda: redeem(kit, token),
        lambda: kit.oauth.tokens.revoke(token, client_id=CLIENT),
        lambda: kit.oauth.states.consume(token, token),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert not token or token not in str(caught.value)
