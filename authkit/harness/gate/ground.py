"""The server on which versions meet, and a database for each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.arms import Arm, Tree
from authkit.lab import Lab, cluster

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


class Ground:
    """A server with a filled database for each version, to be copied again and again.

    Versions that make and fill a database by the same code share one.
    """

    def __init__(self, lab: Lab, trees: Sequence[Tree], progress: Progress) -> None:
        self._lab, self._trees = lab, trees
        self._copies = 0
        now = datetime.now(UTC)
        end = (now - timedelta(days=now.weekday())).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        self._end = end.isoformat()
        self._templates: dict[str, str] = {}
        self._makers = [_makers(tree.root) for tree in trees]
        for number, tree in enumerate(trees):
            progress("preparing", number, len(trees) + 1)
            made_by = self._makers[number]
            if made_by in self._templates:
                continue
            template = f"seeded{number}"
            lab.create_database(template)
            with Arm(tree, lab.url(database=template)) as maker:
                maker.ask(
                    "prepare",
                    url=maker.url,
                    users=PEOPLE,
                    days=DAYS,
                    end=self._end,
                    now=now.isoformat(),
                )
            self._templates[made_by] = template

    @property
    def versions(self) -> int:
        """How many versions meet here."""
        return len(self._trees)

    @property
    def server(self) -> int:
        """One of the server's processes."""
        ((found,),) = self._lab.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        )
        return int(found)

    @property
    def alike(self) -> bool:
        """Whether one database and one interpreter do for all versions."""
        return len(self._templates) == len({tree.python for tree in self._trees}) == 1

    @contextmanager
    def shared(self, count: int) -> Generator[tuple[tuple[Arm, ...], ...]]:
        """Open that many teams whose versions share a process and a connection.

        Whatever processors those two are on, it is the same for all versions.
        """
        self._copies += 1
        name = f"arms{self._copies}"
        (template,) = self._templates.values()
        self._lab.create_database(name, template=template)
        with ExitStack() as stack:
            stack.callback(self._lab.drop_database, name)
            teams: list[tuple[Arm, ...]] = []
            for turn in range(count):
                team: list[Arm] = []
                for place, tree in enumerate(self._trees):
                    arm = Arm(tree, self._lab.url(database=name), hosts=tuple(team))
                    stack.enter_context(arm)
                    arm.open(end=self._end, lap=turn * self.versions + place)
                    arm.opened()
                    team.append(arm)
                teams.append(tuple(team))
            yield tuple(teams)

    @contextmanager
    def teams(
        self, count: int, *, under: Sequence[Sequence[str]] | None = None
    ) -> Generator[tuple[tuple[Arm, ...], ...]]:
        """Open that many teams: each has one arm of every version, all on new copies.

        With `under`, the arms of each version are run by another program. From team
        to team versions exchange the databases that were made alike, so that where its
        rows happen to lie favours none of them.
        """
        names: list[str] = []
        for made_by in self._makers:
            self._copies += 1
            names.append(f"arms{self._copies}")
            self._lab.create_database(names[-1], template=self._templates[made_by])
        # Pages older than the last checkpoint would be logged whole by a hint bit.
        self._lab.sql("CHECKPOINT")
        with ExitStack() as stack:
            for name in names:
                stack.callback(self._lab.drop_database, name)
            teams = tuple(
                tuple(
                    stack.enter_context(Arm(tree, self._lab.url(database=name), by))
                    for tree, name, by in zip(
                        self._trees,
                        self._turned(names, turn),
                        under or [()] * len(names),
                        strict=True,
                    )
                )
                for turn in range(count)
            )
            for lap, team in enumerate(teams):
                for arm in team:
                    arm.open(end=self._end, lap=lap)
            for arm in chain.from_iterable(teams):
                arm.opened()
            yield teams

    def _turned(self, names: Sequence[str], turn: int) -> list[str]:
        """Return the databases of the versions, moved on among those made alike."""
        turned = list(names)
        for made_by in self._templates:
            alike = [at for at, one in enumerate(self._makers) if one == made_by]
            for place, at in enumerate(alike):
                turned[at] = names[alike[(place + turn) % len(alike)]]
        return turned


@contextmanager
def prepared(trees: Sequence[Tree], progress: Progress = silent) -> Generator[Ground]:
    """Start a server and fill a database for each version.

    Raises:
        ArmFailed: a version could not prepare its database.
        LabError: there is no server to be had.
    """
    with cluster(0, config=SETTINGS, in_memory=True) as lab:
        ground = Ground(lab, trees, progress)
        progress("preparing", len(trees) + 1, len(trees) + 1)
        yield ground


@contextmanager
def open_arms(
    trees: Sequence[Tree], progress: Progress = silent
) -> Generator[tuple[Arm, ...]]:
    """Start a server, prepare a database for each version, and open one arm on each."""
    with prepared(trees, progress) as ground, ground.teams(1) as (arms,):
        yield arms


def _makers(root: Path) -> str:
    """Return a digest of the code that makes and fills a database."""
    found = hashlib.sha256()
    for folder in _MAKERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                found.update(str(path.relative_to(root)).encode() + b"\0")
                found.update(path.read_bytes() + b"\0")
    return found.hexdigest()
