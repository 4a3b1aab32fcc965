"""Accounts and credentials: linked, used, and never the last one taken away."""

from __future__ import annotations

import base64
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from authkit.crypto import KeyRing
from authkit.errors import AlreadyExists, ConfigError, InvalidInput, NotFound
from authkit.ids import uuid7
from authkit.relational import NewCredential, ProviderTokens, Refusal, Removal, Used
from authkit.testing import race
from authkit.testing.waiting import until

ISSUER = "https://accounts.example"
RP = "example.com"
WAITING = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
SECRETS = ("access-s3cret", "refresh-s3cret", "id-s3cret")


def ring(*names: str) -> KeyRing:
    keys = [f"{n}:{base64.b64encode(n.encode() * 32)[:44].decode()}" for n in names]
    return KeyRing.parse(",".join(keys))


def provider_tokens() -> ProviderTokens:
    return ProviderTokens(*SECRETS, scope="openid")


def credential(**parts) -> NewCredential:
    return NewCredential(
        **{
            "rp_id": RP,
            "credential_id": os.urandom(32),
            "public_key": os.urandom(77),
            "backup_eligible": True,
            **parts,
        }
    )


# --- accounts -------------------------------------------------------------------------


def test_an_account_is_found_by_issuer_and_subject(kit, user, word):
    with kit.unit_of_work() as uow:
        made = uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        assert uow.accounts.find(ISSUER, word).user_id == user.id
        assert uow.accounts.find(f"{ISSUER}/other", word) is None
        assert [one.id for one in uow.accounts.of(user.id)] == [made.id]


def test_an_identity_is_linked_once(kit, user, word):
    def link(_: int) -> bool:
        with kit.unit_of_work() as uow:
            try:
                uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
            except AlreadyExists:
                return False
            return True

    assert race(link, 30).count(True) == 1


def test_provider_tokens_are_sealed_and_open_again(kit, superuser, user, word):
    keys = ring("a")
    with kit.unit_of_work() as uow:
        made = uow.accounts.link(
            user.id,
            provider="x",
            issuer=ISSUER,
            subject=word,
            tokens=provider_tokens(),
            ring=keys,
        )
    with kit.unit_of_work(read_only=True) as uow:
        (found,) = uow.accounts.of(user.id)
        assert uow.accounts.open_tokens(found, ring=keys) == provider_tokens()
        with pytest.raises(ConfigError):
            uow.accounts.open_tokens(found, ring=ring("b"))
    row = superuser.execute(
        "SELECT access_token_sealed || refresh_token_sealed || id_token_sealed"
        " FROM authkit.accounts WHERE id = %s",
        (made.id,),
    ).fetchone()
    assert not any(secret.encode() in row[0] for secret in SECRETS)
    assert not any(secret in repr(provider_tokens()) for secret in SECRETS)


def test_a_sealed_token_moved_to_another_row_does_not_open(kit, superuser, user, word):
    keys = ring("a")
    with kit.unit_of_work() as uow:
        one, two = (
            uow.accounts.link(
                user.id,
                provider="x",
                issuer=ISSUER,
                subject=f"{word}-{n}",
                tokens=provider_tokens(),
                ring=keys,
            )
            for n in range(2)
        )
    superuser.execute(
        "UPDATE authkit.accounts AS a SET access_token_sealed = b.access_token_sealed"
        " FROM authkit.accounts AS b WHERE a.id = %s AND b.id = %s",
        (one.id, two.id),
    )
    with kit.unit_of_work(read_only=True) as uow:
        moved = uow.accounts.find(ISSUER, f"{word}-0")
        with pytest.raises(InvalidInput, match="another row"):
            uow.accounts.open_tokens(moved, ring=keys)


def test_keys_rotate_without_downtime(kit, superuser, user, word):
    superuser.execute("DELETE FROM authkit.accounts")
    old, both, new = ring("a"), ring("b", "a"), ring("b")
    with kit.unit_of_work() as uow:
        for number in range(3):
            uow.accounts.link(
                user.id,
                provider="x",
                issuer=ISSUER,
                subject=f"{word}-{number}",
                tokens=provider_tokens(),
                ring=old,
            )
    with kit.unit_of_work() as uow:
        assert uow.accounts.reseal(ring=both, limit=2) == 2
        assert uow.accounts.reseal(ring=both, limit=2) == 1
        assert uow.accounts.reseal(ring=both, limit=2) == 0
    with kit.unit_of_work(read_only=True) as uow:
        for account in uow.accounts.of(user.id):
            assert uow.accounts.open_tokens(account, ring=new) == provider_tokens()


def test_nothing_is_left_to_reseal_only_when_what_others_hold_is_resealed_too(
    kit, superuser, database, user, word
):
    superuser.execute("DELETE FROM authkit.accounts")
    old, both = ring("a"), ring("b", "a")
    with kit.unit_of_work() as uow:
        for number in range(2):
            uow.accounts.link(
                user.id,
                provider="x",
                issuer=ISSUER,
                subject=f"{word}-{number}",
                tokens=provider_tokens(),
                ring=old,
            )

    def reseal() -> int:
        with kit.unit_of_work() as uow:
            return uow.accounts.reseal(ring=both)

    with ThreadPoolExecutor(1) as pool, psycopg.connect(database.url) as other:
        other.execute(
            "SELECT FROM authkit.accounts WHERE subject = %s FOR UPDATE", [f"{word}-0"]
        )
        assert reseal() == 1
        last = pool.submit(reseal)
        until(lambda: last.done() or superuser.execute(WAITING).rowcount, "it waits")
        other.rollback()
        assert last.result(30) == 1
    assert reseal() == 0


def test_newer_tokens_take_the_place_of_the_old(kit, user, word):
    keys = ring("a")
    with kit.unit_of_work() as uow:
        made = uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        kept = uow.accounts.keep_tokens(made.id, provider_tokens(), ring=keys)
        assert uow.accounts.open_tokens(kept, ring=keys) == provider_tokens()
        with pytest.raises(NotFound):
            uow.accounts.keep_tokens(uuid7(), provider_tokens(), ring=keys)


@pytest.mark.parametrize(
    "parts",
    [
        {"provider": ""},
        {"issuer": ""},
        {"subject": "x" * 256},
        {"kind": "carrier-pigeon"},
        {"tokens": ProviderTokens("a")},
    ],
    ids=str,
)
def test_a_malformed_account_is_refused(kit, user, parts):
    account = {"provider": "x", "issuer": ISSUER, "subject": "s", **parts}
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput):
        uow.accounts.link(user.id, **account)


# --- the last way in ------------------------------------------------------------------


def test_the_last_way_in_is_never_taken_away(kit, user, word):
    with kit.unit_of_work() as uow:
        account = uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        assert uow.accounts.unlink(account.id) is Removal.LAST_WAY_IN
        key = uow.credentials.register(user.id, credential())
        assert uow.accounts.unlink(account.id) is Removal.REMOVED
        assert uow.accounts.unlink(account.id) is Removal.NOT_THERE
        assert uow.credentials.retire(key.id) is Removal.LAST_WAY_IN


def test_of_two_who_take_away_the_last_two_ways_one_is_told_that_it_stays(
    kit, user, word
):
    with kit.unit_of_work() as uow:
        account = uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        key = uow.credentials.register(user.id, credential())

    def take(caller: int) -> Removal:
        with kit.unit_of_work() as uow:
            if caller % 2:
                return uow.accounts.unlink(account.id)
            return uow.credentials.retire(key.id)

    answers = race(take, 30)
    assert answers.count(Removal.REMOVED) == 1
    with kit.unit_of_work(read_only=True) as uow:
        ways = len(uow.accounts.of(user.id)) + len(uow.credentials.of(user.id))
    assert ways == 1


# --- credentials ----------------------------------------------------------------------


def test_a_credential_round_trips(kit, user):
    new = credential(
        credential_id=os.urandom(1023),
        transports=["internal", "hybrid"],
        aaguid=uuid7(),
        uv_initialized=True,
        backup_state=True,
        attestation_object=b"object",
        attestation_client_data=b"data",
        name="phone",
    )
    with kit.unit_of_work() as uow:
        made = uow.credentials.register(user.id, new)
    with kit.unit_of_work(read_only=True) as uow:
        found = uow.credentials.find(RP, new.credential_id)
        assert uow.credentials.find("other.example", new.credential_id) is None
    assert found.id == made.id
    for name in (
        "public_key",
        "sign_count",
        "uv_initialized",
        "backup_eligible",
        "backup_state",
        "transports",
        "aaguid",
        "attestation_object",
        "attestation_client_data",
        "name",
    ):
        assert getattr(found, name) == getattr(new, name), name


def use(uow, new: NewCredential, sign_count: int, **flags) -> Used | Refusal:
    return uow.credentials.use(
        RP,
        new.credential_id,
        sign_count=sign_count,
        **{
            "backup_eligible": True,
            "backup_state": False,
            "user_verified": True,
            **flags,
        },
    )


def test_a_sign_count_that_does_not_increase_is_a_signal_and_no_refusal(kit, user):
    new = credential(sign_count=5)
    with kit.unit_of_work() as uow:
        uow.credentials.register(user.id, new)
        used = use(uow, new, 6)
        assert (used.clone_suspected, used.credential.sign_count) == (False, 6)
        assert used.credential.uv_initialized
        used = use(uow, new, 6)
        assert (used.clone_suspected, used.credential.sign_count) == (True, 6)
        assert used.credential.clone_suspected_at is not None
        assert use(uow, new, 7).clone_suspected is False


def test_an_authenticator_that_counts_nothing_is_not_suspected(kit, user):
    new = credential()
    with kit.unit_of_work() as uow:
        uow.credentials.register(user.id, new)
        assert [use(uow, new, 0).clone_suspected for _ in range(3)] == [False] * 3


def test_of_many_assertions_with_one_count_one_is_not_suspected(kit, user):
    new = credential()
    with kit.unit_of_work() as uow:
        uow.credentials.register(user.id, new)

    def assert_once(_: int) -> bool:
        with kit.unit_of_work() as uow:
            return use(uow, new, 9).clone_suspected

    assert race(assert_once, 30).count(False) == 1


def test_a_credential_that_may_not_be_used_says_why(kit, user):
    new, unknown = credential(), credential()
    with kit.unit_of_work() as uow:
        made = uow.credentials.register(user.id, new)
        uow.credentials.register(user.id, credential())
        assert use(uow, unknown, 1) is Refusal.UNKNOWN
        changed = use(uow, new, 1, backup_eligible=False)
        assert changed is Refusal.ELIGIBILITY_CHANGED
        assert uow.credentials.rename(made.id, "old phone").name == "old phone"
        assert uow.credentials.retire(made.id) is Removal.REMOVED
        assert uow.credentials.retire(made.id) is Removal.NOT_THERE
        assert use(uow, new, 2) is Refusal.RETIRED
        with pytest.raises(AlreadyExists):
            uow.credentials.register(user.id, new)
        assert len(uow.credentials.of(user.id)) == 1
        assert len(uow.credentials.of(user.id, retired=True)) == 2


@pytest.mark.parametrize(
    "parts",
    [
        {"credential_id": b""},
        {"credential_id": b"x" * 1024},
        {"public_key": b""},
        {"sign_count": -1},
        {"sign_count": 2**32},
        {"backup_state": True, "backup_eligible": False},
        {"rp_id": ""},
        {"name": ""},
    ],
    ids=lambda p: str(p)[:40],
)
def test_a_malformed_credential_is_refused(parts):
    with pytest.raises(InvalidInput):
        credential(**parts)


def test_an_assertion_with_impossible_flags_is_refused(kit, user):
    new = credential(backup_eligible=False)
    with kit.unit_of_work() as uow:
        uow.credentials.register(user.id, new)
        with pytest.raises(InvalidInput):
            use(uow, new, 1, backup_eligible=False, backup_state=True)
        with pytest.raises(NotFound):
            uow.credentials.register(uuid7(), credential())


# --- erasure --------------------------------------------------------------------------


def test_an_erased_user_leaves_no_personal_detail_and_an_intact_trail(
    kit, superuser, user, word
):
    with kit.unit_of_work() as uow:
        uow.users.update(user.id, name=f"Ann {word}", image=f"https://x/{word}")
        uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        uow.credentials.register(user.id, credential(name=word))
        uow.roles.grant(user.id, "user")
        uow.hot.sessions.create(user.id, ip="192.0.2.99", user_agent=word)
    with kit.unit_of_work() as uow:
        erased = uow.users.erase(user.id)
        assert uow.users.erase(user.id).erased_at == erased.erased_at
        assert uow.credentials.of(user.id) == []
        assert uow.roles.of(user.id) == []
        assert uow.audit.verify().intact
    for table in ("users", "accounts", "webauthn_credentials", "sessions"):
        rows = superuser.execute(
            f"SELECT count(*) FROM authkit.{table} AS t"
            " WHERE t::text LIKE %s OR t::text LIKE %s OR t::text LIKE %s",
            (f"%{word}%", f"%{user.email}%", "%192.0.2.99%"),
        ).fetchone()
        assert rows == (0,), table
    assert kit.sessions.list(user.id) == []
    with kit.unit_of_work() as uow:
        with pytest.raises(InvalidInput, match="erased"):
            uow.users.enable(user.id)
        with pytest.raises(NotFound):
            uow.users.erase(uuid7())
        again = uow.users.create(user.email)
        assert again.id != user.id


def test_what_erasure_removed_does_not_come_back(kit, user, word):
    with kit.unit_of_work() as uow:
        uow.users.erase(user.id)
    with kit.unit_of_work() as uow:
        with pytest.raises(NotFound):
            uow.users.update(user.id, name=word)
        with pytest.raises(NotFound):
            uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=word)
        with pytest.raises(NotFound):
            uow.credentials.register(user.id, credential())
        with pytest.raises(NotFound, match="no such user"):
            uow.roles.grant(user.id, "user")
        assert uow.roles.of(user.id) == []


def test_erasing_and_granting_at_once_leaves_no_role_behind(kit, user):
    def act(number: int) -> None:
        with kit.unit_of_work() as uow:
            if number == 0:
                uow.users.erase(user.id)
                return
            with contextlib.suppress(NotFound):
                uow.roles.grant(user.id, ("user", "moderator", "admin")[number % 3])

    race(act, 12)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.get(user.id).erased_at is not None
        assert uow.roles.of(user.id) == []


def test_erasing_and_linking_at_once_leaves_no_account_behind(kit, user, word):
    def act(number: int) -> None:
        with kit.unit_of_work() as uow:
            if number == 0:
                uow.users.erase(user.id)
                return
            with contextlib.suppress(NotFound):
                uow.accounts.link(
                    user.id, provider="x", issuer=ISSUER, subject=f"{word}.{number}"
                )

    race(act, 12)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.get(user.id).erased_at is not None
        assert uow.accounts.of(user.id) == []


def test_accounts_credentials_and_roles_of_a_user_are_read_in_pages(kit, user, word):
    with kit.unit_of_work() as uow:
        for number in range(3):
            subject = f"{word}.{number}"
            uow.accounts.link(user.id, provider="x", issuer=ISSUER, subject=subject)
            uow.credentials.register(user.id, credential())
            uow.roles.create(f"{word}.r{number}")
            uow.roles.grant(user.id, f"{word}.r{number}")
        for of, key in (
            (uow.accounts.of, lambda last: last.id),
            (uow.credentials.of, lambda last: last.id),
            (uow.roles.of, lambda last: last),
        ):
            first = of(user.id, limit=2)
            rest = of(user.id, after=key(first[-1]), limit=2)
            assert (len(first), len(rest)) == (2, 1)
            assert [*first, *rest] == of(user.id)
            with pytest.raises(InvalidInput):
                of(user.id, limit=0)
