"""A comparison as a table, as Markdown and as annotations."""

from __future__ import annotations

from typing import Final

from authkit.harness.gate.gating import Compared
from authkit.harness.gate.statistics import geometric_mean
from authkit.harness.gate.tails import TailJudgement
from authkit.harness.gate.verdicts import Judgement, Verdict

_TITLES: Final = (
    "operation",
    "base",
    "ratio",
    "interval",
    "control",
    "would be seen",
    "verdict",
)
_SAID: Final = {0: "pass", 1: "REGRESSION", 2: "the run proves nothing"}


def markdown(found: Compared) -> str:
    """Return a summary for a pull request."""
    lines = [f"### Cost of {found.head} beside {found.base}: {_SAID[found.code]}", ""]
    lines += _costs(found)
    if found.judgements:
        lines += ["", _row(_TITLES), _row(["---"] * len(_TITLES))]
        lines += [_row(_cells(one)) for one in found.judgements]
        mean = geometric_mean([j.measured.change.ratio for j in found.judgements])
        same = geometric_mean([j.measured.control.ratio for j in found.judgements])
        lines += ["", f"Geometric mean {mean:.3f}, of the control {same:.3f}."]
    if found.tails:
        titles = ("slowest of a hundred", *_TITLES[1:5], "verdict")
        lines += ["", _row(titles), _row(["---"] * len(titles))]
        lines += [_row(_tail(one)) for one in found.tails]
    lines += ["", *(f"- {note}" for note in found.notes)] if found.notes else []
    return "\n".join(lines) + "\n"


def github(found: Compared) -> tuple[str, ...]:
    """Return GitHub's workflow commands: errors for what fails, warnings otherwise."""
    lines = [f"::error title=Exact cost::{one}" for one in found.costs.faults]
    for one in found.judgements:
        ratio = one.measured.change.ratio
        told = f"{one.measured.benchmark}: {ratio:.3f} times as long as the base"
        if one.verdict is Verdict.REGRESSION:
            lines.append(f"::error title=Regression::{told}")
        elif one.verdict is not Verdict.PASS:
            lines.append(f"::warning title={one.verdict.value.capitalize()}::{told}")
    for one in found.tails:
        if one.verdict is Verdict.REGRESSION:
            told = (
                f"{one.tail.benchmark}: p99 {one.tail.change.ratio:.2f} times as long"
            )
            lines.append(f"::error title=Tail::{told}")
        elif one.verdict is Verdict.INVALID:
            lines.append(f"::warning title=Tail::{one.tail.benchmark}: {one.why}")
    return tuple(lines)


def _costs(found: Compared) -> list[str]:
    if not (found.costs.differences or found.costs.accepted):
        return ["Exact costs: no difference."]
    lines = ["Exact costs:", ""]
    lines += [
        f"- {'**fails**' if found.costs.is_fault(one) else 'note'}: {one}"
        for one in found.costs.differences
    ]
    return lines + [f"- accepted: {one}" for one in found.costs.accepted]


def _cells(one: Judgement) -> list[str]:
    low, high = one.measured.change.interval
    return [
        one.measured.benchmark,
        f"{one.measured.base_us:.0f} us",
        f"{one.measured.change.ratio:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{one.measured.control.ratio:.3f}",
        f"+{100 * one.detectable:.1f} %",
        one.verdict.value,
    ]


def _tail(one: TailJudgement) -> list[str]:
    tail = one.tail
    return [
        tail.benchmark,
        f"{tail.base_us:.0f} us",
        f"{tail.change.ratio:.2f}",
        f"{tail.change.bound(upper=False):.2f} to {tail.change.bound(upper=True):.2f}",
        f"{tail.control.ratio:.2f}",
        f"{one.verdict.value}{': ' if one.why else ''}{one.why}",
    ]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
