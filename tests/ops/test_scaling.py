"""What is said about shards is read from the statements; the document repeats it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from authkit.hot.registry import BY_NAME
from authkit.ops.scaling import CLOCK, TWICE, lines, placed, placements

DOCUMENT = Path(__file__).resolve().parents[2] / "authkit/ops/SCALING.md"


def test_the_document_holds_the_table_of_today():
    said = DOCUMENT.read_text(encoding="utf-8").splitlines()
    table = [line for line in said if line.startswith("|")]
    assert table == list(lines(placements())), "python -m authkit.ops.scaling"


def test_every_statement_is_placed():
    assert {each.operation for each in placements()} == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("sessions.list", "one shard, by user_id"),
        ("sessions.validate", "asks every shard"),
        ("sessions.rotate", "no: needs one server"),
        ("sessions.set_risk", "changes every shard"),
        ("attempts.record_many", "each row in its shard"),
        ("rate_limits.peek", "one shard, by identifier"),
        ("rate_limits.check", "one shard, by identifier, with its clock a parameter"),
    ],
)
def test_a_statement_is_placed_by_what_names_its_rows(name: str, verdict: str):
    assert placed(BY_NAME[name]).sharded == verdict


def test_what_an_engine_refuses_by_itself_is_named_among_the_needs():
    needs = {each.operation: each.needs for each in placements()}
    assert CLOCK in needs["sessions.extend"]  # an UPDATE by the server's clock
    assert CLOCK not in needs["attempts.record"]  # an INSERT may ask the clock
    assert CLOCK not in needs["sessions.validate"]  # so may a read
    assert TWICE in needs["sessions.create"]
    assert TWICE not in needs["sessions.revoke"]  # several tables, each of them once


def test_a_table_that_nobody_placed_is_not_passed_over():
    unknown = replace(BY_NAME["sessions.list"], sql="SELECT 1 FROM authkit.brand_new")
    with pytest.raises(KeyError, match="brand_new"):
        placed(unknown)
