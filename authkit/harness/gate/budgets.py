"""Budgets: what each operation may cost, in a file that is reviewed like code.

The file says in which environment it was counted. In that one a higher cost is a fault;
in another it is only told, because another server may plan and store otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, cast

from authkit.errors import InvalidInput
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import instructions
from authkit.harness.gate.arms import Arm, ArmFailed, Tree
from authkit.harness.gate.comparing import HOT_PATH
from authkit.harness.gate.counters import Cost, Difference, differences
from authkit.harness.gate.ground import DAYS, PEOPLE, prepared

CALLS: Final = 20
FILE: Final = Path("bench", "budgets.toml")
_PACKAGES: Final = ("psycopg",)
# Where these differ, only the number of instructions is another one.
_OF_INSTRUCTIONS: Final = {"valgrind", "processor", "python"}
# The same lines of Python are not as many instructions in another interpreter: what
# was raised on purpose may have grown up to so many times as much there.
_ELSEWHERE: Final = 2.0
_HEAD: Final = """\
# What one call of each operation costs, counted: `authkit bench budgets --update`
# writes this file and prints what changed.

"""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Costs by operation, and the environment in which they were counted."""

    fingerprint: Mapping[str, str]
    costs: Mapping[str, Cost]


def fingerprint(postgres: str) -> dict[str, str]:
    """Return what the counters depend on besides the code."""
    found = {"postgres": postgres, "people": str(PEOPLE), "days": str(DAYS)}
    found |= instructions.environment()
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def load(path: Path) -> Budgets | None:
    """Read a budget file; None when there is none yet.

    Raises:
        InvalidInput: the file is damaged; names what of it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        read = tomllib.loads(text)
        costs = {
            name: Cost.of(found)
            for name, found in cast("Mapping[str, Any]", read["operations"]).items()
        }
        environment = cast("Mapping[str, Any]", read["environment"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as exc:
        raise InvalidInput(f"{path} is damaged: {exc}") from exc
    return Budgets({k: str(v) for k, v in environment.items()}, costs)


def save(path: Path, budgets: Budgets) -> None:
    """Write a budget file.

    Raises:
        InvalidInput: it cannot be written.
    """
    lines = ["[environment]"]
    lines += [
        f"{name} = {_quoted(value)}" for name, value in budgets.fingerprint.items()
    ]
    for name, cost in budgets.costs.items():
        lines += ["", f"[operations.{_quoted(name)}]"]
        for counter, value in cost.as_dict().items():
            text = _quoted(value) if isinstance(value, str) else repr(value)
            lines.append(f"{counter} = {text}")
    try:
        path.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    except OSError as exc:
        raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc


def count(
    trees: Sequence[Tree],
    *,
    only: Sequence[str] = (),
    first: Sequence[str] = (),
    client: bool = True,
    progress: Progress = silent,
) -> tuple[Budgets, ...]:
    """Count what the operations of each version cost, in one environment.

    Operations that all versions have come first and in one order: what one leaves
    behind in the tables is part of what the next one costs.

    Args:
        trees: the versions.
        only: of these operations; all, when empty.
        first: those that come first, in this order; of these, what comes before one
            that is asked for is counted too, and not told.
        client: also the client's instructions on the hot path, where valgrind is.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: there is no such operation.
        ArmFailed: an operation failed.
    """
    with prepared(trees, progress) as ground:
        with ground.teams(1) as (arms,):
            counted = count_on(arms, only=only, first=first, progress=progress)
        if not (client and instructions.environment()):
            return counted
        names = [name for name in HOT_PATH if not only or name in only]
        found = instructions.count(ground, names, progress)
    return tuple(
        replace(one, costs=_with(one.costs, more))
        for one, more in zip(counted, found, strict=True)
    )


def _with(
    costs: Mapping[str, Cost], counted: Mapping[str, float]
) -> Mapping[str, Cost]:
    return {
        name: replace(cost, instructions=counted.get(name))
        for name, cost in costs.items()
    }


def count_on(
    arms: Sequence[Arm],
    *,
    only: Sequence[str] = (),
    first: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[Budgets, ...]:
    """Count on open arms; see `count`. Their databases are not as new afterwards."""
    known = set[str]().union(*(arm.operations for arm in arms))
    if unknown := [name for name in only if name not in known]:
        raise InvalidInput(f"no such operation: {', '.join(unknown)}")
    shared = set(arms[0].operations).intersection(*(arm.operations for arm in arms))
    order = [name for name in first if name in shared]
    order += [
        name for name in arms[-1].operations if name in shared and name not in order
    ]
    order += [n for arm in arms for n in arm.operations if n not in shared]
    if only:
        ahead = max((at for at, name in enumerate(first) if name in only), default=-1)
        wanted = {*only, *first[: ahead + 1]}
        order = [name for name in order if name in wanted]
    found: list[dict[str, Cost]] = [{} for _ in arms]
    for done, name in enumerate(order):
        progress("counting", done, len(order))
        for arm, costs in zip(arms, found, strict=True):
            if name in arm.operations:
                said = arm.ask("count", operation=name, calls=CALLS)
                if said["full_page_images"]:
                    raise ArmFailed(f"{name}: the server wrote whole pages to the WAL")
                costs[name] = Cost.of(said)
    progress("counting", len(order), len(order))
    return tuple(
        Budgets(
            fingerprint(arm.postgres),
            {n: cost for n, cost in costs.items() if not only or n in only},
        )
        for arm, costs in zip(arms, found, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the costs, and whether that may stop a change.

    `accepted` were raised in the budget file too, by whoever made the change;
    `informs` are counters that do not bind here.
    """

    differences: tuple[Difference, ...]
    accepted: tuple[Difference, ...]
    binding: bool
    why_not: str = ""
    informs: frozenset[str] = frozenset()

    @property
    def faults(self) -> tuple[Difference, ...]:
        """Those that stop the change."""
        return tuple(d for d in self.differences if self.is_fault(d))

    def is_fault(self, one: Difference) -> bool:
        """Tell whether this one stops the change; some counters may only inform."""
        return self.binding and one.worse and one.counter not in self.informs


def judge(committed: Budgets | None, counted: Budgets) -> Judged:
    """Compare with the committed budgets: binding in the environment they name."""
    if committed is None:
        return Judged((), (), binding=False, why_not="there are no budgets yet")
    found = differences(committed.costs, counted.costs)
    other = _elsewhere(committed, counted)
    if other.keys() - _OF_INSTRUCTIONS:
        why = f"counted in another environment: {', '.join(other.values())}"
        return Judged(found, (), binding=False, why_not=why)
    informs = frozenset({"instructions"}) if other else frozenset[str]()
    return Judged(found, (), binding=True, informs=informs)


def judge_versions(
    base: Budgets,
    head: Budgets,
    committed: Budgets | None,
    before: Budgets | None = None,
) -> Judged:
    """Compare two versions counted side by side: always binding.

    A cost that head's own budget file names, as counted, was raised on purpose. Where
    instructions are others than in the file, they were if they are over those in the
    file of the base, `before`, by about as much.
    """
    found = differences(base.costs, head.costs)
    other = {"": "no file"} if committed is None else _elsewhere(committed, head)
    allowed: Mapping[str, Cost] = {}
    if committed is not None and not other.keys() - _OF_INSTRUCTIONS:
        allowed = committed.costs
    was: Mapping[str, Cost] = {} if before is None else before.costs

    def accepted(one: Difference) -> bool:
        name = one.operation
        if name not in allowed or name not in head.costs:
            return False
        if other and one.counter == "instructions":
            return _as_raised(one, was.get(name), allowed[name])
        of_file = differences({"": allowed[name]}, {"": head.costs[name]})
        return one.counter not in {d.counter for d in of_file}

    return Judged(
        tuple(d for d in found if not (d.worse and accepted(d))),
        tuple(d for d in found if d.worse and accepted(d)),
        binding=True,
    )


def _elsewhere(committed: Budgets, counted: Budgets) -> dict[str, str]:
    """Return what of the environment is not as when the file was written."""
    return {
        name: f"{name} {was} there, {counted.fingerprint.get(name, 'none')} here"
        for name, was in committed.fingerprint.items()
        if counted.fingerprint.get(name) != was
    }


def _as_raised(one: Difference, was: Cost | None, now: Cost) -> bool:
    """Tell whether the files say of instructions that they grew about as much."""
    if was is None or not was.instructions or now.instructions is None:
        return False
    if not (isinstance(one.before, float | int) and isinstance(one.after, float | int)):
        return False
    raised = now.instructions / was.instructions - 1
    return one.after / one.before - 1 <= _ELSEWHERE * raised


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
