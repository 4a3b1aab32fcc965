"""Addresses looked up in files of the real format, as operators have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.risk.networks import NOTHING, Networks


@pytest.fixture
def files(tmp_path: Path, mmdb: Callable[..., Path]) -> dict[str, Path]:
    return {
        "country": mmdb(
            tmp_path / "country.mmdb", {"192.0.2.0/24": {"country": {"iso_code": "NO"}}}
        ),
        "asn": mmdb(
            tmp_path / "asn.mmdb",
            {
                "192.0.2.0/25": {"autonomous_system_number": 64512},
                "198.51.100.0/24": {"asn": "AS64513", "country_code": "SE"},
            },
        ),
        "city": mmdb(
            tmp_path / "city.mmdb",
            {"192.0.2.0/24": {"location": {"latitude": 59.9, "longitude": 10.8}}},
        ),
    }


def test_an_address_is_found_in_the_operators_own_files(files: dict[str, Path]):
    networks = Networks(**files)
    assert networks.look("192.0.2.1") == (64512, "NO", (59.9, 10.8))
    assert networks.look("192.0.2.200") == (None, "NO", (59.9, 10.8))
    assert networks.look("198.51.100.1") == (64513, None, None)
    assert networks.look("203.0.113.1") == NOTHING
    assert networks.look("2001:db8::1") == NOTHING  # the files are of IPv4
    networks.close()


def test_without_files_the_country_is_that_of_the_registries():
    networks = Networks()
    assert networks.look("193.0.6.139").country == "NL"  # RIPE NCC
    assert networks.look("2001:67c:2e8::1").country == "NL"
    assert networks.look("10.0.0.1") == NOTHING
    assert not networks.has_cities


def test_what_the_application_says_goes_before_what_is_found(files: dict[str, Path]):
    networks = Networks(**files)
    assert networks.complete("192.0.2.1", None, None) == (64512, "NO")
    assert networks.complete("192.0.2.1", 1, None) == (1, "NO")
    assert networks.complete("192.0.2.1", 1, "SE") == (1, "SE")
    assert networks.complete(None, None, "SE") == (None, "SE")
    networks.close()


def test_a_file_that_is_none_is_named_without_its_path(tmp_path: Path):
    wrong = tmp_path / "wrong.mmdb"
    wrong.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match=r"wrong\.mmdb is no MMDB file") as told:
        Networks(asn=wrong).look("192.0.2.1")
    assert str(tmp_path) not in str(told.value)
    with pytest.raises(ConfigError, match=r"gone\.mmdb cannot be read"):
        Networks(city=tmp_path / "gone.mmdb").look("192.0.2.1")
