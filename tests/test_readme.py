"""Every command of the README exists with its options; its Python runs as it stands.

The two commands at its top are what CI runs itself; the load test, the benchmark suite
and the notebooks have tests of their own that really run them.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main

from authkit.cli import app

if TYPE_CHECKING:
    from authkit.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    words = [
        shlex.split(part, comments=True) for line in lines for part in line.split("&&")
    ]
    return [command[2:] for command in words if command[:2] == ["uv", "run"]]


@pytest.mark.parametrize(
    "command",
    [command[1:] for command in commands() if command[0] == "authkit"],
    ids=" ".join,
)
def test_every_documented_command_parses(command: list[str]):
    parser = typer.main.get_command(app)
    context = parser.make_context("authkit", list(command), resilient_parsing=False)
    while remaining := [*context._protected_args, *context.args]:
        name, parser, rest = parser.resolve_command(context, remaining)
        context = parser.make_context(name, rest, parent=context)
        if not hasattr(parser, "resolve_command"):
            break


def test_every_other_documented_command_names_a_program_and_files_that_exist():
    others = [command for command in commands() if command[0] != "authkit"]
    assert {command[0] for command in others} == {"locust", "pytest"}
    named = [word for command in others for word in command[1:] if "/" in word]
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


@pytest.mark.parametrize("block", blocks("python"))
def test_every_documented_block_of_python_runs(
    block: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    urls = [url.get_secret_value() for url in settings.urls]
    monkeypatch.setenv("DATABASE_URL", urls[0])
    monkeypatch.setenv("DATABASE_REPLICA_URLS", ",".join(urls[1:]))
    from authkit.ids import uuid7

    names: dict[str, object] = {"user_id": uuid7()}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 # our own document
    kit = names["kit"]
    kit.close()  # type: ignore[attr-defined] # a name of the block


def test_the_readme_names_every_variable_file_it_relies_on():
    assert (ROOT / ".env.example").exists()
    assert ".env.example" in README
