"""`authkit backup drill`: restore the newest backup, recover, and compare.

The moment is named in the live server's log, the log is kept up to it, the backup is
restored on a server of its own, and there: every invariant, every link of the audit
chain, and the number of rows of every table at that very moment.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy.orm import Session

from authkit.figures import Figure, Report, figure
from authkit.ops import fsck
from authkit.ops.backup.flushing import flush
from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.moment import Moment, count_rows, mark
from authkit.ops.backup.planning import Target, choose
from authkit.ops.backup.restoring import restore
from authkit.ops.backup.streaming import SLOT, Stream, kept, receive_until, streaming
from authkit.ops.backup.throwaway import Place, throwaway
from authkit.ops.backup.tools import Told, Tools, find_tools
from authkit.ops.backup.verifying import verify
from authkit.ops.connection import connect, transaction
from authkit.ops.findings import Finding, fault, faults, good, note
from authkit.relational import verification
from authkit.relational.chain import ChainVerifier

_TIMES_COPY = 3.0
# Below it, starting and stopping a server is most of the time.
_LARGE_BYTES = 500_000_000
_POINT_S = 1.0


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill measured and found."""

    started: datetime
    seconds: float
    backup: Backup
    moment: Moment
    lag_s: float
    verify_s: float
    recovery_s: float
    check_s: float
    copy_s: float
    restored_bytes: int
    findings: tuple[Finding, ...]
    # Rows that came during the drill, where it was told to make them.
    written: int | None = None

    @property
    def passed(self) -> bool:
        """True when the restored data is what it was."""
        return faults(self.findings) == 0

    def report(self) -> Report:
        """Return the figures, with the findings beside them."""
        return Report(
            "backup drill",
            self.started,
            self.seconds,
            tuple(self._figures()),
            postgres=self.backup.version,
            extra={
                "backup": self.backup.id,
                "moment": self.moment.name,
                "findings": [finding.as_dict() for finding in self.findings],
            },
        )

    def _figures(self) -> Iterable[Figure]:
        yield figure("faults", faults(self.findings), goal=("==", 0))
        yield figure("recovery_s", round(self.recovery_s, 3), "s")
        yield figure("copy_and_sync_s", round(self.copy_s, 3), "s")
        yield figure(
            "recovery_to_copy",
            round(self.recovery_s / self.copy_s, 2),
            "times",
            goal=("<=", _TIMES_COPY) if self.restored_bytes >= _LARGE_BYTES else None,
        )
        yield figure(
            "recovery_point_s", round(self.lag_s, 3), "s", goal=("<=", _POINT_S)
        )
        yield figure("verify_s", round(self.verify_s, 3), "s")
        yield figure("check_s", round(self.check_s, 3), "s")
        if self.written is not None:
            yield figure("written_meanwhile", self.written, "rows", goal=(">=", 1))
        yield figure("restored_mb", round(self.restored_bytes / 1e6, 1), "MB")


def drill(
    url: str,
    folder: Folder,
    *,
    root: Path | None = None,
    slot: str = SLOT,
    tools: Tools | None = None,
    tell: Told | None = None,
) -> Drill:
    """Prove the newest backup; the live server is only read, and a point named.

    Args:
        url: the primary; a superuser's or a role's that may name restore points.
        folder: its backups.
        root: the disk to restore to.
        slot: of the stream that keeps the log.
        tools: PostgreSQL's programs; found if not given.
        tell: is told of progress.

    Raises:
        BackupError: there is no backup, it is damaged, or recovery failed.
    """
    started, began = datetime.now(UTC), perf_counter()
    tools = tools or find_tools()
    moment = mark(url)
    lag_s = _keep(tools, folder, url, slot, moment.lsn)
    target = Target(name=moment.name)
    backup = choose(folder.backups(), Target(lsn=moment.lsn))
    at = perf_counter()
    verify(folder, backup.id, tools=tools, tell=tell)
    verify_s = perf_counter() - at
    with throwaway(tools, root) as place:
        at = perf_counter()
        _recover(tools, folder, backup, target, place, tell)
        recovery_s = perf_counter() - at
        at = perf_counter()
        findings = tuple(_compare(place.url(url), moment))
        check_s = perf_counter() - at
        place.server.stop()
        copy_s = _copy_and_sync(place.data)
        size = sum(p.stat().st_size for p in place.data.rglob("*") if p.is_file())
    return Drill(
        started, perf_counter() - began, backup, moment, lag_s, verify_s, recovery_s,
        check_s, copy_s, size, findings,
    )  # fmt: skip


def _keep(tools: Tools, folder: Folder, url: str, slot: str, lsn: int) -> float:
    began = perf_counter()
    if streaming(url, slot):
        return Stream(url, folder, slot=slot, tools=tools).wait_for(lsn)
    if not kept(url, slot, lsn):
        receive_until(tools, folder, url, lsn, slot=slot)
    return perf_counter() - began


def _recover(
    tools: Tools,
    folder: Folder,
    backup: Backup,
    target: Target,
    place: Place,
    tell: Told | None,
) -> None:
    place.prepare()
    place.take_log(folder, backup)
    restore(
        folder,
        place.data,
        target,
        backup_id=backup.id,
        verified=False,
        account=place.server.account,
        wal=place.wal,
        tools=tools,
        tell=tell,
    )
    place.recover()


def _compare(url: str, moment: Moment) -> Iterable[Finding]:
    checked = fsck.check(url, pruned=True)
    yield from (violation.finding for violation in checked.violations)
    yield good("restored", "invariants", f"{len(checked.held)} invariants hold")
    with transaction(url) as connection, Session(connection) as session:
        found = verification.verify(session, lambda: ChainVerifier(pruned=True), None)
    if found.broken is not None:
        yield fault(
            "restored",
            "audit_chain",
            str(found.broken),
            "the backup does not hold what was appended: keep it, and find out why",
        )
    else:
        yield good("restored", "audit_chain", f"{found.entries:,} audit entries hold")
    yield from _compare_rows(url, moment)


def _compare_rows(url: str, moment: Moment) -> Iterable[Finding]:
    with connect(url) as connection:
        rows = count_rows(connection)
    if moment.rows is None:
        yield note(
            "restored",
            "rows_not_compared",
            "no snapshot equalled the moment: transactions followed one another too"
            " closely, or tables changed while they were counted;"
            f" {sum(rows.values()):,} rows were restored",
            "drill again when there is less load",
        )
        return
    wrong = {
        table: (moment.rows.get(table), rows.get(table))
        for table in moment.rows.keys() | rows.keys()
        if moment.rows.get(table) != rows.get(table)
    }
    for table, (then, now) in sorted(wrong.items()):
        yield fault(
            table,
            "rows_differ",
            f"had {then} rows at that moment, and {now} were restored",
            "do not rely on this backup: make a full one, and drill that",
        )
    if not wrong:
        yield good(
            "restored",
            "rows",
            f"{sum(rows.values()):,} rows in {len(rows)} tables, as at that moment",
        )


def _copy_and_sync(data: Path) -> float:
    """Time a copy of the same files, flushed (`cp -r` and `sync`), for comparison."""
    with tempfile.TemporaryDirectory(dir=data.parent) as beside:
        began = perf_counter()
        shutil.copytree(data, Path(beside) / "copy", symlinks=True)
        flush(Path(beside))
        return perf_counter() - began
