"""Counted costs: what differs, what binds, what was raised on purpose."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authkit.errors import InvalidInput
from authkit.harness.gate import arms, budgets, worker
from authkit.harness.gate.budgets import Budgets
from authkit.harness.gate.counters import Change, Cost, differences
from authkit.hot.registry import BY_NAME
from authkit.lab import cluster

ROOT = Path(__file__).resolve().parents[2]
COST = Cost(round_trips=1, statements=1, blocks=3, wal_bytes=0, plan="Index Scan a")
HERE = {"postgres": "18"}


def counted(**operations: Cost) -> Budgets:
    return Budgets(HERE, operations)


def test_equal_costs_have_no_differences():
    assert differences({"a": COST}, {"a": COST}) == ()


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        (replace(COST, round_trips=2), Change.MORE),
        (replace(COST, blocks=2), Change.LESS),
        (replace(COST, plan="Seq Scan a"), Change.OTHER),
    ],
)
def test_each_counter_is_compared(changed: Cost, change: Change):
    (found,) = differences({"a": COST}, {"a": changed})
    assert found.change is change
    assert found.worse is (change is not Change.LESS)


def test_new_and_lost_operations_are_named_and_are_no_fault():
    judged = budgets.judge(counted(old=COST), counted(new=COST))
    assert {one.change for one in judged.differences} == {Change.ADDED, Change.GONE}
    assert judged.binding
    assert judged.faults == ()


def test_budgets_of_another_environment_are_told_and_do_not_bind():
    there = Budgets({"postgres": "15"}, {"a": COST})
    judged = budgets.judge(there, counted(a=replace(COST, blocks=9)))
    assert len(judged.differences) == 1
    assert judged.faults == ()
    assert judged.why_not == (
        "counted in another environment: postgres 15 there, 18 here"
    )


def test_a_higher_cost_is_a_fault_unless_the_budget_file_was_raised_to_it():
    base, head = counted(a=COST), counted(a=replace(COST, round_trips=2))
    assert len(budgets.judge_versions(base, head, base).faults) == 1
    raised = budgets.judge_versions(base, head, head)
    assert raised.faults == ()
    assert len(raised.accepted) == 1


def test_what_was_raised_in_the_file_is_accepted_on_another_processor_too():
    there = {"postgres": "18", "processor": "a", "python": "3.11"}
    here = there | {"processor": "b", "python": "3.13"}
    one = replace(COST, instructions=1000)
    raised = replace(one, blocks=4, instructions=1100)
    before, after = Budgets(there, {"a": one}), Budgets(there, {"a": raised})

    def judged(instructions: float, file: Budgets, blocks: float = 4) -> budgets.Judged:
        head = replace(one, blocks=blocks, instructions=instructions)
        base = Budgets(here, {"a": replace(one, instructions=800)})
        return budgets.judge_versions(base, Budgets(here, {"a": head}), file, before)

    assert judged(900, after).faults == ()
    assert {one.counter for one in judged(900, after).accepted} == {
        "blocks",
        "instructions",
    }
    # By far more than the file says, and by more than it says: each for itself.
    assert [one.counter for one in judged(1200, after).faults] == ["instructions"]
    assert [one.counter for one in judged(900, after, 5).faults] == ["blocks"]
    assert len(judged(900, before).faults) == 2
    # Counts of another server say nothing of this one.
    foreign = Budgets(there | {"postgres": "15"}, {"a": raised})
    assert len(judged(900, foreign).faults) == 2


def test_a_budget_file_reads_back_as_it_was_written(tmp_path: Path):
    path = tmp_path / "budgets.toml"
    odd = counted(**{"a.b": replace(COST, plan='Scan "x" \\ y', blocks=3.05)})
    budgets.save(path, odd)
    assert budgets.load(path) == odd


def test_a_damaged_budget_file_is_named(tmp_path: Path):
    path = tmp_path / "budgets.toml"
    path.write_text("[environment]\n[operations.a]\nblocks = 1\n")
    with pytest.raises(InvalidInput, match=r"budgets.toml is damaged"):
        budgets.load(path)


def test_the_shape_of_a_plan_does_not_know_the_calendar():
    def plan(*days: str) -> dict[str, object]:
        below = [
            {"Node Type": "Seq Scan", "Relation Name": f"auth_attempts_p{day}"}
            for day in days
        ]
        return {"Node Type": "Append", "Plans": below}

    assert worker.shape(plan("20260101")) == worker.shape(plan("20260102", "20260103"))


def test_every_operation_of_the_registry_has_a_budget():
    committed = budgets.load(ROOT / budgets.FILE)
    assert committed is not None
    missing = BY_NAME.keys() - committed.costs.keys()
    assert not missing, "uv run authkit bench budgets --update"


def test_the_dependencies_of_two_trees_are_compared(tmp_path: Path):
    project = ROOT / "pyproject.toml"
    other = tmp_path / "pyproject.toml"
    other.write_text(project.read_text().replace("psycopg[binary,pool]", "psycopg"))
    here = arms.dependencies(ROOT, locked=False)
    assert here == arms.dependencies(ROOT, locked=False)
    there = arms.dependencies(tmp_path, locked=False)
    assert here.keys() == there.keys()
    assert {name for name in here if here[name] != there[name]} == {"psycopg"}


def test_an_unknown_revision_is_refused():
    with (
        pytest.raises(InvalidInput, match="no revision 'nonesuch'"),
        arms.tree_of(ROOT, "nonesuch", "base"),
    ):
        pass


def test_a_clone_that_is_shallow_says_why_a_revision_is_missing(tmp_path: Path):
    git = shutil.which("git") or "git"
    source, clone = tmp_path / "source", tmp_path / "clone"
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run([git, "init", "--quiet", source], check=True)
    for message in ("one", "two"):
        empty = ("commit", "--quiet", "--allow-empty", "-m", message)
        subprocess.run([git, "-C", source, *who, *empty], check=True)
    shallow = ("clone", "--quiet", "--depth", "1", source.as_uri(), clone)
    subprocess.run([git, *shallow], check=True)
    with (
        pytest.raises(InvalidInput, match="the clone is shallow"),
        arms.tree_of(clone, "HEAD~1", "base"),
    ):
        pass


def test_instructions_that_were_counted_elsewhere_inform_and_the_rest_binds():
    here = {"postgres": "18", "valgrind": "3.19", "processor": "a", "python": "3.11"}
    one = replace(COST, instructions=1000)
    committed = Budgets({**here, "processor": "b"}, {"a": one})
    more = replace(one, instructions=2000, blocks=4)
    judged = budgets.judge(committed, Budgets(here, {"a": more}))
    assert judged.informs == {"instructions"}
    assert [fault.counter for fault in judged.faults] == ["blocks"]
    same = budgets.judge(Budgets(here, {"a": one}), Budgets(here, {"a": more}))
    assert {fault.counter for fault in same.faults} == {"blocks", "instructions"}


def test_the_client_may_grow_by_a_few_bytecodes_and_what_was_not_counted_is_equal():
    one = replace(COST, instructions=100_000)
    assert differences({"a": one}, {"a": replace(one, instructions=100_500)}) == ()
    assert differences({"a": one}, {"a": COST}) == ()
    (found,) = differences({"a": one}, {"a": replace(one, instructions=102_000)})
    assert str(found) == "a: 100000 -> 102000 instructions"


def test_the_worker_stands_alone():
    """It runs on other versions of authkit, so it must not import ours of this room."""
    spec = importlib.util.find_spec("authkit.harness.gate.worker")
    assert spec is not None
    assert spec.origin is not None
    assert "authkit.harness" not in Path(spec.origin).read_text()


def test_plans_of_what_grows_from_nothing_are_those_of_a_new_server():
    """Told that a table is empty, the server would read it whole for ever after."""
    now = datetime.now(UTC).isoformat()
    with cluster(0, in_memory=True, config={"autovacuum": "off"}) as lab:
        url, end = lab.url("node1"), "2026-11-02T00:00:00+00:00"
        worker.prepare(url, users=20, days=2, end=end, now=now)
        known = dict(lab.sql("SELECT relname, reltuples FROM pg_class"))
    assert known["oauth_token_families"] == -1
    assert known["users"] == 20
    assert known["active_sessions"] > 0
    assert known["auth_attempts"] > 0


class Arm:
    """An arm whose operations cost as many bytes of WAL as calls came before them."""

    postgres = "18"

    def __init__(self) -> None:
        self.operations = ("a", "b", "c", "new")
        self.calls = 0

    def ask(self, _: str, *, operation: str, calls: int) -> dict[str, object]:
        self.calls += 1
        return {**COST.as_dict(), "wal_bytes": self.calls, "full_page_images": 0}


def test_what_one_operation_costs_is_counted_as_when_all_were_counted():
    file = ("b", "a", "c", "gone")
    (whole,) = budgets.count_on([Arm()], first=file)
    (part,) = budgets.count_on([Arm()], only=["a", "new"], first=file)
    assert [*whole.costs] == ["b", "a", "c", "new"]
    assert [*part.costs] == ["a", "new"]
    assert part.costs["a"] == whole.costs["a"]
