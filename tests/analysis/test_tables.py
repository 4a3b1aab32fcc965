from __future__ import annotations

import pandas as pd
import pytest

from authkit.analysis import look_through, report
from authkit.errors import InvalidInput

ROWS = pd.DataFrame(
    {
        "at": pd.to_datetime(["2026-11-20 08:00:01"], utc=True),
        "who": ["<script>alert(1)</script>"],
        "attempts": [12_345],
        "risk": [0.123456],
        "evidence": [["a", "b"]],
    }
)


def test_an_interactive_table_needs_no_network_and_runs_nothing_of_its_rows():
    html = look_through(ROWS, "Findings")._repr_html_()
    assert "2026-11-20 08:00:01" in html
    assert "<script>alert(1)" not in html
    # Without its program it says "Loading" for ever, unless another cell brought it.
    assert "injectModule(" in html
    assert len(html) > 500_000
    assert 'src="http' not in html
    assert "import 'http" not in html
    assert repr(look_through(ROWS, "Findings")) == "Findings: 1 rows"


def test_a_table_shown_twice_is_two_tables_on_the_page():
    table = look_through(ROWS)
    ids = {table._repr_html_().split('<table id="')[1][:40] for _ in range(2)}
    assert len(ids) == 2


def test_a_report_formats_numbers_and_names_its_source():
    told = ROWS.copy()
    told.attrs = {"source": "attempts", "masked": True, "node": "replica"}
    html = report(told, "Who was tried", "one week").as_raw_html()
    for said in ("Who was tried", "12,345", "0.123", "2 rows", "attempts, masked"):
        assert said in html
    assert "<script>" not in html


def test_a_table_that_nobody_could_read_is_refused():
    with pytest.raises(InvalidInput, match="filter or aggregate"):
        look_through(pd.concat([ROWS] * 10_001))
    with pytest.raises(InvalidInput, match="1 to 200 rows"):
        report(ROWS.head(0), "nothing")
