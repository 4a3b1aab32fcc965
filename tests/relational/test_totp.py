"""One-time codes by time: enrolled, used once, taken away; and those of the RFC."""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b32decode, b32encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import authkit
from authkit.errors import ConfigError, InvalidInput, NotFound
from authkit.relational import one_time
from authkit.testing import race

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
WRONG = "a one-time code has 6 digits"
# RFC 6238, appendix B, SHA-1; the last six of its eight digits.
PUBLISHED = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}
SECRET = b"12345678901234567890"


@pytest.fixture(scope="module")
def sealing(sealed_by) -> Iterator[authkit.Kit]:
    """A kit with a key to seal with."""
    with sealed_by(old=OLD) as opened:
        yield opened


def propose(kit, user) -> bytes:
    with kit.unit_of_work() as uow:
        return b32decode(uow.totp.propose(user.id, issuer="Acme").secret)


def confirm(kit, user, code: str) -> bool:
    with kit.unit_of_work() as uow:
        return uow.totp.confirm(user.id, code)


def redeem(kit, user, code: str) -> bool:
    with kit.unit_of_work() as uow:
        return uow.totp.redeem(user.id, code)


def code(secret: bytes, around: int = 0) -> str:
    return one_time.code_at(secret, one_time.step_of(datetime.now(UTC)) + around)


def wrong(secret: bytes) -> str:
    near = {code(secret, around) for around in range(-3, 4)}
    return next(f"{n:06}" for n in range(10) if f"{n:06}" not in near)


def enrolled(kit, user) -> bytes:
    """Enrol with the code of the step before, so that two more are good."""
    secret = propose(kit, user)
    assert confirm(kit, user, code(secret, -1))
    return secret


def look(kit, user):
    """Return what a login sees, through the cache."""
    cached = kit.auth_cache.get(user.id)
    return cached or kit.auth_cache.put(user.id, sha256(user.id.bytes).digest())


@pytest.mark.parametrize("second", PUBLISHED)
def test_a_code_is_the_one_that_the_rfc_publishes(second: int):
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    step = one_time.step_of(at)
    assert one_time.code_at(SECRET, step) == PUBLISHED[second]
    for late in (-30, 0, 30):
        moved = at + timedelta(seconds=late)
        assert one_time.matching_step(SECRET, PUBLISHED[second], moved) == step
    for late in (-90, 60):
        moved = at + timedelta(seconds=late)
        assert one_time.matching_step(SECRET, PUBLISHED[second], moved) is None


def test_an_authenticator_takes_the_address_over(sealing, user):
    with sealing.unit_of_work() as uow:
        proposal = uow.totp.propose(user.id, issuer="Acme & Söhne")
    parts = urlsplit(proposal.address)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == f"/Acme & Söhne:{user.email}"
    told = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert told == {
        "secret": proposal.secret,
        "issuer": "Acme & Söhne",
        "algorithm": "SHA1",
        "digits": "6",
        "period": "30",
    }
    assert repr(proposal) == "TotpProposal()"


def test_enrolling_asks_for_a_code_from_then_on_and_the_cache_follows(sealing, user):
    secret = propose(sealing, user)
    assert not look(sealing, user).mfa_enabled
    assert not redeem(sealing, user, code(secret))
    assert not confirm(sealing, user, wrong(secret))
    typed = code(secret)
    assert confirm(sealing, user, f" {typed[:3]} {typed[3:]}\n")
    assert look(sealing, user).mfa_enabled
    with sealing.unit_of_work() as uow:
        assert uow.totp.disable(user.id)
        assert not uow.totp.disable(user.id)
    seen = look(sealing, user)
    assert (seen.mfa_enabled, seen.totp_secret_sealed) == (False, None)
    assert not redeem(sealing, user, code(secret, 1))


def test_no_code_is_good_twice_nor_an_older_one(sealing, user):
    secret = enrolled(sealing, user)
    assert not redeem(sealing, user, wrong(secret))
    first, second = code(secret), code(secret, 1)
    assert redeem(sealing, user, second)
    for used in (second, first, code(secret, -1)):
        assert not redeem(sealing, user, used)


def test_of_many_who_present_one_code_one_is_let_in(sealing, user):
    secret = enrolled(sealing, user)
    typed = code(secret, 1)
    answers = race(lambda _: redeem(sealing, user, typed), 20)
    assert answers.count(True) == 1


def test_of_many_who_confirm_at_once_one_does_and_the_code_is_spent(sealing, user):
    typed = code(propose(sealing, user))
    answers = race(lambda _: confirm(sealing, user, typed), 12)
    assert answers.count(True) == 1
    assert not redeem(sealing, user, typed)


def test_enrolling_anew_keeps_the_old_secret_until_the_new_one_is_confirmed(
    sealing, user
):
    old = enrolled(sealing, user)
    new = propose(sealing, user)
    assert redeem(sealing, user, code(old))
    assert confirm(sealing, user, code(new))
    assert not redeem(sealing, user, code(old, 1))
    assert redeem(sealing, user, code(new, 1))


def test_a_proposal_ends_after_a_while_and_by_the_next_one(sealing, superuser, user):
    first = propose(sealing, user)
    second = propose(sealing, user)
    assert not confirm(sealing, user, code(first))
    superuser.execute(
        "UPDATE authkit.user_totp SET proposed_at = proposed_at - interval '16 min'"
        " WHERE user_id = %s",
        (user.id,),
    )
    assert not confirm(sealing, user, code(second))


def test_what_is_rolled_back_spends_no_code(sealing, user):
    typed = code(enrolled(sealing, user), 1)

    def lose_it() -> None:
        with sealing.unit_of_work() as uow:
            assert uow.totp.redeem(user.id, typed)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose_it()
    assert redeem(sealing, user, typed)


def test_each_step_is_in_the_trail_and_no_secret_is_anywhere(sealing, superuser, user):
    secret = enrolled(sealing, user)
    with sealing.unit_of_work() as uow:
        uow.backup_codes.replace(user.id)
        assert uow.totp.disable(user.id)
        assert uow.backup_codes.left(user.id) == 0
    propose(sealing, user)
    with sealing.unit_of_work(read_only=True) as uow:
        told = uow.audit.trail(target=f"user:{user.id}", limit=4)
    assert [entry.action for entry in told] == [
        "totp.propose",
        "totp.disable",
        "backup_codes.replace",
        "totp.confirm",
    ]
    kept = superuser.execute(
        "SELECT proposed_sealed FROM authkit.user_totp WHERE user_id = %s", (user.id,)
    ).fetchone()
    assert secret not in kept[0]
    assert not re.search("secret|sealed|code.:", str([e.details for e in told]))


def test_a_secret_does_not_open_beside_another_user(sealing, superuser, user):
    enrolled(sealing, user)
    with sealing.unit_of_work() as uow:
        other = uow.users.create(f"other.{user.email}")
    secret = enrolled(sealing, other)
    superuser.execute(
        "UPDATE authkit.users SET totp_secret_sealed = (SELECT totp_secret_sealed"
        " FROM authkit.users WHERE id = %s) WHERE id = %s",
        (user.id, other.id),
    )
    with pytest.raises(InvalidInput, match="of another row"):
        redeem(sealing, other, code(secret))
    with sealing.unit_of_work() as uow:
        assert uow.totp.disable(other.id)


def test_the_ring_rotates_and_codes_stay_good(sealing, sealed_by, user):
    secret = enrolled(sealing, user)
    with sealed_by(new=NEW, old=OLD) as kit:
        resealed = 1
        while resealed:
            with kit.unit_of_work() as uow:
                resealed = uow.totp.reseal(limit=3)
        assert redeem(kit, user, code(secret))
    with sealed_by(new=NEW) as kit:
        assert redeem(kit, user, code(secret, 1))
        with kit.unit_of_work() as uow:
            assert uow.totp.disable(user.id)


def test_an_erased_user_has_no_authenticator_and_gets_none(sealing, superuser, user):
    secret = enrolled(sealing, user)
    with sealing.unit_of_work() as uow:
        uow.users.erase(user.id)
    assert not redeem(sealing, user, code(secret, 1))
    for act in (
        lambda: propose(sealing, user),
        lambda: confirm(sealing, user, "123456"),
    ):
        with pytest.raises(NotFound):
            act()
    left = superuser.execute(
        "SELECT FROM authkit.user_totp WHERE user_id = %s", (user.id,)
    )
    assert left.rowcount == 0


def test_without_a_key_nothing_is_proposed(kit, user):
    with pytest.raises(ConfigError, match="AUTHKIT_SEALING_KEYS"):
        propose(kit, user)


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "12345a", "\uff11" * 6, None]
)
def test_what_cannot_be_a_code_is_refused_and_not_repeated(sealing, user, typed):
    for ask in (confirm, redeem):
        with pytest.raises(InvalidInput) as refused:
            ask(sealing, user, typed)
        assert str(refused.value) == WRONG


@pytest.mark.parametrize("size", [10, 20, 64])
def test_an_authenticator_enrolled_elsewhere_goes_on_and_its_codes_are_used_up(
    sealing, superuser, user, size
):
    secret = secrets.token_bytes(size)
    text = b32encode(secret).decode().rstrip("=").lower()
    shown = f" {text[:4]}-{text[4:9]} {text[9:]}"
    propose(sealing, user)
    # Whatever step it is when the answer is awaited, this one was before the adoption.
    before = one_time.step_of(datetime.now(UTC))
    with sealing.unit_of_work() as uow:
        assert uow.totp.adopt(user.id, shown)
    assert not redeem(sealing, user, one_time.code_at(secret, before))
    seen = look(sealing, user)
    assert seen.mfa_enabled
    assert secret not in seen.totp_secret_sealed
    proposed, last = superuser.execute(
        "SELECT proposed_sealed, last_step FROM authkit.user_totp WHERE user_id = %s",
        (user.id,),
    ).fetchone()
    assert proposed is None
    # The test waits for no clock: the next step's code is good as long as it is next.
    superuser.execute(
        "UPDATE authkit.user_totp SET last_step = %s WHERE user_id = %s",
        (last - 2, user.id),
    )
    assert redeem(sealing, user, code(secret))
    for again in (secret, secrets.token_bytes(20)):
        with sealing.unit_of_work() as uow:
            assert not uow.totp.adopt(user.id, again)
    assert look(sealing, user).totp_secret_sealed == seen.totp_secret_sealed
    with sealing.unit_of_work(read_only=True) as uow:
        told = uow.audit.trail(target=f"user:{user.id}", limit=2)
    assert [entry.action for entry in told] == ["totp.adopt", "totp.propose"]


def test_of_many_who_adopt_at_once_one_does(sealing, user):
    made = [secrets.token_bytes(20) for _ in range(8)]

    def adopt(number: int) -> bool:
        with sealing.unit_of_work() as uow:
            return uow.totp.adopt(user.id, made[number])

    (winner,) = [n for n, did in enumerate(race(adopt, 8)) if did]
    with sealing.unit_of_work() as uow:
        kept = uow.users.get(user.id).totp_secret_sealed
    context = f"users/{user.id}/totp_secret".encode()
    assert sealing.key_ring.open(kept, context=context) == made[winner]


@pytest.mark.parametrize(
    "secret",
    ["", "AAAA", "not base32!", "A" * 105, b"short", b"x" * 65, None, 7, "\uff21" * 32],
)
def test_what_can_be_no_secret_is_refused_and_not_repeated(sealing, user, secret):
    with sealing.unit_of_work() as uow, pytest.raises(InvalidInput) as refused:
        uow.totp.adopt(user.id, secret)
    assert str(secret) not in str(refused.value) or secret == ""
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("issuer", ["", "a:b", "x" * 101])
def test_an_issuer_that_no_authenticator_takes_is_refused(sealing, user, issuer):
    with sealing.unit_of_work() as uow, pytest.raises(InvalidInput, match="issuer"):
        uow.totp.propose(user.id, issuer=issuer)


def test_a_user_enrols_under_asyncio(sealing, user):
    async def run() -> None:
        async with authkit.connect_async(sealing.settings) as kit:
            async with kit.unit_of_work() as uow:
                made = await uow.run(lambda w: w.totp.propose(user.id, issuer="Acme"))
            secret = b32decode(made.secret)
            async with kit.unit_of_work() as uow:
                typed = code(secret, -1)
                assert await uow.run(lambda w: w.totp.confirm(user.id, typed))

            async def present() -> bool:
                async with kit.unit_of_work() as uow:
                    return await uow.run(lambda w: w.totp.redeem(user.id, code(secret)))

            answers = await asyncio.gather(*(present() for _ in range(6)))
            assert answers.count(True) == 1

    asyncio.run(run())
