from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.analysis.window import window
from authkit.errors import InvalidInput

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("1.5h", NOW - timedelta(minutes=90)),
        (" 30min ", NOW - timedelta(minutes=30)),
        ("2w", NOW - timedelta(weeks=2)),
        (timedelta(hours=1), NOW - timedelta(hours=1)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        (
            "2026-11-01T12:00+02:00",
            datetime(2026, 11, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        ),
        (date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=UTC)),
        (datetime(2026, 11, 1, 3), datetime(2026, 11, 1, 3, tzinfo=UTC)),  # noqa: DTZ001 # no zone is UTC
        (None, None),
    ],
)
def test_a_bound_is_read_as_people_write_it(since: object, expected: object):
    assert window(since, None, now=NOW).since == expected  # type: ignore[arg-type] # of every kind


@pytest.mark.parametrize("east", [True, False])
def test_a_window_is_told_in_utc_however_its_bounds_were_written(east: bool):
    bound = "2026-11-23T01:00+02:00"
    since = bound if east else datetime.fromisoformat(bound)
    told = str(window(since, "2026-11-23T02:00+02:00", now=NOW))
    assert told == "2026-11-22 23:00 to 2026-11-23 00:00 UTC"


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("yesterday", None),
        ("7 parsecs", None),
        ("", None),
        ("99999999999w", None),
        ("0001-01-01T00:00+01:00", None),
        ("2026-13-01", None),
        (7, None),
        ("1d", "2d"),
        ("2030-01-01", None),
        (NOW, NOW),
    ],
)
def test_a_window_that_says_nothing_is_refused(since: object, until: object):
    with pytest.raises(InvalidInput):
        window(since, until, now=NOW)  # type: ignore[arg-type] # faults on purpose


@given(st.text(max_size=30))
def test_any_text_is_a_window_or_a_clear_refusal(text: str):
    try:
        made = window(text, None, now=NOW)
    except InvalidInput:
        return
    assert made.since is not None
    assert made.since.tzinfo is not None
