"""`authkit bench results`: every goal, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def results(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Holds the files of figures; RESULTS.md goes beside it.",
            metavar="FOLDER",
        ),
    ] = Path("bench/results"),
    goals: Annotated[Path, typer.Option(help="The goals.", metavar="FILE")] = Path(
        "bench/goals.toml"
    ),
    run: Annotated[
        bool, typer.Option("--run", help="Measure (again) before the sheet is made.")
    ] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="With --run: only what has no file yet.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            "-k",
            help="With --run: one file; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Set every goal beside its figure, in RESULTS.md.

    Exit code 1 when a goal was not measured; a goal that is missed says why.
    """
    import json

    from authkit.errors import InvalidInput
    from authkit.harness import goals as sheet

    known = sheet.load(goals)
    if only and (strange := sorted(set(only) - known.commands.keys())):
        raise InvalidInput(
            f"no such file of figures: {', '.join(strange)}; "
            f"there are {', '.join(sorted(known.commands))}"
        )
    if run:
        folder.mkdir(parents=True, exist_ok=True)
        for name, command in known.commands.items():
            target = folder / f"{name}.json"
            if (only and name not in only) or (missing and target.exists()):
                continue
            _measure(command, target)
            kept = sheet.slim(sheet.figures(folder, (name,))[name])
            target.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    found = sheet.figures(folder, tuple(known.commands))
    target = folder.parent / "RESULTS.md"
    try:
        target.write_text(sheet.markdown(known, found), encoding="utf-8")
    except OSError as exc:
        raise InvalidInput(f"cannot write {target}: {exc.strerror}") from exc
    rows = sheet.rows(known, found)
    for row in rows:
        if row.verdict != "met":
            value = "" if row.value is None else f" {sheet.shown(row.value)}"
            typer.echo(f"{row.verdict}: {row.goal.area}, {row.goal.what}{value}")
    met = sum(row.verdict == "met" for row in rows)
    typer.echo(f"{met} of {len(rows)} goals met; {target}")
    raise typer.Exit(int(any(row.verdict == "not measured" for row in rows)))


def _measure(command: str, target: Path) -> None:
    """Run a command of the sheet, which writes its figures to a file.

    Exit code 1 says that a goal of its own is missed, which the sheet says too. What
    fails leaves the figures of before, and is not taken for them.
    """
    import os
    import shlex
    import subprocess
    import sys

    from authkit.errors import InvalidInput

    given: dict[str, str] = {}
    words = shlex.split(command)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    program, *rest = words
    start = [] if program == "python" else ["-m", program]
    flag = "--benchmark-json" if program == "pytest" else "--json"
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    typer.echo(f"{command} ...", err=True)
    ended = subprocess.run(
        [sys.executable, *start, *rest, flag, str(fresh)],
        env={**os.environ, **given},
        check=False,
    )
    if ended.returncode not in (0, 1) or not fresh.exists():
        fresh.unlink(missing_ok=True)
        raise InvalidInput(
            f"`{command}` ended with {ended.returncode}: what it printed says why"
        )
    fresh.replace(target)
