"""Addresses looked up in files of the real format, written here byte by byte."""

from __future__ import annotations

import struct
from ipaddress import ip_network
from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.risk.networks import NOTHING, Networks


class Wide(int):
    """An unsigned number of 32 bits."""


class Epoch(int):
    """An unsigned number of 64 bits."""


def encoded(value: object) -> bytes:
    """Return a value of the data section (MaxMind DB file format, version 2)."""
    if isinstance(value, dict):
        inside = b"".join(encoded(k) + encoded(v) for k, v in value.items())
        return bytes([7 << 5 | len(value)]) + inside
    if isinstance(value, str):
        text = value.encode()
        assert len(text) < 29
        return bytes([2 << 5 | len(text)]) + text
    if isinstance(value, float):
        return bytes([3 << 5 | 8]) + struct.pack(">d", value)
    if isinstance(value, list):
        assert not value
        return bytes([0, 11 - 7])
    assert isinstance(value, int)
    if isinstance(value, Epoch):
        return bytes([8, 9 - 7]) + value.to_bytes(8, "big")
    if not isinstance(value, Wide) and value < 1 << 16:
        return bytes([5 << 5 | 2]) + value.to_bytes(2, "big")
    return bytes([6 << 5 | 4]) + value.to_bytes(4, "big")


def mmdb(path: Path, records: dict[str, object]) -> Path:
    """Write an IPv4 database of networks and their records."""
    nodes: list[list[tuple[str, int] | None]] = [[None, None]]
    data, section = b"", {}
    for name, record in records.items():
        network = ip_network(name)
        section[name] = len(data)
        data += encoded(record)
        at = 0
        for depth in range(network.prefixlen):
            bit = int(network.network_address) >> (31 - depth) & 1
            if depth == network.prefixlen - 1:
                nodes[at][bit] = ("data", section[name])
                break
            step = nodes[at][bit]
            if step is None:
                nodes.append([None, None])
                step = nodes[at][bit] = ("node", len(nodes) - 1)
            at = step[1]
    count = len(nodes)
    tree = b"".join(
        (
            count
            if step is None
            else step[1] + (count + 16 if step[0] == "data" else 0)
        ).to_bytes(3, "big")
        for node in nodes
        for step in node
    )
    about = {
        "node_count": Wide(count),
        "record_size": 24,
        "ip_version": 4,
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": Epoch(1),
        "languages": [],
        "description": {},
        "database_type": "Test",
    }
    marker = b"\xab\xcd\xefMaxMind.com"
    path.write_bytes(tree + bytes(16) + data + marker + encoded(about))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
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
