"""What a server's settings say of data that must outlive a crash. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from authkit.ops.findings import Finding, note

# PostgreSQL's syncrep_gram.y and syncrep_scanner.l: only a list with a number before
# it names more than one; a standby that is called `any` or `first` stands in quotes.
_NUMBER = re.compile(r"\s*(?:(?:any|first)\s+)?([0-9]+)\s*\(", re.IGNORECASE)


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


def confirmations(standby_names: str) -> int:
    """Return how many standbys a commit waits for.

    Args:
        standby_names: `synchronous_standby_names`, as a server took it.
    """
    if not standby_names:
        return 0
    found = _NUMBER.match(standby_names)
    return 1 if found is None else int(found[1])
