from __future__ import annotations

from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.harness.options import LoadOptions, read
from authkit.harness.profile import Profile

NAMES = ("sessions.validate",)


def test_without_options_the_tasks_are_the_users_own_in_a_closed_loop():
    assert read({}, NAMES) == LoadOptions(Profile("own tasks", {}))


def test_a_rate_makes_an_open_loop():
    found = read({"authkit_rate": "250.5"}, NAMES).profile
    assert (found.model, found.rate) == ("open", 250.5)


def test_files_and_numbers_are_read(tmp_path: Path):
    goals = tmp_path / "goals.toml"
    goals.write_text("[recovery]\noutage_ms = 500")
    found = read(
        {
            "authkit_seconds": "20",
            "authkit_slo": str(goals),
            "authkit_json": "-",
            "authkit_history": "history.txt",
            "authkit_status": "1",
            "authkit_workers": 3,
        },
        NAMES,
    )
    assert found.seconds == 20
    assert found.slo is not None
    assert found.slo.outage_ms == 500
    assert (found.json, found.history) == ("-", Path("history.txt"))
    assert (found.status, found.workers) == (True, 3)


@pytest.mark.parametrize(
    "values",
    [
        {"authkit_rate": "fast"},
        {"authkit_rate": "0"},
        {"authkit_rate": "inf"},
        {"authkit_seconds": "-1"},
        {"authkit_seconds": "nan"},
        {"authkit_profile": "none.toml"},
        {"authkit_slo": "none.toml"},
    ],
)
def test_what_cannot_be_is_a_clear_error(values):
    with pytest.raises(ConfigError):
        read(values, NAMES)


def test_a_fault_after_the_end_of_the_run_is_refused():
    values = {"authkit_fault": "at=3,kind=lag; at=1,kind=lock-table"}
    faults = read({**values, "authkit_seconds": "4"}, NAMES).faults
    assert [fault.kind for fault in faults] == ["lock-table", "lag"]
    with pytest.raises(ConfigError, match="lag after 3 s: the run ends before that"):
        read({**values, "authkit_seconds": "2"}, NAMES)
