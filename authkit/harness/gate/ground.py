"""The server on which versions meet, and a database for each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.arms import Arm, Tree
from authkit.lab import cluster

PEOPLE: Final = 400
DAYS: Final = 7
_MAKERS: Final = ("alembic", "authkit/ops", "authkit/schema", "authkit/workload")
# Nothing works on the pages but the statements, and none of them is written whole.
# Below `logical` an updated row is logged without what it shares with the old one, so
# that the size would hang on the digits of the clock (heapam.c, log_heap_update).
SETTINGS: Final[Mapping[str, str]] = {
    "wal_level": "logical",
    "full_page_writes": "off",
    "wal_log_hints": "off",
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "8GB",
    "pg_stat_statements.track_utility": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


@contextmanager
def open_arms(
    trees: Sequence[Tree], progress: Progress = silent
) -> Generator[tuple[Arm, ...]]:
    """Start a server, prepare a database for each version, and open them all.

    Versions that make and fill a database by the same code have copies of one.

    Raises:
        ArmFailed: a version could not prepare or open its database.
        LabError: there is no server to be had.
    """
    now = datetime.now(UTC)
    end = (now - timedelta(days=now.weekday())).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    steps = len(trees) + 1
    progress("preparing", 0, steps)
    with cluster(0, config=SETTINGS, in_memory=True) as lab, ExitStack() as stack:
        templates: dict[str, str] = {}
        arms: list[Arm] = []
        for number, tree in enumerate(trees):
            progress("preparing", number + 1, steps)
            name = f"arm{number}"
            made_by = _makers(tree.root)
            template = templates.get(made_by)
            if template is None:
                template = f"seeded{number}"
                lab.create_database(template)
                with Arm(tree, lab.url(database=template)) as maker:
                    maker.ask(
                        "prepare",
                        url=maker.url,
                        users=PEOPLE,
                        days=DAYS,
                        end=end.isoformat(),
                        now=now.isoformat(),
                    )
                templates[made_by] = template
            lab.create_database(name, template=template)
            arm = stack.enter_context(Arm(tree, lab.url(database=name)))
            arms.append(arm)
        # Pages older than the last checkpoint would be logged whole by a hint bit.
        lab.sql("CHECKPOINT")
        for arm in arms:
            arm.open(end=end.isoformat())
        progress("preparing", steps, steps)
        yield tuple(arms)


def _makers(root: Path) -> str:
    """Return a digest of the code that makes and fills a database."""
    found = hashlib.sha256()
    for folder in _MAKERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                found.update(str(path.relative_to(root)).encode() + b"\0")
                found.update(path.read_bytes() + b"\0")
    return found.hexdigest()
