"""How often the gate is wrong: the same code again and again, and code made slower."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import comparing, recorded
from authkit.harness.gate.arms import Tree, commit_of, repository
from authkit.harness.gate.gating import BASE, CONTROL, as_dict
from authkit.harness.gate.ground import prepared
from authkit.harness.gate.recorded import Run
from authkit.harness.gate.statistics import geometric_mean
from authkit.harness.gate.verdicts import (
    RULE,
    Judgement,
    Measured,
    Rule,
    Verdict,
    judge,
    p_of,
)

# So many runs have the same processes; then new ones, in new databases.
_TOGETHER: Final = 24
_FALSE_ALARMS: Final = 0.01
_USUALLY, _SURELY = 0.95, 0.10  # a slowdown of 10 % is to be caught always
_BUSY: Final = "while True: pass"


def run(
    *,
    runs: int,
    slow: float = 0.0,
    load: int = 0,
    benchmarks: Sequence[str] = (),
    raw: Path | None = None,
    rule: Rule = RULE,
    progress: Progress = silent,
) -> Report:
    """Measure one benchmark after the other against itself; count the verdicts.

    A run is one benchmark with its control, judged as one of a whole gate. As many runs
    as there are benchmarks are then judged together too, as a whole gate is.

    Args:
        runs: how many there are to be, those that the file holds already included.
        slow: make one side slower by this share, by work added to each call.
        load: how many processes keep the processors busy meanwhile.
        benchmarks: the operations, in turns; the hot path, when empty.
        raw: a file to which each run is appended as a line of JSON.
        rule: what is judged how.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: there is no such operation, or the file cannot be used.
        ArmFailed: the code could not do the work.
    """
    started, began = datetime.now(UTC), monotonic()
    root = repository()
    names = tuple(benchmarks) or comparing.HOT_PATH
    found = list(recorded.read([raw]) if raw is not None and raw.exists() else ())
    if any(one.slow != slow for one in found):
        raise InvalidInput(f"{raw} holds runs of another slowdown")
    notes: set[str] = set()
    postgres = None
    if len(found) < runs:
        trees = [Tree(name, root, sys.executable) for name in (BASE, "same", CONTROL)]
        with _busy(load), prepared(trees, progress) as ground:
            while len(found) < runs:
                with comparing.opened(ground, rule.teams) as (teams, missing):
                    postgres = teams[0][0].postgres
                    if unknown := [
                        name for name in names if name not in teams[0][0].operations
                    ]:
                        raise InvalidInput(f"no such operation: {', '.join(unknown)}")
                    notes.update(missing)
                    for _ in range(min(_TOGETHER, runs - len(found))):
                        gate, at = divmod(len(found), len(names))
                        one = comparing.measure(
                            teams,
                            names[at],
                            benchmarks=len(names),
                            rule=rule,
                            slow=slow,
                        )
                        found.append(Run(gate, slow, load, one))
                        progress("measuring", len(found), runs)
                        if raw is not None:
                            recorded.append(raw, found[-1])
    among = len({one.measured.benchmark for one in found})
    singly = [judge([one.measured], rule, among=among)[0] for one in found]
    together: dict[int, list[Measured]] = {}
    for one in found:
        together.setdefault(one.gate, []).append(one.measured)
    gates = [judge(one, rule) for one in together.values() if len(one) == among]
    return Report(
        command="bench inject" if slow else "bench aa",
        started=started,
        seconds=monotonic() - began,
        figures=(*_rates(singly, slow), *_of_gates(gates, slow)),
        postgres=postgres,
        extra={
            "revision": commit_of(root, None),
            "slow": slow,
            "load": load,
            "operations": list(names),
            "notes": sorted(notes),
            "runs": [as_dict(one) for one in singly],
        },
    )


def _rates(found: Sequence[Judgement], slow: float) -> list[Figure]:
    """Return the rates of single benchmarks, invalid runs told apart."""
    count = dict.fromkeys(Verdict, 0)
    for one in found:
        count[one.verdict] += 1
    valid = len(found) - count[Verdict.INVALID]
    rate = count[Verdict.REGRESSION] / valid if valid else None
    figures = [figure("runs", len(found)), figure("valid runs", valid)]
    if slow:
        figures.append(figure("caught", rate, "share", goal=(">=", _caught(slow))))
    else:
        figures.append(
            figure("false alarms", rate, "share", goal=("<=", _FALSE_ALARMS))
        )
        if valid:
            most = upper_bound(count[Verdict.REGRESSION], valid)
            figures.append(figure("false alarms, at most", round(most, 4), "share"))
    # Base beside base, in the very same run: whatever was done to head.
    among = len({one.measured.benchmark for one in found})
    controls = [replace(one.measured, change=one.measured.control) for one in found]
    alarmed = sum(p_of(one) * among < RULE.alpha for one in controls)
    share = alarmed / len(found) if found else None
    figures.append(
        figure("false alarms of controls", share, "share", goal=("<=", _FALSE_ALARMS))
    )
    figures.append(figure("inconclusive", count[Verdict.INCONCLUSIVE]))
    seconds = [one.measured.seconds for one in found]
    figures.append(
        figure("longest run", round(max(seconds, default=0), 2), "s", goal=("<=", 10))
    )
    figures.append(figure("median run", round(median(seconds or [0]), 2), "s"))
    ratios = [one.measured.change.ratio for one in found]
    figures.append(figure("geometric mean", round(geometric_mean(ratios), 4), "ratio"))
    return figures


def _of_gates(gates: Sequence[Sequence[Judgement]], slow: float) -> list[Figure]:
    alarmed = sum(
        any(one.verdict is Verdict.REGRESSION for one in gate) for gate in gates
    )
    figures = [figure("whole gates", len(gates))]
    if gates and not slow:
        rate = alarmed / len(gates)
        figures.append(
            figure("false alarms of whole gates", rate, goal=("<=", _FALSE_ALARMS))
        )
    return figures


def _caught(slow: float) -> float:
    return 1.0 if slow >= _SURELY else _USUALLY


def upper_bound(hits: int, runs: int, z: float = 1.96) -> float:
    """Return how large a rate seen as `hits` of `runs` may be (Wilson 1927)."""
    share = hits / runs
    spread = z * math.sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    return (share + z * z / (2 * runs) + spread) / (1 + z * z / runs)


@contextmanager
def _busy(load: int) -> Generator[None]:
    """Keep processors busy for the length of a block."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(load)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
