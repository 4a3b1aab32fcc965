from __future__ import annotations

import pytest

from authkit.evaluation.generating import generate


@pytest.mark.slow
def test_a_world_is_written_measured_and_set_beside_published_data():
    told: list[str] = []
    report = generate(
        users=300, days=8, seed=4, progress=lambda phase, *_: told.append(phase)
    )
    figures = {figure.name: figure for figure in report.figures}
    assert figures["attempts"].value > 300
    assert figures["generated and written into PostgreSQL"].goal == ">= 100000"
    assert figures["memory grown after the first quarter"].holds
    assert "attempts on no account, published" in figures
    assert report.extra["synthetic"] is True
    assert "attempts" in told
