from __future__ import annotations

import sys

import pytest

from authkit.analysis.loading import progress


def test_a_long_frame_shows_how_far_it_is_and_a_short_one_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    # A test of notebooks in the same process may have loaded it.
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress("reading", 1_000_000, shown=True) as came:
        came(250_000)
        came(1_200_000)  # the planner guessed too few
    assert "reading" in capsys.readouterr().err
    for expected, shown in ((1_000, True), (None, True), (1_000_000, False)):
        with progress("reading", expected, shown=shown) as came:
            came(10)
        assert capsys.readouterr().err == ""
