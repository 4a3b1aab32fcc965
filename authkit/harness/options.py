"""The options that a locustfile on `AuthUser` adds to locust's own command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from authkit.errors import ConfigError
from authkit.harness import profile as profiles
from authkit.harness import slo as slos
from authkit.harness.faults import Fault, parse_all
from authkit.harness.profile import Profile
from authkit.harness.slo import Slo

# Name, variable of the environment, what it does.
_ARGUMENTS: Final = (
    ("profile", "AUTHKIT_LOAD_PROFILE", "TOML file that says what the load does"),
    ("rate", "AUTHKIT_LOAD_RATE", "open loop: arrivals per second over all processes"),
    ("seconds", "AUTHKIT_LOAD_SECONDS", "end that long after the first measurement"),
    ("slo", "AUTHKIT_LOAD_SLO", "TOML file with goals; they decide the exit code"),
    ("json", "AUTHKIT_LOAD_JSON", "file for the figures, - for standard output"),
    ("report", "AUTHKIT_LOAD_REPORT", "file for the HTML report"),
    ("recording", "AUTHKIT_LOAD_RECORDING", "file for all histograms of the run"),
    ("history", "AUTHKIT_LOAD_HISTORY", "file for a run's acknowledged writes"),
    ("fault", "AUTHKIT_LOAD_FAULT", "at=10s,kind=kill-primary; several with ; between"),
    (
        "fault-outside-lab",
        "AUTHKIT_LOAD_FAULT_OUTSIDE_LAB",
        "1: faults may hit a database that is no embedded cluster",
    ),
    ("results", "AUTHKIT_LOAD_RESULTS", "folder that every run's result is added to"),
    ("status", "AUTHKIT_LOAD_STATUS", "1: tell the progress on standard output"),
)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the command line asked for, files read and checked."""

    profile: Profile
    seconds: float | None = None
    slo: Slo | None = None
    json: str | None = None
    report: Path | None = None
    recording: Path | None = None
    history: Path | None = None
    faults: tuple[Fault, ...] = ()
    fault_outside_lab: bool = False
    results: Path | None = None
    status: bool = False
    workers: int = 1


def add_arguments(parser: Any) -> None:
    """Add ours to locust's parser, as `--authkit-...` and as variables."""
    group = parser.add_argument_group("authkit")
    for name, variable, meaning in _ARGUMENTS:
        group.add_argument(
            f"--authkit-{name}",
            env_var=variable,
            default="",
            help=meaning,
            dest=f"authkit_{name.replace('-', '_')}",
        )


def read(values: Mapping[str, Any], operations: Collection[str]) -> LoadOptions:
    """Make `LoadOptions` of locust's parsed options.

    Args:
        values: every parsed option by its name.
        operations: what a goal may name.

    Raises:
        ConfigError: a file or a value is not as it must be.
    """

    def given(name: str) -> str:
        return str(values.get(f"authkit_{name}") or "")

    def path(name: str) -> Path | None:
        return Path(given(name)) if given(name) else None

    profile_path, slo_path = path("profile"), path("slo")
    profile = (
        Profile("own tasks", {})
        if profile_path is None
        else profiles.read(profile_path)
    )
    faults = parse_all(given("fault"))
    seconds = _positive("seconds", given("seconds")) if given("seconds") else None
    late = [fault for fault in faults if seconds and fault.at_s >= seconds]
    if late:
        raise ConfigError([f"{fault}: the run ends before that" for fault in late])
    if given("rate"):
        profile = replace(profile, model="open", rate=_positive("rate", given("rate")))
    return LoadOptions(
        profile=profile,
        seconds=seconds,
        slo=None if slo_path is None else slos.read(slo_path, operations),
        json=given("json") or None,
        report=path("report"),
        recording=path("recording"),
        history=path("history"),
        faults=faults,
        fault_outside_lab=bool(given("fault_outside_lab")),
        results=path("results"),
        status=bool(given("status")),
        workers=max(1, int(values.get("authkit_workers") or 1)),
    )


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError([f"--authkit-{name} is a number above zero"])
    return value
