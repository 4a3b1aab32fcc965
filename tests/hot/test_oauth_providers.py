"""Providers' tokens: sealed at rest, replaced by one of many, resealed on rotation."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from authkit.crypto import KeyRing
from authkit.errors import AlreadyExists, InvalidInput
from authkit.hot import OAuth, Routed
from authkit.hot._sync.oauth_providers import OAuthProviders

OLD = KeyRing((("old", secrets.token_bytes(32)),))
BOTH = KeyRing((("new", secrets.token_bytes(32)), *OLD.keys))


@pytest.fixture
def old(kit):
    return OAuth(Routed(kit.cluster), lambda: OLD).providers


@pytest.fixture
def providers(kit):
    return OAuth(Routed(kit.cluster), lambda: BOTH).providers


def test_tokens_are_read_back_and_stand_sealed_in_the_table(
    providers, user_id, superuser
):
    expires = datetime.now(UTC) + timedelta(hours=1)
    stored = providers.put(
        user_id,
        "hub",
        str(user_id),
        access_token="access-secret",
        refresh_token="refresh-secret",
        id_token="id-secret",
        expires_at=expires,
        scope="repo",
    )
    (found,) = providers.of_user(user_id)
    assert (found.access_token, found.refresh_token, found.id_token) == (
        "access-secret",
        "refresh-secret",
        "id-secret",
    )
    assert (found.expires_at, found.scope, found.updated_at) == (
        expires,
        "repo",
        stored,
    )
    assert "secret" not in repr(found)
    row = superuser.execute(
        "SELECT t::text FROM authkit.oauth_token_cache AS t WHERE user_id = %s",
        (user_id,),
    ).fetchone()
    assert "secret" not in row[0]
    assert b"secret".hex() not in row[0]
    assert providers.of_user(user_id, "elsewhere") == []
    assert providers.forget(user_id, "hub") == 1
    assert providers.of_user(user_id) == []


def test_what_the_provider_left_out_stays_and_is_resealed_too(
    old, providers, user_id, superuser
):
    name = str(user_id)
    old.put(user_id, "hub", name, access_token="a1", refresh_token="r1", scope="repo")
    providers.put(user_id, "hub", name, access_token="a2")
    while providers.reseal():
        pass
    (found,) = providers.of_user(user_id)
    assert (found.access_token, found.refresh_token, found.scope) == (
        "a2",
        "r1",
        "repo",
    )
    rows = superuser.execute(
        "SELECT sealing_key_id, refresh_token_sealed FROM authkit.oauth_token_cache"
        " WHERE user_id = %s",
        (user_id,),
    ).fetchall()
    assert [row[0] for row in rows] == ["new"]
    assert not BOTH.needs_rotation(bytes(rows[0][1]))
    assert providers.reseal() == 0


def ring(*names: str) -> KeyRing:
    return KeyRing(tuple((name, name.encode() * 32) for name in names))


def keyed_by(kit, *names: str) -> OAuthProviders:
    return OAuthProviders(Routed(kit.cluster), lambda: ring(*names))


@pytest.fixture
def nothing_sealed(superuser) -> None:
    """No row: what one test left, the keys of the next could not open."""
    superuser.execute("DELETE FROM authkit.oauth_token_cache")


@pytest.mark.usefixtures("nothing_sealed")
@pytest.mark.parametrize("order", [("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b")])
def test_every_token_is_resealed_whichever_keys_its_row_had(kit, user_id, order):
    first, second, active = (
        keyed_by(kit, name, *sorted({"a", "b", "c"} - {name})) for name in order
    )
    name = str(user_id)
    first.put(user_id, "and", name, access_token="a0")
    first.put(user_id, "hub", name, access_token="a1", refresh_token="r1")
    second.put(user_id, "hub", name, access_token="a2", id_token="i2")
    active.put(user_id, "hub", name, access_token="a3", refresh_token="r3")
    while active.reseal():
        pass
    found = keyed_by(kit, order[-1]).of_user(user_id)
    assert [(one.access_token, one.refresh_token, one.id_token) for one in found] == [
        ("a0", None, None),
        ("a3", "r3", "i2"),
    ]


@pytest.mark.usefixtures("nothing_sealed")
def test_what_a_process_with_the_older_key_stored_is_found_too(kit, user_id):
    older, newer = keyed_by(kit, "a", "b"), keyed_by(kit, "b", "a")
    name = str(user_id)
    newer.put(user_id, "hub", name, access_token="a1", refresh_token="r1")
    older.put(user_id, "hub", name, access_token="a2")
    while newer.reseal():
        pass
    (found,) = keyed_by(kit, "b").of_user(user_id)
    assert (found.access_token, found.refresh_token) == ("a2", "r1")


class Between:
    """A runner with which somebody is always a moment faster."""

    def __init__(self, runner, act) -> None:
        self._runner = runner
        self._act = act

    def fetch_all(self, operation, params):
        rows = self._runner.fetch_all(operation, params)
        self._act()
        return rows

    def execute(self, operation, params):
        return self._runner.execute(operation, params)


@pytest.mark.usefixtures("nothing_sealed")
def test_a_refresh_in_the_middle_of_resealing_is_left_to_the_next_call(kit, user_id):
    older, newer = keyed_by(kit, "a"), keyed_by(kit, "b", "a")
    name = str(user_id)
    older.put(user_id, "hub", name, access_token="a1", refresh_token="r1")
    beaten = OAuthProviders(
        Between(
            Routed(kit.cluster),
            lambda: newer.put(user_id, "hub", name, access_token="a2"),
        ),
        lambda: ring("b", "a"),
    )
    assert beaten.reseal() == 1
    assert newer.reseal() == 1
    assert newer.reseal() == 0
    (found,) = keyed_by(kit, "b").of_user(user_id)
    assert (found.access_token, found.refresh_token) == ("a2", "r1")


def test_of_many_who_refresh_at_once_one_is_stored(providers, user_id, race):
    name = str(user_id)
    first = providers.put(user_id, "hub", name, access_token="a0")
    answers = race(
        lambda n: providers.put(
            user_id, "hub", name, access_token=f"a{n}", replacing=first
        ),
        20,
    )
    assert sum(answer is not None for answer in answers) == 1
    winner = next(n for n, answer in enumerate(answers) if answer is not None)
    assert providers.of_user(user_id)[0].access_token == f"a{winner}"
    providers.forget(user_id, "hub", name)
    late = providers.put(user_id, "hub", name, access_token="a", replacing=first)
    assert late is None
    assert providers.of_user(user_id) == []


def test_a_row_moved_to_another_account_does_not_open(
    providers, user_id, add_user, superuser
):
    providers.put(user_id, "hub", str(user_id), access_token="a")
    with pytest.raises(AlreadyExists):
        providers.put(add_user(), "hub", str(user_id), access_token="b")
    superuser.execute(
        "UPDATE authkit.oauth_token_cache SET provider_account_id = 'x' || user_id"
        " WHERE user_id = %s",
        (user_id,),
    )
    with pytest.raises(InvalidInput):
        providers.of_user(user_id)


@pytest.mark.parametrize(
    "wrong",
    [{"access_token": ""}, {"access_token": "x" * 20_000}, {"id_token": "a\0b"}],
    ids=["empty", "oversized", "NUL"],
)
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(
    providers, user_id, wrong, asked
):
    with pytest.raises(InvalidInput) as caught:
        providers.put(user_id, "hub", "1", **{"access_token": "a", **wrong})
    assert "xx" not in str(caught.value)
    assert asked == []
