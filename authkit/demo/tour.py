"""The tour: a lab, a world, load through a failover, a report."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

from authkit.demo import failover, pictures, verdict
from authkit.demo.narrator import Narrator
from authkit.errors import InvalidInput
from authkit.figures import Report
from authkit.harness import report

if TYPE_CHECKING:
    from authkit.lab import Lab

_SEED: Final = 1
_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Options:
    """What the tour is asked for.

    `folder` is where its files go; `keep` leaves the lab running.
    """

    seconds: float = 20.0
    users: int = 12
    people: int = 1_500
    keep: bool = False
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tour leaves: its figures, whether they may be believed, its files.

    `env` are the variables of a lab that was kept, None when it was removed.
    """

    report: Report
    problem: str | None
    html: Path
    pictures: tuple[Path, ...]
    lab: str | None
    env: Mapping[str, str] | None

    @property
    def exit_code(self) -> int:
        """2 when the run proves nothing, 1 when a goal is missed, else 0."""
        return 2 if self.problem is not None else self.report.exit_code


def run(options: Options, narrator: Narrator) -> Outcome:
    """Run the tour.

    Raises:
        AuthkitError: a step could not be done; what was started is removed.
    """
    began = time.time()
    folder = _folder(options.folder)
    with ExitStack() as stack:
        lab = stack.enter_context(_lab(options, narrator))
        postgres = _prepare(lab, options, narrator)
        Thread(target=pictures.warm, daemon=True).start()
        seen = failover.play(
            lab, folder, narrator, users=options.users, seconds=options.seconds
        )
        seen = replace(
            seen,
            settings={
                "load": f"{options.users} users, a closed loop",
                "replication": "synchronous: a commit waits for one replica",
                "PostgreSQL": postgres,
            },
        )
        with narrator.step("Drawing the report") as step:
            drawn = pictures.draw(lab.url(), folder)
            html = folder / "report.html"
            made = verdict.figures(seen, str(html))
            shown = tuple(found.drawing for found in drawn)
            report.write(verdict.story(seen, made, shown), html)
            step.done(f"Report with latency over time: {html}")
        kept = lab.env() if options.keep else None
        name = lab.name if options.keep else None
    problem = verdict.invalid(seen)
    return Outcome(
        report=Report(
            command="demo",
            started=datetime.fromtimestamp(began, UTC),
            seconds=time.time() - began,
            figures=made,
            postgres=postgres,
            extra={
                "valid": problem is None,
                "reason": problem,
                "marks": [mark.as_dict() for mark in seen.marks],
            },
        ),
        problem=problem,
        html=html,
        pictures=tuple(found.path for found in drawn),
        lab=name,
        env=kept,
    )


def _folder(asked: Path | None) -> Path:
    stamp = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = (Path("results") / stamp) if asked is None else asked
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in ("history.txt", "recording.json"):
            (folder / stale).unlink(missing_ok=True)
    except OSError as exc:
        raise InvalidInput(
            f"the folder {folder} cannot be written ({exc.strerror}):"
            " choose another one with --dir"
        ) from exc
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"the folder {folder} cannot be written: choose with --dir")
    return folder.absolute()


@contextlib.contextmanager
def _lab(options: Options, narrator: Narrator) -> Generator[Lab]:
    """Start a lab that ends with the tour, unless it is to be kept."""
    from authkit import lab as labs

    with narrator.step("Starting PostgreSQL: a primary and a replica") as step:
        if options.keep:
            lab = labs.up(f"demo-{secrets.token_hex(3)}", 1, progress=step.update)
            holder: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        else:
            holder = contextlib.ExitStack()
            lab = holder.enter_context(labs.cluster(1, progress=step.update))
        version = lab.sql("SHOW server_version")[0][0]
        step.done(f"PostgreSQL {version}: a primary and a synchronous replica")
    try:
        with holder:
            yield lab
    except BaseException:
        if options.keep and lab.folder.exists():
            lab.down()
        raise


def _prepare(lab: Lab, options: Options, narrator: Narrator) -> str:
    """Make the tables and fill them; return the server's version."""
    with narrator.step("Making the tables") as step:
        from authkit.ops.migrate import upgrade

        upgrade(lab.url())
        tables = lab.sql(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND NOT relispartition AND relnamespace = 'authkit'::regnamespace"
        )[0][0]
        step.done(f"{tables} tables in the schema authkit")
    with narrator.step("Making a world of logins") as step:
        from authkit.risk import PastOnly
        from authkit.workload.load import seed

        def tell(phase: str, done: int, of: int) -> None:
            step.update(f"Making a world of logins: {phase} {done:,} of {of:,}")

        made = seed(
            lab.url(),
            users=options.people,
            days=_DAYS,
            seed=_SEED,
            progress=tell,
            score=PastOnly(),
        )
        lab.wait_replayed()
        step.done(
            f"{made.users:,} people, {made.attempts:,} login attempts in {made.days}"
            f" days, {made.attack_attempts:,} of them attacks"
        )
    return str(lab.sql("SHOW server_version")[0][0])
