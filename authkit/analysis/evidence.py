"""A folder of evidence: rows, pictures, the queries behind them, versions, hashes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from authkit import __version__
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

    from authkit.analysis.picture import Picture

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}", re.ASCII)
_LIBRARIES = ("pandas", "pyarrow", "altair", "adbc-driver-postgresql")


def write_evidence(
    directory: Path,
    *,
    about: Mapping[str, object],
    frames: Mapping[str, DataFrame],
    pictures: Mapping[str, Picture],
) -> Path:
    """Write a new folder and return it; `case.json` lists every file with its hash.

    Raises:
        InvalidInput: the folder is there already, cannot be written, or a name is none.
    """
    if strange := [name for name in (*frames, *pictures) if not _NAME.fullmatch(name)]:
        raise InvalidInput(
            f"{strange[0]!r} is no name for a file: lower-case letters, digits, - and _"
        )
    try:
        directory.mkdir(parents=True)
        rows = directory / "rows"
        rows.mkdir()
        told: dict[str, object] = {}
        for name, frame in frames.items():
            frame.to_csv(rows / f"{name}.csv", index=False)
            told[name] = {
                "rows": len(frame),
                "columns": {str(c): str(t) for c, t in frame.dtypes.items()},
                **{key: value for key, value in frame.attrs.items() if key != "sql"},
            }
            if "sql" in frame.attrs:
                query = f"-- parameters: {frame.attrs['parameters']}\n"
                (rows / f"{name}.sql").write_text(f"{query}{frame.attrs['sql']};\n")
        if pictures:
            (directory / "pictures").mkdir()
        for name, picture in pictures.items():
            (directory / "pictures" / f"{name}.svg").write_text(picture.svg())
            (directory / "pictures" / f"{name}.png").write_bytes(picture.png())
        files = {
            path.relative_to(directory).as_posix(): sha256(
                path.read_bytes()
            ).hexdigest()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        summary = {
            **about,
            "written": datetime.now(UTC).isoformat(),
            "authkit": __version__,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "frames": told,
            "sha256": files,
        }
        (directory / "case.json").write_text(
            json.dumps(summary, indent=1, default=str) + "\n"
        )
    except FileExistsError as exc:
        raise InvalidInput(
            f"{directory} is there already: choose a new folder"
        ) from exc
    except OSError as exc:
        raise InvalidInput(f"cannot write {directory}: {exc.strerror}") from exc
    return directory
