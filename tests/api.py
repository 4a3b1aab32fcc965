"""Write authkit/API.md: every public name, by package, with the first line it says.

`python tests/api.py` writes it, `python tests/api.py --check` says whether it is fresh.
A public name is one of `__all__` of a package whose path has no leading underscore.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import authkit

PAGE = Path(__file__).resolve().parents[1] / "authkit" / "API.md"
HEAD = """\
# Every public name

Made by `python tests/api.py` from `__all__` and the first line of each docstring; the
docstrings themselves (`help(name)`) tell shapes, units, errors and sources. What is not
here may change without notice. Names with `Async` are for asyncio, their twins for
threads.
"""
# A constant or an alias has no docstring of its own.
CONSTANTS = {
    "ATTACKS": "The kinds of attempt that are attacks, as they are labelled.",
    "DETECTORS": "Every detector by its name.",
    "FORMATS": "The names of the formats that `authkit ingest` reads.",
    "HORIZON": "How far back a history counts; a `timedelta`.",
    "INVARIANTS": "Every invariant, in the order of the report.",
    "KEEP": "Leaves a field as it is, where None would empty it.",
    "KINDS": "Every kind of attempt: two that are no attack, then the attacks.",
    "Kind": "The literal type of `KINDS`.",
    "LEVELS": "The names of what is read from a login, in the order of every score.",
    "MODELS": "Every risk model by its name.",
    "NAMES": "The names of every detector, those outside the default set included.",
    "PER_THOUSAND_USERS": "Campaigns of each attack for a thousand users.",
    "PLANNERS": "What plans each kind of attack, by kind.",
    "Params": "The parameters of one call, in order.",
    "Planner": "A function from a scene and a number to an attacker's strikes.",
    "SCHEMA": "The name of the PostgreSQL schema: `authkit`.",
    "Step": "An operation and its parameters, to be run with others.",
    "TAKEOVERS": "The attacks whose attacker holds the password: what a score is for.",
    "metadata": "The SQLAlchemy metadata that every table stands on.",
}
DEFAULTS = {
    "authkit.analysis.detect": "The detectors that run where none is named.",
}


def packages() -> Iterator[ModuleType]:
    """Give every public package; of single modules only those that stand at the top."""
    yield authkit
    for found in pkgutil.walk_packages(authkit.__path__, "authkit."):
        parts = found.name.split(".")
        private = any(part.startswith("_") for part in parts)
        if private or parts[1] in {"cli", "demo", "migrations"}:
            continue
        if found.ispkg or found.name in {"authkit.errors", "authkit.settings"}:
            yield importlib.import_module(found.name)


def names(package: ModuleType) -> list[str]:
    """Return the public names of a package: `__all__`, or the errors it defines."""
    if package.__name__ == "authkit.errors":
        return sorted(
            name
            for name, made in vars(package).items()
            if isinstance(made, type) and made.__module__ == package.__name__
        )
    return sorted(n for n in getattr(package, "__all__", ()) if n != "__version__")


def line(package: ModuleType, name: str) -> str:
    """Return the first line of a docstring, or what is said here of a constant."""
    made = getattr(package, name)
    spoken = inspect.isclass(made) or inspect.ismodule(made) or inspect.isroutine(made)
    if spoken and made.__doc__ and not made.__doc__.startswith("Built-in "):
        return made.__doc__.strip().splitlines()[0]
    if name == "DEFAULT":
        return DEFAULTS.get(
            package.__name__, "The model that scores where none is named."
        )
    return CONSTANTS[name]


def page() -> str:
    """Return the page as it should be."""
    parts = [HEAD]
    for package in packages():
        rows = [f"| `{n}` | {line(package, n)} |" for n in names(package)]
        if rows:
            said = (package.__doc__ or "").strip().splitlines()[0]
            table = "\n".join(["| name | |", "|---|---|", *rows])
            parts.append(f"\n## {package.__name__}\n\n{said}\n\n{table}\n")
    return "".join(parts)


def main() -> int:
    """Write the page, or say whether it is fresh."""
    made = page()
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == made else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
