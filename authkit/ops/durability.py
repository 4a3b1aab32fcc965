"""What a server's settings say of data that must outlive a crash. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authkit.ops.findings import Finding, note


def judge_durability(at: str, settings: Mapping[str, str]) -> Iterable[Finding]:
    """Name the settings with which a crash or a disk may lose or damage data.

    Args:
        at: which server, in words.
        settings: as SHOW words them.
    """
    for name in ("fsync", "full_page_writes"):
        if settings[name] == "off":
            yield note(
                at,
                f"{name}_off",
                f"{name} is off: a crash of the machine may lose or damage the data",
                "right for a lab; never in production",
            )
    if settings["data_checksums"] == "off":
        yield note(
            at,
            "no_checksums",
            "data checksums are off: damage on disk goes unnoticed, into backups too",
            "stop the server and run pg_checksums --enable",
        )
