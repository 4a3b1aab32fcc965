"""URLs become targets: names without secrets, defaults that bound every wait."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from authkit.cluster.target import DEFAULTS, targets
from authkit.errors import ConfigError

SECRET = "hunter2"


def one(url: str):
    (target,) = targets([url])
    return target


def test_a_name_is_host_and_port_and_shows_no_secret():
    target = one(f"postgresql://somebody:{SECRET}@db.example:5433/auth?sslmode=require")
    assert target.name == "db.example:5433"
    assert SECRET not in repr(target)
    assert SECRET in target.conninfo(None)


def test_every_wait_of_libpq_is_bounded_unless_the_url_says_otherwise():
    parameters = conninfo_to_dict(one("postgresql://db.example/auth").conninfo(None))
    assert {name: str(parameters[name]) for name in DEFAULTS} == dict(DEFAULTS)
    assert parameters["options"] == "-c search_path=authkit,public"
    own = one("postgresql://db/auth?connect_timeout=9&application_name=shop")
    assert own.parameters["connect_timeout"] == "9"
    assert own.parameters["application_name"] == "shop"


def test_options_of_the_url_are_kept_beside_ours():
    target = one("postgresql://db/auth?options=-c%20work_mem%3D8MB")
    assert target.parameters["options"] == (
        "-c work_mem=8MB -c search_path=authkit,public"
    )
    own = one("postgresql://db/auth?options=-c%20search_path%3Dmine")
    assert own.parameters["options"] == "-c search_path=mine"


def test_tls_and_passfile_and_service_reach_libpq():
    url = (
        "postgresql://db/auth?sslmode=verify-full&sslrootcert=/etc/ca.pem"
        "&passfile=/etc/pgpass"
    )
    parameters = one(url).parameters
    assert parameters["sslmode"] == "verify-full"
    assert parameters["passfile"] == "/etc/pgpass"
    assert one("service=accounts").name.startswith("service=accounts:")


def test_a_url_of_several_hosts_is_several_targets():
    found = targets(
        ["postgresql://u:p@one,two:5433/auth?target_session_attrs=read-write"]
    )
    assert [t.name for t in found] == ["one:5432", "two:5433"]
    assert all("target_session_attrs" not in t.parameters for t in found)
    assert [t.parameters["host"] for t in found] == ["one", "two"]


def test_one_port_serves_every_host():
    found = targets(["host=one,two port=6000 dbname=auth"])
    assert [t.name for t in found] == ["one:6000", "two:6000"]


def test_a_unix_socket_is_a_target():
    assert one("postgresql:///auth?host=/run/postgresql").name == "/run/postgresql:5432"


def test_sqlalchemys_urls_are_read():
    assert one("postgresql+psycopg://db/auth").name == "db:5432"


def test_two_databases_of_one_server_are_told_apart_by_name():
    found = targets(["postgresql://db/one", "postgresql://db/two"])
    assert [t.name for t in found] == ["db:5432/one", "db:5432/two"]


def test_every_problem_is_listed_at_once_and_none_shows_a_secret():
    with pytest.raises(ConfigError) as caught:
        targets(
            [
                f"postgresql://u:{SECRET}@db/auth?no_such_option=1",
                "postgresql://db/auth",
                "postgresql://db/auth",
                "host=a,b,c port=1,2",
            ]
        )
    assert len(caught.value.problems) == 3
    assert "URL 1" in str(caught.value)
    assert "db:5432 is named twice" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "login", [f"u:{SECRET}/x", f"u:123/{SECRET}", f"u:x@{SECRET}", f"u:x?@{SECRET}"]
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(login):
    with pytest.raises(ConfigError) as caught:
        targets([f"postgresql://{login}@db/auth"])
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:a%40b%2Fc@db:5432,other:/auth%40home?user=me@home",
        "postgresql://u:a?b@db?application_name=me@home",
        "host=db password=a://b@c",
        "postgresql://@%2Ftmp:5433/auth",
    ],
)
def test_what_libpq_reads_as_it_was_meant_is_accepted(url):
    assert targets([url])


def test_no_url_at_all_is_a_problem():
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        targets([])


def test_zones_are_given_by_name():
    found = targets(
        ["postgresql://one/x", "postgresql://two/x"], zones={"two:5432": "east"}
    )
    assert [t.zone for t in found] == [None, "east"]
    with pytest.raises(ConfigError, match="unknown node"):
        targets(["postgresql://one/x"], zones={"three:5432": "east"})
