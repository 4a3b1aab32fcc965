"""MMDB files, written byte by byte, for tests of what is looked up in them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest


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


def written(path: Path, records: dict[str, object]) -> Path:
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
def mmdb() -> Callable[[Path, dict[str, object]], Path]:
    return written
