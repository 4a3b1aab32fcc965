"""The failover of the tour: load, a killed primary, a promotion, a rejoin, the checks.

Times of day are wall-clock seconds throughout, because the load measures in another
process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authkit.demo.load import Load
from authkit.demo.narrator import Narrator, Step
from authkit.demo.verdict import Observed
from authkit.harness import history
from authkit.harness.database import Sampler, fingerprint, node_name
from authkit.harness.history import Write
from authkit.harness.phases import Mark, What
from authkit.harness.recorder import Recording

if TYPE_CHECKING:
    from authkit.lab import Lab

# Shares of the measured time: when things happen, and how much load there is at least
# after each, however long it took.
_KILL_AT: Final = 0.4
_REJOIN_AT: Final = 0.65
_END_AT: Final = 1.0
_AT_LEAST: Final = 0.2


def play(
    lab: Lab, folder: Path, narrator: Narrator, *, users: int, seconds: float
) -> Observed:
    """Run load on a lab, kill its primary, promote, rejoin; return what was seen.

    Raises:
        AuthkitError: the load or the lab could not do its part; the load has ended.
    """
    from authkit.hot.operation import Intent
    from authkit.hot.registry import OPERATIONS

    roles = dict.fromkeys(lab.nodes, "replica") | {lab.primary: "primary"}
    names = {node_name(lab.url(name)): name for name in lab.nodes}
    sampler = Sampler(
        {name: lab.url(name) for name in lab.nodes},
        {fingerprint(operation.sql): operation.name for operation in OPERATIONS},
    )
    sampler.start()
    try:
        with Load(folder, lab.env(), users=users) as load:
            failover = _Failover(lab, load, roles, seconds)
            with narrator.step("Starting the load") as step:
                failover.started_s = load.wait_started()
                step.done(f"{users} users at work, on both nodes")
            failover.play(narrator)
            with narrator.step("Ending the load") as step:
                load.end()
                step.done("The load has ended")
    finally:
        database = sampler.stop()
    form: dict[str, Any] = json.loads(load.recording.read_text(encoding="utf-8"))
    writes = history.read(load.history)
    with narrator.step("Reading every acknowledged write back") as step:
        failover.check(f"on {lab.primary}, the new primary, at the end", lab.primary)
        lab.wait_replayed()
        for name in lab.replicas:
            failover.check(f"on {name}, which rejoined, at the end", name)
        lost = tuple(sorted(failover.lost, key=lambda write: write.at_s))
        found = f"none of {len(writes):,} is" if not lost else f"{len(lost):,} are"
        step.done(f"Acknowledged writes: {found} lost")
    return Observed(
        recording=Recording.from_dict(form["recording"]).renamed(names),
        span=(form["started_s"], form["started_s"] + form["seconds"]),
        marks=tuple(failover.marks),
        start_roles=roles,
        writes=writes,
        lost=lost,
        checks=tuple(failover.checks),
        reads=frozenset(op.name for op in OPERATIONS if op.intent is Intent.READ),
        database=database,
    )


class _Failover:
    """The failover, played on a lab while the load runs."""

    def __init__(
        self, lab: Lab, load: Load, roles: Mapping[str, str], seconds: float
    ) -> None:
        self.lab = lab
        self.load = load
        self.seconds = seconds
        self.old = next(name for name, role in roles.items() if role == "primary")
        self.new = next(name for name, role in roles.items() if role == "replica")
        self.started_s = 0.0
        self.marks: list[Mark] = []
        self.checks: list[str] = []
        self.lost: set[Write] = set()

    def play(self, narrator: Narrator) -> None:
        """Play it: load, kill and promote, load, rejoin, load."""
        with narrator.step("Load on both nodes") as step:
            self._until(_KILL_AT, step)
            step.done("Load on both nodes")
        with narrator.step(f"Killing {self.old}, the primary") as step:
            self._mark("killed", self.old)
            self.lab.kill(self.old)
            step.update(f"Promoting {self.new}")
            self.lab.promote(self.new)
            self._mark("promoted", self.new)
            took = self.marks[-1].at_s - self.marks[-2].at_s
            self.check(f"on {self.new}, right after its promotion", self.new)
            step.done(f"{self.old} killed (-9), {self.new} promoted in {took:.2f} s")
        with narrator.step("Load on what is left") as step:
            self._until(_REJOIN_AT, step)
            step.done(f"Load on {self.new} alone")
        with narrator.step(f"Rejoining {self.old} as a replica") as step:
            self._mark("rejoining", self.old)
            self.lab.rejoin(self.old)
            self._mark("rejoined", self.old)
            self.lab.wait_replayed()
            self._mark("streaming", self.old)
            took = self.marks[-1].at_s - self.marks[-3].at_s
            step.done(f"{self.old} follows {self.new}, in sync again in {took:.2f} s")
        with narrator.step("Load on both nodes again") as step:
            self._until(_END_AT, step)
            step.done("Load on both nodes again")

    def check(self, what: str, node: str) -> None:
        """Ask a node for every write that was acknowledged until now."""
        from psycopg import connect

        writes = history.read(self.load.history)
        with connect(self.lab.url(node), autocommit=True) as connection:
            missing = history.lost(writes, connection)
        self.lost.update(missing)
        self.checks.append(f"{len(writes)} writes {what}: {len(missing)} missing")

    def _mark(self, what: What, node: str) -> None:
        self.marks.append(Mark(time.time(), what, node))

    def _until(self, share: float, step: Step) -> None:
        """Show the load until that share of its time is over."""
        end = self.started_s + share * self.seconds
        if self.marks:
            end = max(end, self.marks[-1].at_s + _AT_LEAST * self.seconds)
        while (left := end - time.time()) > 0:
            event = self.load.next_event(left)
            if event is not None and event["event"] == "progress":
                passed = time.time() - self.started_s
                step.update(
                    f"{passed:4.0f} of {self.seconds:.0f} s: {event['calls']:,}"
                    f" operations, {event['errors']:,} failed"
                )
