"""A rotation seals what is stored, not what somebody looked at before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import authkit
from authkit.relational.accounts import ProviderTokens

OLD, NEW = b"a" * 32, b"b" * 32
FIRST, SECOND = b"first secret of it", b"second secret of it"


@pytest.fixture(scope="module")
def before(sealed_by) -> Iterator[authkit.Kit]:
    """A kit that knows the old key only."""
    with sealed_by(a=OLD) as opened:
        yield opened


@pytest.fixture(scope="module")
def rotating(sealed_by) -> Iterator[authkit.Kit]:
    """A kit that seals with the new key, and opens with both."""
    with sealed_by(b=NEW, a=OLD) as opened:
        yield opened


def test_newer_provider_tokens_outlast_a_rotation_that_saw_the_older_ones(
    before, rotating, user
):
    with before.unit_of_work() as uow:
        account = uow.accounts.link(
            user.id,
            provider="x",
            issuer="https://issuer.example",
            subject=str(user.id),
            tokens=ProviderTokens(refresh_token="first"),
            ring=before.key_ring,
        )
    with rotating.unit_of_work() as uow:
        (seen,) = uow.accounts.of(user.id)
        with before.unit_of_work() as other:
            newer = ProviderTokens(refresh_token="second")
            other.accounts.keep_tokens(account.id, newer, ring=before.key_ring)
        assert uow.accounts.reseal(ring=rotating.key_ring) == 1
        kept = uow.accounts.open_tokens(seen, ring=rotating.key_ring)
    assert kept.refresh_token == "second"  # no secret
    assert seen.sealing_key_id == "b"


def test_a_newer_authenticator_outlasts_a_rotation_that_saw_the_older_one(
    before, rotating, user
):
    with before.unit_of_work() as uow:
        assert uow.totp.adopt(user.id, FIRST)
    with rotating.unit_of_work() as uow:
        seen = uow.users.get(user.id)
        with before.unit_of_work() as other:
            assert other.totp.disable(user.id)
            assert other.totp.adopt(user.id, SECOND)
        assert uow.totp.reseal() == 1
        context = f"users/{user.id}/totp_secret".encode()
        kept = rotating.key_ring.open(seen.totp_secret_sealed, context=context)
    assert kept == SECOND
