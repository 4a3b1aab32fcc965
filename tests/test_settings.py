from __future__ import annotations

import re
from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.settings import Settings, environment_names

ROOT = Path(__file__).resolve().parents[1]
URL = "postgresql://ada:s3cret-word@127.0.0.1:5432/authkit"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch):
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)


def test_the_eleven_variables_of_the_design_have_its_defaults():
    settings = Settings.load(env_file=None)
    assert settings.database_url is None
    assert settings.database_replica_urls == ()
    assert settings.database_pool_min == 2
    assert settings.database_pool_max == 20
    assert settings.database_replica_pool_min == 1
    assert settings.database_replica_pool_max == 15
    assert settings.database_idle_timeout == 30_000
    assert settings.database_connection_timeout == 5_000
    assert settings.database_max_retries == 3
    assert settings.database_retry_delay == 1_000
    assert settings.database_backoff_multiplier == 2


def documented() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = re.findall(r"^#? ?([A-Z][A-Z_]+)=(.*)$", text, flags=re.MULTILINE)
    return dict(lines)


def test_the_example_file_documents_every_variable_and_no_other():
    assert set(documented()) == set(environment_names())


def test_the_example_file_shows_the_real_defaults():
    defaults = Settings.load(env_file=None)
    for name, shown in documented().items():
        default = getattr(defaults, name.lower())
        if isinstance(default, int | float):
            assert float(shown) == default, name


def test_the_example_file_loads_as_it_stands():
    Settings.load(env_file=ROOT / ".env.example")


def test_replica_urls_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE_REPLICA_URLS", "postgresql://b/x, postgresql://c/x,,")
    settings = Settings.load(env_file=None)
    assert [u.get_secret_value() for u in settings.urls] == [
        URL,
        "postgresql://b/x",
        "postgresql://c/x",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@a:1,b:2/x?target_session_attrs=any",
        "postgresql:///x?host=/var/run/postgresql",
        "postgresql+psycopg://u:p@a/x?sslmode=verify-full&sslrootcert=system",
        "host=a dbname=x passfile=/home/ada/.pgpass",
        "service=authkit",
    ],
)
def test_every_form_of_address_that_libpq_knows_is_accepted(url: str):
    assert Settings.load(env_file=None, database_url=url).database_url is not None


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:s3cret-word@a/x",
        "postgresql://ada:s3cret-word@[bad/x",
        "nonsense s3cret-word",
        "host=a password='s3cret-word",
    ],
)
def test_a_malformed_url_is_named_and_its_password_is_not(url: str):
    with pytest.raises(ConfigError) as caught:
        Settings.load(env_file=None, database_url=url)
    assert "DATABASE_URL" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)
    assert "s3cret-word" not in repr(caught.value.__cause__)


def test_a_password_is_in_no_repr():
    settings = Settings.load(
        env_file=None, database_url=URL, database_replica_urls=[URL + "2"]
    )
    assert "s3cret-word" not in repr(settings)
    assert "s3cret-word" not in str(settings.model_dump())


def test_every_problem_is_listed_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_POOL_MAX", "none")
    monkeypatch.setenv("DATABASE_IDLE_TIMEOUT", "0")
    monkeypatch.setenv("DATABASE_RETRY_DELAY", "-1")
    with pytest.raises(ConfigError) as caught:
        Settings.load(env_file=None)
    said = " ".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    for name in ("DATABASE_POOL_MAX", "DATABASE_IDLE_TIMEOUT", "DATABASE_RETRY_DELAY"):
        assert name in said


def test_limits_that_contradict_each_other_are_named():
    with pytest.raises(ConfigError, match="DATABASE_POOL_MIN is above"):
        Settings.load(env_file=None, database_pool_min=5, database_pool_max=4)


def test_one_node_named_twice_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        Settings.load(env_file=None, database_url=URL, database_replica_urls=[URL])


def test_a_malformed_env_file_is_named_by_line_without_its_content(tmp_path: Path):
    path = tmp_path / ".env"
    path.write_text("DATABASE_POOL_MAX=4\ns3cret-word\n# fine\nA B=1\n")
    with pytest.raises(ConfigError) as caught:
        Settings.load(env_file=path)
    assert caught.value.problems == (
        ".env line 2 is not NAME=value",
        ".env line 4 is not NAME=value",
    )


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / ".env"
    path.write_text("DATABASE_POOL_MAX=4\nDATABASE_POOL_MIN=3\n")
    monkeypatch.setenv("DATABASE_POOL_MAX", "7")
    settings = Settings.load(env_file=path)
    assert (settings.database_pool_max, settings.database_pool_min) == (7, 3)


def test_a_missing_url_says_what_to_do():
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        Settings.load(env_file=None).require_database()
