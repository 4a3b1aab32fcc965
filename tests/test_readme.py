"""Every command of the README and of CI exists with its options; its Python runs.

The two commands at its top are what CI runs itself; the load test, the benchmark suite
and the notebooks have tests of their own that really run them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zlib
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


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file())


def commands_of_ci() -> list[list[str]]:
    """What the workflows, the scripts they call and the lines for GitLab run."""
    texts = [path.read_text(encoding="utf-8") for path in (*WORKFLOWS, *SCRIPTS)]
    lines = "\n".join([*texts, *blocks("yaml")]).replace("\\\n", " ").splitlines()
    found = [re.search(r"uv run (?:--no-sync )?authkit (.*)", line) for line in lines]
    return [
        shlex.split(line[1].partition("||")[0].replace('"$@"', ""), comments=True)
        for line in found
        if line
    ]


def test_ci_and_the_lines_for_gitlab_run_the_tests_the_gate_and_the_trend():
    called = {" ".join(command[:2]) for command in commands_of_ci()}
    assert called == {"bench budgets", "bench gate", "bench trend"}
    (gitlab,) = blocks("yaml")
    for text in (gitlab, "".join(path.read_text() for path in WORKFLOWS)):
        named = set(re.findall(r"(?<=[ \[])\.ci/\w+", text))
        assert named == {".ci/run", ".ci/trend"}
        assert "authkit bench gate" in text
    assert [path.name for path in SCRIPTS if not os.access(path, os.X_OK)] == []


@pytest.mark.parametrize(
    "command",
    [
        *(command[1:] for command in commands() if command[0] == "authkit"),
        *commands_of_ci(),
    ],
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


def pictures() -> list[Path]:
    return [ROOT / name for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)]


def test_the_readme_shows_the_demo_the_report_and_a_notebook():
    assert [path.name for path in pictures()] == [
        "demo.svg",
        "report.png",
        "notebook.png",
    ]


@pytest.mark.parametrize("path", pictures(), ids=lambda path: path.name)
def test_every_picture_is_small_and_not_blank(path: Path):
    drawn = path.read_bytes()
    assert len(drawn) < 250_000
    if path.suffix == ".svg":
        assert drawn.count(b"</text>") > 20
        return
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed = 8, b""
    while at < len(drawn):
        size = int.from_bytes(drawn[at : at + 4], "big")
        if drawn[at + 4 : at + 8] == b"IDAT":
            packed += drawn[at + 8 : at + 8 + size]
        at += size + 12
    # One colour is a line of pixels and then zeros (PNG 3rd edition, section 9).
    assert len(set(zlib.decompress(packed))) > 100


def test_every_figure_beside_other_clients_is_the_one_that_was_measured():
    path = ROOT / "bench" / "results" / "peers-cluster.json"
    made = json.loads(path.read_text(encoding="utf-8"))
    found = {told["name"]: told["value"] for told in made["figures"]}
    asked = (
        "acquire_p50_us",
        "promotion_to_write_ms",
        "longest_call_ms",
        "old_timeline_writes",
        "errors",
    )
    peers = {name.removesuffix(f"_{asked[1]}") for name in found if asked[1] in name}
    measured = {tuple(f"{found[f'{p}_{name}']:,}" for name in asked) for p in peers}
    section = README.partition("## Beside other clients")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines()]
    told = [tuple(row[2:]) for row in rows if row[1:2] in (["sync"], ["async"])]
    assert len(told) == len(peers)
    assert set(told) == measured
    machine = made["machine"]
    for word in (made["command"], made["started"][:10], machine["system"]):
        assert word in section


@pytest.mark.slow
def test_the_list_of_public_names_is_fresh():
    # Elsewhere: who imports the harness patches for gevent.
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "api.py"), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"python tests/api.py writes it anew {run.stderr}"
