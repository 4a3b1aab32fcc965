"""The locust command behind `authkit load`: which files, which arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from authkit.errors import ConfigError

_HERE: Final = Path(__file__).parent
_BENCH: Final = _HERE.parents[1] / "bench"


def profile_path(name: str) -> Path:
    """Return the file of a profile: a path as it is, a name from where profiles are.

    Names are looked up in `bench/profiles` of the current folder, then of the source
    tree that authkit was installed from, then among those of the package.

    Raises:
        ConfigError: there is no such profile; the message lists those there are.
    """
    if name.endswith(".toml"):
        return Path(name)
    folders = (Path("bench/profiles"), _BENCH / "profiles", _HERE / "profiles")
    for folder in folders:
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.toml")})
    problem = f"there is no profile {name!r}: name a .toml file"
    if known:
        problem += f", or one of {', '.join(known)}"
    raise ConfigError([problem])


def locustfile() -> Path:
    """Return the locustfile beside the profiles, or the package's own."""
    path = _BENCH / "locustfile.py"
    return path if path.is_file() else _HERE / "locustfile.py"


def locust_arguments(
    path: Path, *, users: int, processes: int, csv: str | None = None
) -> list[str]:
    """Return the arguments of the Python interpreter that run locust headless."""
    arguments = ["-m", "locust", "-f", str(path), "--headless", "--only-summary"]
    arguments += ["-u", str(users), "-r", str(users), "--exit-code-on-error", "0"]
    if processes > 1:
        arguments += ["--processes", str(processes)]
    if csv is not None:
        arguments += ["--csv", csv]
    return arguments


def variables(**values: object) -> dict[str, str]:
    """Return the variables that carry options to locust; None is left out."""
    return {
        f"AUTHKIT_LOAD_{name.upper()}": str(value)
        for name, value in values.items()
        if value is not None
    }
