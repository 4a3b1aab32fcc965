"""Which extra of authkit brings a library: read from what is installed, not listed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

_WANTED = re.compile(r"(?P<name>[\w.-]+).*;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
# Libraries that are imported by another name than they are installed by.
_INSTALLED_AS = {"sklearn": "scikit-learn"}


def want(*modules: str) -> None:
    """See that each module can be imported, before a command begins with its work.

    Raises:
        ModuleNotFoundError: the first that cannot; `main` says it in one sentence.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(module, name=module)


def extra_of(module: str) -> str:
    """Return the extra that brings a module, `all` where the metadata names none."""
    top = module.partition(".")[0]
    name = _INSTALLED_AS.get(top, top).replace("_", "-").lower()
    try:
        lines = requires("authkit") or []
    except PackageNotFoundError:  # a bare folder on the path
        return "all"
    found = [match for line in lines if (match := _WANTED.match(line))]
    for match in found:
        if match["extra"] != "all" and match["name"].lower().startswith(name):
            return match["extra"]
    return "all"


def missing(module: str) -> str:
    """Return the sentence that says how to get a library that is absent."""
    return f"{module} is not installed: pip install 'authkit[{extra_of(module)}]'"
