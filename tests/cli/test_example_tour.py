from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

import authkit
from authkit import errors
from authkit.demo.example import Tour
from authkit.demo.mistakes import ELSEWHERE

NAMES = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AuthkitError)
}


@dataclass
class Notes:
    """Remembers what the tour shows."""

    chapters: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def chapter(self, title: str) -> None:
        self.chapters.append(title)

    def line(self, code: str, result: object) -> None:
        self.lines.append((code, str(result)))

    def fault(self, what: str) -> None:
        self.faults.append(what)


def test_everything_that_the_tour_claims_holds_and_every_error_is_named(settings):
    notes = Notes()
    with authkit.connect(settings) as kit:
        tour = Tour(kit, settings, notes)
        assert tour.run(), notes.faults
        with kit.unit_of_work(read_only=True) as uow:
            assert uow.users.find_by_email(f"ann.{tour.mark}@example.com") is None
            (left,) = uow.users.page()
            assert left.erased_at is not None
    assert len(notes.chapters) == 8
    shown = {result.partition(":")[0] for _, result in notes.lines} & NAMES
    assert shown | {kind.__name__ for kind in ELSEWHERE} | {"AuthkitError"} == NAMES


def test_the_tour_can_be_taken_twice_on_one_database(settings):
    with authkit.connect(settings) as kit:
        assert Tour(kit, settings, Notes()).run()
        assert Tour(kit, settings, Notes()).run()


def test_the_command_works_without_a_database_and_leaves_none(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")}
    env |= {"COLUMNS": "60", "UV": "uv"}
    done = subprocess.run(
        [sys.executable, "-m", "authkit", "example"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything held. Next: uv run authkit demo," in done.stdout
    # No call and no result is broken over lines of a few letters.
    assert "  kit.cluster.status()\n      127.0.0.1:" in done.stdout
    ports = re.findall(r"127\.0\.0\.1:(\d+) is (?:primary|replica)", done.stdout)
    assert len(ports) == 2
    for port in ports:
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", int(port)))
