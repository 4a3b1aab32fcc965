"""Counted costs: what differs, what binds, what was raised on purpose."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.harness.gate import arms, budgets, comparing, worker
from authkit.harness.gate.budgets import Budgets
from authkit.harness.gate.counters import Change, Cost, differences
from authkit.harness.gate.ground import prepared
from authkit.harness.gate.verdicts import Rule
from authkit.hot.registry import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
COST = Cost(round_trips=1, statements=1, blocks=3, wal_bytes=0, plan="Index Scan a")
QUICK = Rule(looks=(2, 8), limit_s=8)
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


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code in which two operations became worse, and nothing else."""
    root = tmp_path_factory.mktemp("altered")
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("authkit", "alembic", "bench"):
        shutil.copytree(ROOT / name, root / name, ignore=left_out)
    path = root / "authkit" / "hot" / "_sync" / "statement.py"
    worse = (
        "    if operation.name == 'sessions.revoke':\n"
        "        connection.execute('SELECT 1')\n"
    )
    door = "    if lane.fits(connection):\n"
    text = path.read_text()
    assert text.count(door) == 3
    path.write_text(text.replace(door, worse + door))
    return root


@pytest.mark.slow
def test_an_extra_round_trip_and_a_dropped_index_are_counted_and_nothing_else(
    altered: Path,
):
    base = arms.Tree("base", ROOT, sys.executable)
    head = arms.Tree("head", altered, sys.executable)
    names = ["sessions.validate", "sessions.list", "sessions.revoke"]
    with prepared([base, head, base]) as ground, ground.teams(1) as teams:
        before_all, changed, _ = teams[0]
        with psycopg.connect(changed.url, autocommit=True) as connection:
            connection.execute("DROP INDEX authkit.active_sessions_live_by_user_idx")
        before, after = budgets.count_on((before_all, changed), only=names)
        timed = comparing.measure(teams, "sessions.revoke", rule=QUICK)
    found = budgets.judge_versions(before, after, None).faults
    assert {(one.operation, one.counter) for one in found} >= {
        ("sessions.revoke", "round_trips"),
        ("sessions.revoke", "statements"),
        ("sessions.list", "plan"),
    }
    assert timed.change.p_slower(QUICK.margin) < QUICK.alpha
    assert "sessions.validate" not in {one.operation for one in found}


def test_the_worker_stands_alone():
    """It runs on other versions of authkit, so it must not import ours of this room."""
    spec = importlib.util.find_spec("authkit.harness.gate.worker")
    assert spec is not None
    assert spec.origin is not None
    assert "authkit.harness" not in Path(spec.origin).read_text()
