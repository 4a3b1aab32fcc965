"""The command that counts: compares with a base or with the committed budgets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from authkit.errors import InvalidInput
from authkit.figures import Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import budgets, instructions
from authkit.harness.gate.arms import HEAD, commit_of, repository, tree_of
from authkit.harness.gate.budgets import Budgets, Judged


def run(
    *,
    update: bool = False,
    base: str | None = None,
    only: Sequence[str] = (),
    client: bool = True,
    progress: Progress = silent,
) -> tuple[Report, tuple[str, ...]]:
    """Count, compare and say what differs; returns the report and its lines.

    Raises:
        InvalidInput: there is no such revision or operation, or no checkout.
        ArmFailed: a version could not do the work.
    """
    if update and only:
        raise InvalidInput("the file is updated whole: leave out the operations")
    started, began = datetime.now(UTC), monotonic()
    root = repository()
    path = root / budgets.FILE
    committed = budgets.load(path)
    order = tuple(committed.costs) if committed is not None else ()
    with ExitStack() as stack:
        revisions = [None] if base is None else [base, None]
        trees = [
            stack.enter_context(tree_of(root, one, one or HEAD)) for one in revisions
        ]
        before = budgets.load(trees[0].root / budgets.FILE)
        counted = budgets.count(
            trees, only=only, first=order, client=client, progress=progress
        )
    head = counted[-1]
    if base is not None:
        judged = budgets.judge_versions(counted[0], head, committed, before)
    else:
        judged = budgets.judge(_of(committed, only), head)
    lines = list(describe(judged))
    if update:
        budgets.save(path, head)
        lines.append(f"{budgets.FILE} now holds {len(head.costs)} operations")
        judged = replace(judged, binding=False)
    lines.append(
        f"{len(head.costs)} operations counted, {len(judged.faults)} over their budget"
    )
    report = Report(
        command="bench budgets",
        started=started,
        seconds=monotonic() - began,
        figures=(
            figure("operations counted", len(head.costs)),
            figure("operations over budget", len(judged.faults), goal=("<=", 0)),
            figure("counters that differ", len(judged.differences)),
        ),
        postgres=head.fingerprint["postgres"],
        extra={
            "revision": commit_of(root, None),
            "base": None if base is None else commit_of(root, base),
            "binding": judged.binding,
            "environment": dict(head.fingerprint),
            "differences": [str(one) for one in judged.differences],
            "costs": {name: cost.as_dict() for name, cost in head.costs.items()},
        },
    )
    return report, tuple(lines)


def describe(judged: Judged) -> tuple[str, ...]:
    """Return a line for each difference, and why none of them binds if so."""
    lines: list[str] = []
    for one in judged.differences:
        mark = "FAULT" if judged.is_fault(one) else "more" if one.worse else "note"
        lines.append(f"{mark:>5}  {one}")
    lines += [f"   ok  {one} (the budget file says so)" for one in judged.accepted]
    if judged.informs:
        names = ", ".join(sorted(judged.informs))
        lines.append(f" note  {names} were counted elsewhere and only inform")
    if not instructions.environment():
        lines.append(f" note  {instructions.MISSING}")
    if judged.why_not:
        lines.append(f" note  nothing is refused: {judged.why_not}")
    return tuple(lines)


def _of(committed: Budgets | None, only: Sequence[str]) -> Budgets | None:
    if committed is None or not only:
        return committed
    kept = {name: cost for name, cost in committed.costs.items() if name in only}
    return replace(committed, costs=kept)
