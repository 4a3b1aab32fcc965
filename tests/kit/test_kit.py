from __future__ import annotations

import asyncio
import base64
import os

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

import authkit
from authkit.crypto import tokens
from authkit.errors import Closed, ConfigError, Unavailable
from authkit.kit import reading
from authkit.settings import Settings


def test_a_kit_is_open_when_connect_returns_and_closed_after_its_block(settings):
    with authkit.connect(settings) as kit:
        assert kit.sessions.validate(tokens.issue().token) is None
    with pytest.raises(Closed):
        kit.sessions.validate(tokens.issue().token)
    kit.close()


def test_an_async_kit_opens_by_await_and_by_its_block(settings):
    async def run() -> None:
        async with authkit.connect_async(settings) as kit:
            assert await kit.sessions.validate(tokens.issue().token) is None
        kit = await authkit.connect_async(settings)
        assert await kit.sessions.validate(tokens.issue().token) is None
        await kit.close()
        with pytest.raises(Closed):
            await kit.sessions.validate(tokens.issue().token)

    asyncio.run(run())


def test_settings_come_from_the_environment(settings, monkeypatch):
    url = settings.database_url.get_secret_value()
    monkeypatch.setenv("DATABASE_URL", url)
    with authkit.connect() as kit:
        assert kit.settings.database_url.get_secret_value() == url


@pytest.mark.parametrize("connect", [authkit.connect, authkit.connect_async])
def test_a_url_is_no_settings_and_its_password_is_not_repeated(connect):
    with pytest.raises(ConfigError, match="database_url=") as caught:
        connect("postgresql://ann:geheim@127.0.0.1/app")
    assert "geheim" not in repr(caught.value)


def test_without_a_database_the_error_says_which_variable_is_missing():
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        authkit.connect(Settings.load(env_file=None, database_url=None))


def test_a_node_that_does_not_answer_is_named_and_its_password_is_not():
    url = "postgresql://someone:s3cret@127.0.0.1:1/none"
    settings = Settings.load(env_file=None, database_url=url)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
        authkit.connect(settings)
    assert "s3cret" not in str(caught.value)


def test_an_observer_is_told_of_every_operation_and_how_it_ended(kit):
    calls = []
    stop = kit.observe(lambda *call: calls.append(call))
    primary = kit.cluster.status().primary
    kit.sessions.validate(tokens.issue().token)
    kit.sessions.purge()
    ((name, node, role, seconds, error), (other, *_)) = calls
    assert (name, node, role) == ("sessions.validate", primary, "primary")
    assert 0 < seconds < 60
    assert error is None
    assert other == "sessions.purge"
    stop()
    kit.sessions.purge()
    assert len(calls) == 2


def test_an_observer_is_told_of_the_error_that_the_caller_got(settings):
    calls = []
    kit = authkit.connect(settings)
    kit.observe(lambda *call: calls.append(call))
    kit.close()
    with pytest.raises(Closed) as caught:
        kit.sessions.purge()
    assert calls[0][:3] == ("sessions.purge", "", "")
    assert calls[0][4] is caught.value


def test_an_observer_that_fails_disturbs_nobody(kit, caplog):
    def fail(*_: object) -> None:
        raise ValueError("an observer's own fault")

    kit.observe(fail)
    assert kit.sessions.validate(tokens.issue().token) is None
    assert "an observer of operations failed" in caplog.text


def test_a_key_is_asked_for_only_when_it_is_needed(kit):
    with pytest.raises(ConfigError, match="AUTHKIT_TOKEN_KEY"):
        _ = kit.keyed_hash
    with pytest.raises(ConfigError, match="AUTHKIT_SEALING_KEYS"):
        _ = kit.key_ring


def test_keys_are_those_of_the_settings(settings):
    key = base64.b64encode(os.urandom(32)).decode()
    changes = {
        "authkit_token_key": SecretStr(key),
        "authkit_sealing_keys": SecretStr(f"one:{key}"),
    }
    with authkit.connect(settings.model_copy(update=changes)) as kit:
        assert len(kit.keyed_hash.subject("Ann@Example.com")) == 32
        sealed = kit.key_ring.seal(b"secret", context=b"test")
        assert kit.key_ring.open(sealed, context=b"test") == b"secret"


def test_a_kit_shows_its_nodes_and_no_secret(kit, settings):
    shown = kit._repr_html_() + repr(kit)
    for node in kit.cluster.status().nodes:
        assert node.name in shown
    assert f"authkit {authkit.__version__}</b> on PostgreSQL 1" in shown
    assert "primary" in shown
    password = settings.database_url.get_secret_value().split("@")[0].split(":")[-1]
    assert password not in shown
    kit.close()
    assert ": closed" in kit._repr_html_()


def test_frames_say_which_extra_they_need(kit, monkeypatch):
    monkeypatch.setattr("authkit.kit._sync.kit.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="notebook"):
        _ = kit.frames


def test_an_analysis_reads_beside_the_traffic(kit, settings):
    kit.cluster.wait_for(replicas=1)
    topology = kit.cluster.topology

    def serves(url):
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT pg_is_in_recovery()").fetchall()

    assert serves(reading.url_for_reading(settings, topology)) == [(True,)]
    assert serves(reading.url_for_writing(settings, topology)) == [(False,)]
    alone = settings.model_copy(update={"database_replica_urls": ()})
    assert serves(reading.url_for_reading(alone, topology)) == [(False,)]


def test_of_a_url_of_several_hosts_an_analysis_takes_the_one_that_it_wants(settings):
    urls = (settings.database_replica_urls[0], settings.database_url)
    replica, primary = (conninfo_to_dict(url.get_secret_value()) for url in urls)
    both = make_conninfo(
        **{
            **primary,
            "host": f"{replica['host']},{primary['host']}",
            "port": f"{replica['port']},{primary['port']}",
        }
    )
    one = Settings.load(None, database_url=both, database_replica_urls="")
    with authkit.connect(one) as kit:
        kit.cluster.wait_for(replicas=1)
        urls = (
            reading.url_for_writing(one, kit.cluster.topology),
            reading.url_for_reading(one, kit.cluster.topology),
        )
    ports = [conninfo_to_dict(url)["port"] for url in urls]
    assert ports == [primary["port"], replica["port"]]
