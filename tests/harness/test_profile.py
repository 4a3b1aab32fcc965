from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.harness.command import locustfile, profile_path
from authkit.harness.profile import FLOWS, VISITS, Profile, parse, read
from authkit.hot.registry import BY_NAME

ROOT = Path(__file__).resolve().parents[2]


def test_every_shipped_profile_is_valid():
    paths = [
        *(ROOT / "bench" / "profiles").glob("*.toml"),
        *(ROOT / "authkit").rglob("demo.toml"),
    ]
    assert len(paths) == 9
    for path in paths:
        assert read(path).title


def test_a_profile_can_weigh_real_operations_only():
    assert set(VISITS) <= set(BY_NAME)
    assert not set(FLOWS) & set(BY_NAME)


def test_what_a_profile_leaves_out_has_a_default():
    found = parse("small", tomllib.loads('[weights]\n"sessions.validate" = 1'))
    assert found == Profile("small", {"sessions.validate": 1.0}, title="small")


def test_every_fault_of_a_profile_is_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        parse(
            "broken",
            tomllib.loads(
                """
                surprise = 1
                [load]
                model = "ajar"
                users = 0
                think_ms = [9, 1]
                pace = 3
                [reads]
                replica_share = 1.5
                [weights]
                "sessions.dance" = 1
                "sessions.touch" = -1
                """
            ),
        )
    text = str(caught.value)
    for word in (
        "'surprise'",
        "model is one of closed, open",
        "users must be",
        "think_ms is [from, to]",
        "'pace'",
        "replica_share",
        "'sessions.dance'",
        "sessions.touch must be",
    ):
        assert word in text


def test_a_profile_without_a_weight_is_refused():
    with pytest.raises(ConfigError, match="no operation a weight"):
        parse("idle", {})


def test_a_name_finds_the_profile_in_the_bench_folder():
    assert profile_path("session-read").name == "session-read.toml"
    assert profile_path("own/file.toml") == Path("own/file.toml")
    assert locustfile().name == "locustfile.py"


def test_an_unknown_name_lists_the_profiles_there_are():
    with pytest.raises(ConfigError, match="mixed-day, oauth-code"):
        profile_path("nightly")
