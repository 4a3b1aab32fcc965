"""What an export holds: files, rows, hashes, columns, models."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from authkit import __version__
from authkit.errors import InvalidInput

MANIFEST = "manifest.json"
# What it is called while it is written.
UNFINISHED = f".{MANIFEST}.part"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One file: `since` included, `until` excluded.

    `seen` is how many rows the table had of that time just before they were read, and
    `pending` how many of them were not settled. No part is final: an older log may be
    read in years later. While both numbers stay, the file holds what the table does.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    since: str
    until: str
    seen: int
    pending: int
    models: dict[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds."""

    source: str
    masked: bool
    columns: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    complete: bool
    directory: Path

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(part.bytes for part in self.parts)

    @property
    def models(self) -> dict[str, int]:
        """Rows by the model and version that scored them."""
        counted: Counter[str] = Counter()
        for part in self.parts:
            counted.update(part.models)
        return dict(sorted(counted.items()))

    @property
    def pattern(self) -> str:
        """What DuckDB, Dask and the others call these files."""
        return str(self.directory / "year=*" / "month=*" / "*.parquet")

    def as_dict(self) -> dict[str, object]:
        """Return what the manifest file holds."""
        return {
            "format": _FORMAT,
            "authkit": __version__,
            "source": self.source,
            "masked": self.masked,
            "complete": self.complete,
            "rows": self.rows,
            "columns": [{"name": n, "type": t} for n, t in self.columns],
            "models": self.models,
            "parts": [asdict(part) for part in self.parts],
        }


def read_manifest(directory: Path) -> Manifest | None:
    """Read the manifest of a folder; None where there is none.

    Raises:
        InvalidInput: there is one that cannot be read.
    """
    try:
        told = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise InvalidInput(
                f"{directory / MANIFEST} is of another version of authkit:"
                " export to another folder"
            )
        return Manifest(
            source=told["source"],
            masked=told["masked"],
            columns=tuple((c["name"], c["type"]) for c in told["columns"]),
            parts=tuple(Part(**part) for part in told["parts"]),
            complete=told["complete"],
            directory=directory,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        if isinstance(exc, InvalidInput):
            raise
        raise InvalidInput(f"{directory / MANIFEST} cannot be read") from exc


def write_manifest(manifest: Manifest) -> None:
    """Replace the manifest of a folder, whole."""
    target = manifest.directory / MANIFEST
    part = target.with_name(UNFINISHED)
    part.write_text(json.dumps(manifest.as_dict(), indent=1) + "\n", encoding="utf-8")
    part.replace(target)
