"""Pixels of a PNG (ISO/IEC 15948), enough to see whether a picture is blank."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    """Return height x width x channels of an 8-bit image that is not interlaced."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    width = height = channels = 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", body)
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data += body
        at += size + 12
    lines = np.frombuffer(zlib.decompress(data), np.uint8)
    lines = lines.reshape(height, 1 + width * channels)
    made = np.zeros((height + 1, (width + 1) * channels), np.uint8)
    for y, (filter_, *_) in enumerate(lines[:, :1], start=1):
        line, above = lines[y - 1, 1:], made[y - 1]
        if filter_ in {0, 2}:
            made[y, channels:] = line + (above[channels:] if filter_ == 2 else 0)
        elif filter_ == 1:
            runs = line.reshape(width, channels)
            made[y, channels:] = np.cumsum(runs, axis=0, dtype=np.uint8).reshape(-1)
        else:
            _slow(filter_, line, above, made[y], channels)
    return made[1:, channels:].reshape(height, width, channels)


def _slow(filter_: int, line, above, out, channels: int) -> None:
    values, up, row = line.tolist(), above.tolist(), out.tolist()
    for x, value in enumerate(values, start=channels):
        a, b, c = row[x - channels], up[x], up[x - channels]
        if filter_ == 3:
            guess = (a + b) // 2
        else:
            p = a + b - c
            guess = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        row[x] = value + guess & 255
    out[:] = row


def is_blank(png: bytes) -> bool:
    """Tell whether hardly a pixel differs from the background."""
    image = pixels(png)[:, :, :3].astype(int)
    background = image[0, 0]
    drawn = (np.abs(image - background).sum(axis=2) > 24).mean()
    return bool(drawn < 0.01 or image.std() < 3.0)
