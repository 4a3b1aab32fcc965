"""How often the gate is wrong: the same code again and again, and code made slower."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import comparing
from authkit.harness.gate.arms import Tree, commit_of, repository
from authkit.harness.gate.gating import BASE, CONTROL, as_dict
from authkit.harness.gate.ground import open_arms
from authkit.harness.gate.verdicts import (
    RULE,
    Judgement,
    Measured,
    Rule,
    Verdict,
    judge,
)

# So many runs have the same processes; then new ones, in new databases.
_TOGETHER: Final = 12
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

    A run is one benchmark with its control. As many runs as there are benchmarks are
    then judged together too, as a whole gate is.

    Args:
        runs: how many.
        slow: make one side slower by this share, by work added to each call.
        load: how many processes keep the processors busy meanwhile.
        benchmarks: the operations, in turns; the hot path, when empty.
        raw: a file to which each run is appended as a line of JSON.
        rule: what is judged how.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: there is no such operation, or the file cannot be written.
        ArmFailed: the code could not do the work.
    """
    started, began = datetime.now(UTC), monotonic()
    root = repository()
    names = tuple(benchmarks) or comparing.HOT_PATH
    trees = [Tree(name, root, sys.executable) for name in (BASE, "same", CONTROL)]
    found: list[Measured] = []
    notes: set[str] = set()
    postgres = ""
    with _busy(load):
        while len(found) < runs:
            with open_arms(trees) as arms, comparing.settled(arms) as missing:
                if unknown := [n for n in names if n not in arms[0].operations]:
                    raise InvalidInput(f"no such operation: {', '.join(unknown)}")
                postgres = arms[0].postgres
                notes.update(missing)
                for _ in range(min(_TOGETHER, runs - len(found))):
                    name = names[len(found) % len(names)]
                    one = comparing.measure_surely(
                        (arms[0], arms[1], arms[2]),
                        name,
                        rule=rule,
                        extra=lambda base_ns: round(base_ns * slow),
                    )
                    found.append(one)
                    progress("measuring", len(found), runs)
                    if raw is not None:
                        _append(raw, one, slow, load, rule)
    singly = [judge([one], rule)[0] for one in found]
    gates = [
        judge(found[at : at + len(names)], rule)
        for at in range(0, len(found) - len(names) + 1, len(names))
    ]
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
            "benchmarks": list(names),
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
    figures.append(figure("inconclusive", count[Verdict.INCONCLUSIVE]))
    longest = max((one.measured.seconds for one in found), default=0.0)
    figures.append(figure("longest run", round(longest, 2), "s"))
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


def _append(path: Path, one: Measured, slow: float, load: int, rule: Rule) -> None:
    line = {"slow": slow, "load": load, **as_dict(judge([one], rule)[0])}
    line["log_ratios"] = [one.change.low.log_ratio, one.change.median.log_ratio]
    line["errors"] = [one.change.low.error, one.change.median.error]
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as exc:
        raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc
