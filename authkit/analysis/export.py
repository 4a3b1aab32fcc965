"""Parquet files of a time, for machines that have more room than pandas.

`year=2026/month=11/attempts-20261123.parquet`: a file a day in UTC, sorted by time,
zstd. Beside them `manifest.json` says of each file how many rows it has, of what time,
under which hash, and for all of them the columns, the models of the scores and whether
people are masked. A file stands under its name only when it is whole, and the manifest
is replaced whole, so an export that stopped is gone on with.

A day that is over may still change: a transaction commits after midnight, a login that
was begun is settled, the replica had not come so far, an older log is read in. So each
run counts the rows of every day, which is little beside writing them, and writes those
days again that have changed. What retention has deleted stays in its file.

In clear, the files are for their owner only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authkit.analysis import sources
from authkit.analysis.arrow import storable, tables
from authkit.analysis.manifest import (
    UNFINISHED,
    Manifest,
    Part,
    read_manifest,
    write_manifest,
)
from authkit.analysis.reading import Reader
from authkit.analysis.window import Window
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from authkit.analysis.frames import Frames

EXPORTED = ("attempts", "scores", "audit")
_GROUP_ROWS = 122_880  # what DuckDB writes, and reads in parallel
_DAY = timedelta(days=1)
_LONGEST = timedelta(days=3660)


def export(
    frames: Frames,
    directory: Path,
    within: Window,
    *,
    name: str,
    columns: Sequence[str] | None,
    progress: Callable[[int, int], None] | None,
    say: Callable[[str], None],
) -> Manifest:
    """Write the days of a window; see `Frames.export`.

    Raises:
        InvalidInput: something else stands in the folder, or the window is not usable.
    """
    if name not in EXPORTED:
        raise InvalidInput(f"{name} is not exported: choose {', '.join(EXPORTED)}")
    source = sources.named(name)
    chosen = [column.name for column in source.chosen(columns, masked=frames.masked)]
    chosen = list(dict.fromkeys([source.time, *chosen]))
    days = list(_days(within))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        before = _before(directory, name, masked=frames.masked)
        written = Window(days[0][0], days[-1][1])
        frames.note(f"export.{name}", written, None)
        for cut_off in directory.glob("year=*/month=*/.*.parquet.part"):
            cut_off.unlink()  # what a killed run left of a day that may not come again
        with frames.reading() as reader:
            writing = _Writing(reader, directory, source, chosen, frames.masked)
            manifest = writing.start(before)
            for done, (since, until) in enumerate(days):
                if progress is not None:
                    progress(done, len(days))
                manifest = writing.day(manifest, since, until)
            manifest = replace(manifest, complete=True)
            write_manifest(manifest)
            frames.note(f"export.{name}", written, writing.rows)
            if progress is not None:
                progress(len(days), len(days))
            say(
                f"{name}: {manifest.rows:,} rows in {len(manifest.parts)} files of"
                f" {directory} ({reader.standing.words})"
            )
    except OSError as exc:
        raise InvalidInput(f"cannot write to {directory}: {exc.strerror}") from exc
    return manifest


class _Writing:
    """One run: a connection, and what it writes."""

    def __init__(
        self,
        reader: Reader,
        directory: Path,
        source: sources.Source,
        columns: list[str],
        masked: bool,
    ) -> None:
        self._reader = reader
        self._directory = directory
        self._source = source
        self._columns = columns
        self._masked = masked
        self._parquet: Any = import_module("pyarrow.parquet")
        self.rows = 0

    def start(self, before: Manifest | None) -> Manifest:
        """Return the manifest to go on with.

        Raises:
            InvalidInput: what is there has other columns.
        """
        statement, values = self._source.select(
            Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC)),
            (),
            self._columns,
            masked=self._masked,
        )
        (empty,) = map(storable, tables(self._reader.batches(statement, values), 1))
        columns = tuple((field.name, str(field.type)) for field in empty.schema)
        if before is not None and before.columns != columns:
            raise InvalidInput(
                f"{self._directory} holds an export with other columns: choose another"
                " folder"
            )
        made = Manifest(
            source=self._source.name,
            masked=self._masked,
            columns=columns,
            parts=() if before is None else before.parts,
            complete=False,
            directory=self._directory,
        )
        # Before any file: a run that is killed in its first leaves what can be gone on.
        write_manifest(made)
        return made

    def day(self, manifest: Manifest, since: datetime, until: datetime) -> Manifest:
        """Write one day unless it stands there whole; the manifest after it."""
        folder = f"year={since:%Y}/month={since:%m}"
        name = f"{folder}/{self._source.name}-{since:%Y%m%d}.parquet"
        target = self._directory / name
        had = {part.path: part for part in manifest.parts}
        there = had.get(name)
        # Counted before it is read: a row that comes between is in the file, and the
        # next run writes it once more; the other way round it would be missing.
        seen, pending = self._tally(since, until)
        if _stands(there, target, until, seen, pending):
            return manifest
        rows, models = self._write(target, since, until)
        self.rows += rows
        if rows:
            with target.open("rb") as stream:
                digest = file_digest(stream, "sha256").hexdigest()
            had[name] = Part(
                path=name,
                rows=rows,
                bytes=target.stat().st_size,
                sha256=digest,
                since=since.isoformat(),
                until=until.isoformat(),
                seen=seen,
                pending=pending,
                models=dict(models),
            )
        else:
            had.pop(name, None)
            target.unlink(missing_ok=True)
        made = replace(manifest, parts=tuple(had[path] for path in sorted(had)))
        write_manifest(made)
        return made

    def _tally(self, since: datetime, until: datetime) -> tuple[int, int]:
        statement, values = self._source.tally(
            Window(since, until), masked=self._masked
        )
        (found,) = self._reader.frame(statement, values).to_numpy().tolist()
        return found[0], found[1]

    def _write(
        self, target: Path, since: datetime, until: datetime
    ) -> tuple[int, Counter[str]]:
        statement, values = self._source.select(
            Window(since, until), (), self._columns, masked=self._masked
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        # Whoever may read the folder may read tokens; people in clear, its owner only.
        part.touch(0o666 if self._masked else 0o600, exist_ok=False)
        writer: Any = None
        rows = 0
        models: Counter[str] = Counter()
        try:
            for piece in tables(self._reader.batches(statement, values), _GROUP_ROWS):
                table = storable(piece)
                if writer is None:
                    writer = self._parquet.ParquetWriter(
                        part, table.schema, compression="zstd"
                    )
                writer.write_table(table, row_group_size=_GROUP_ROWS)
                rows += table.num_rows
                models.update(_models(table))
            writer.close()
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return rows, models


def _stands(
    there: Part | None, target: Path, until: datetime, seen: int, pending: int
) -> bool:
    """Say whether a file holds what the table does, or what it no longer has."""
    if there is None:
        return not seen and not target.exists()
    if not target.is_file() or target.stat().st_size != there.bytes:
        return False
    before = datetime.fromisoformat(there.until)
    if seen < there.seen and until >= before:
        return True  # purged, or a replica that is further behind than the last
    return (before, there.seen) == (until, seen) and there.pending <= pending


def _models(table: Any) -> Counter[str]:
    for model, version in (("risk_model", "risk_model_version"), ("model", "version")):
        if {model, version} <= set(table.column_names):
            pairs = table.select([model, version]).group_by([model, version])
            return Counter(
                {
                    f"{row[model]} {row[version]}": row[f"{model}_count"]
                    for row in pairs.aggregate([(model, "count")]).to_pylist()
                    if row[model] is not None
                }
            )
    return Counter()


def _days(within: Window) -> Iterator[tuple[datetime, datetime]]:
    """Yield the days of a window, whole at its beginning.

    Raises:
        InvalidInput: it has no beginning, or is longer than ten years.
    """
    if within.since is None or within.until is None:
        raise InvalidInput("an export needs a beginning: since")
    if within.until - within.since > _LONGEST:
        raise InvalidInput("an export is of ten years at most")
    at = within.since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = within.until.astimezone(UTC)
    while at < until:
        yield at, min(at + _DAY, until)
        at += _DAY


def _before(directory: Path, name: str, *, masked: bool) -> Manifest | None:
    before = read_manifest(directory)
    if before is None:
        if any(entry.name != UNFINISHED for entry in directory.iterdir()):
            raise InvalidInput(
                f"{directory} is not empty and holds no export: choose another folder"
            )
        return None
    if (before.source, before.masked) != (name, masked):
        how = "masked" if before.masked else "clear"
        raise InvalidInput(
            f"{directory} holds {how} {before.source}: choose another folder"
        )
    return before
