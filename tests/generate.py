"""Generate the sync twins of every `_async` package, or check that they are fresh.

    python tests/generate.py            write them
    python tests/generate.py --check    exit 1 when one is stale

unasyncd turns the syntax (`async def`, `await`, its `add_replacements` in
pyproject.toml); a last pass renames whole words, imports included, and ruff sorts what
is left. A source folder that does not exist is passed over.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNASYNCD = ("uvx", "--quiet", "--from", "unasyncd>=0.10,<0.11", "unasyncd")
# Whole words that are other words in the sync colour, beside `add_replacements`.
# They are kept out of that table because unasyncd replaces its keys inside longer
# words of docstrings (`aio` in `asyncio`).
WORDS = {
    "_async": "_sync",
    "_primitives.aio": "_primitives.threads",
    "sqlalchemy.ext.asyncio": "sqlalchemy",
    "psycopg.AsyncConnection": "psycopg.Connection",
}
PHRASES = {
    "for asyncio; the source of the generated sync twin": "for threads",
}


def main(arguments: list[str]) -> int:
    """Generate into a scratch copy; then compare with the tree or write into it."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings = config["tool"]["unasyncd"]
    folders = {
        source: target
        for source, target in settings["files"].items()
        if any((ROOT / source).glob("*.py"))
    }
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        generate(scratch, settings, folders)
        if "--check" in arguments:
            return check(scratch, folders)
        write(scratch, folders)
    return 0


def generate(scratch: Path, settings: dict, folders: dict[str, str]) -> None:
    shutil.copy(ROOT / "pyproject.toml", scratch / "ruff-source.toml")
    lines = ["[tool.unasyncd]"]
    lines += [
        f"{name} = {str(value).lower()}"
        for name, value in settings.items()
        if isinstance(value, bool)
    ]
    lines += ["[tool.unasyncd.files]"]
    lines += [f'"{source}" = "{target}"' for source, target in folders.items()]
    lines += ["[tool.unasyncd.add_replacements]"]
    replacements: dict[str, str] = settings.get("add_replacements", {})
    lines += [f'"{old}" = "{new}"' for old, new in replacements.items()]
    (scratch / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for source in folders:
        shutil.copytree(ROOT / source, scratch / source, ignore=_sources_only)
    # It exits 1 whenever it wrote a file: what it wrote is the better witness.
    said = run([*UNASYNCD, "--no-cache", "--force"], scratch, codes=(0, 1))
    for source, target in folders.items():
        for path in (scratch / source).glob("*.py"):
            if not (scratch / target / path.name).exists():
                sys.exit(f"unasyncd wrote no {target}/{path.name}:\n{said}")
    shutil.move(scratch / "ruff-source.toml", scratch / "pyproject.toml")
    words = {old: new for old, new in replacements.items() if "." not in old} | WORDS
    for target in folders.values():
        for path in (scratch / target).rglob("*.py"):
            text = rename(path.read_text(encoding="utf-8"), words)
            path.write_text(text, encoding="utf-8")
        run(_ruff("check", "--fix-only", "--quiet", target), scratch)
        run(_ruff("format", "--quiet", target), scratch)
        run(_ruff("check", "--fix-only", "--quiet", target), scratch)


def rename(text: str, words: dict[str, str]) -> str:
    for old, new in PHRASES.items():
        text = text.replace(old, new)
    head, mark, body = text.partition("\n# ")
    origin, newline, rest = body.partition("\n")
    for old in sorted(words, key=len, reverse=True):
        rest = re.sub(rf"(?<![\w.]){re.escape(old)}\b", words[old], rest)
        rest = re.sub(rf"(?<=\.){re.escape(old)}\b", words[old], rest)
    return head + mark + origin + newline + rest


def check(scratch: Path, folders: dict[str, str]) -> int:
    stale: list[str] = []
    for target in folders.values():
        fresh = {p.relative_to(scratch): p for p in (scratch / target).rglob("*.py")}
        present = {p.relative_to(ROOT) for p in (ROOT / target).rglob("*.py")}
        stale += [f"{path} has no source" for path in sorted(present - set(fresh))]
        for relative, path in sorted(fresh.items()):
            old = ROOT / relative
            if not old.exists() or old.read_bytes() != path.read_bytes():
                stale.append(f"{relative} is stale")
    if stale:
        stale.append("run: python tests/generate.py")
        sys.stderr.write("\n".join(stale) + "\n")
    return 1 if stale else 0


def write(scratch: Path, folders: dict[str, str]) -> None:
    for target in folders.values():
        destination = ROOT / target
        destination.mkdir(exist_ok=True)
        names = {path.name for path in (scratch / target).glob("*.py")}
        for path in destination.glob("*.py"):
            if path.name not in names:
                path.unlink()
        for name in names:
            fresh, old = scratch / target / name, destination / name
            if not old.exists() or old.read_bytes() != fresh.read_bytes():
                shutil.copyfile(fresh, old)


def _ruff(*arguments: str) -> list[str]:
    ours = 'lint.isort.known-first-party=["authkit"]'
    config = ["--config", ours] if arguments[0] == "check" else []
    return [sys.executable, "-m", "ruff", *arguments, *config]


def _sources_only(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def run(command: list[str], cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
