"""The results store: one line of JSON for each run, in a folder.

Every command appends to a file of its own name (`load.jsonl`), so runs of many days and
of several processes stand in one place. A line is the one shape of `authkit.figures`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from authkit.errors import InvalidInput
from authkit.figures import Report

SUFFIX: Final = ".jsonl"


def append(folder: Path, made: Report) -> Path:
    """Add one report to the store, making the folder where it is missing.

    A line goes out in one `write` to a file opened for appending: lines of several
    processes do not mix. After one without its end a new one is begun, so that what a
    process left that died costs no other run.

    Raises:
        InvalidInput: the folder cannot be written to, or not the whole line.
    """
    path = folder / f"{made.command}{SUFFIX}"
    line = json.dumps(made.as_dict(), default=str, separators=(",", ":")) + "\n"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, 0o644)
        try:
            # Who is in the middle of a long line must not seem to have died there.
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            whole = (b"\n" if torn else b"") + line.encode("utf-8")
            if os.write(handle, whole) < len(whole):
                raise InvalidInput(f"cannot write {path}: only a part of the line went")
        finally:
            os.close(handle)
    except OSError as exc:
        raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc
    return path


def read(folder: Path, command: str = "load") -> list[dict[str, Any]]:
    """Return every run of a command, the oldest first; none where there is no file.

    A last line without its end is of a process that died in the middle of it.

    Raises:
        InvalidInput: a line is no result.
    """
    path = folder / f"{command}{SUFFIX}"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    whole = text[: text.rfind(b"\n") + 1]
    return sorted(_parsed(path, whole), key=lambda run: str(run["started"]))


def _parsed(path: Path, text: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            run: object = json.loads(line)
        except ValueError as exc:
            raise InvalidInput(f"{path}: line {number} is not JSON") from exc
        if not isinstance(run, dict) or not {"started", "figures"} <= run.keys():
            raise InvalidInput(f"{path}: line {number} is no result")
        yield cast("dict[str, Any]", run)


def trend(
    runs: list[dict[str, Any]], name: str, **alike: object
) -> list[tuple[str, float]]:
    """Return when and what one figure was in every valid run that is alike.

    Args:
        runs: from `read`.
        name: of the figure.
        alike: what else a run must have, as in `profile="session-read"`.
    """
    found: list[tuple[str, float]] = []
    for run in runs:
        wanted = all(run.get(key) == value for key, value in alike.items())
        if not wanted or run.get("valid") is False:
            continue
        figures: list[Mapping[str, Any]] = run["figures"]
        found.extend(
            (str(run["started"]), float(figure["value"]))
            for figure in figures
            if figure["name"] == name and isinstance(figure["value"], int | float)
        )
    return found
