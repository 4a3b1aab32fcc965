"""What a lab writes into a file of variables, and what it leaves there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from authkit.cli.lab_env import give, keys
from authkit.errors import InvalidInput
from authkit.settings import Settings

URL = "postgresql://authkit:secret@127.0.0.1:15001/authkit"
VARIABLES = {"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": ""}
WHOLE = "".join(f"{n}={v}\n" for n, v in {**VARIABLES, **keys(URL)}.items())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_a_file_that_was_open_to_all_is_closed(file: Path):
    file.touch()
    file.chmod(0o644)
    give(VARIABLES, file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_else_a_file_holds_stays(file: Path):
    theirs = "# mine \udce9\nDATABASE_POOL_MAX=7\nOTHER='a b'"
    file.write_text(theirs, encoding="utf-8", errors="surrogateescape")
    give(VARIABLES, file)
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    assert text == f"{theirs}\n{WHOLE}"


def test_written_twice_a_file_is_the_same(file: Path):
    file.write_text("DATABASE_POOL_MAX=7\n")
    give(VARIABLES, file)
    once = file.read_text()
    give(VARIABLES, file)
    assert file.read_text() == once


@pytest.mark.parametrize(
    "old", ["DATABASE_URL=", "export DATABASE_URL=", "database_url="]
)
def test_the_lab_that_a_file_named_before_is_replaced(file: Path, old: str):
    file.write_text(f"{old}{URL}_1\nDATABASE_POOL_MAX=7\n{old}{URL}_2")
    give(VARIABLES, file)
    first, others = WHOLE.split("\n", 1)
    assert file.read_text() == f"{first}\nDATABASE_POOL_MAX=7\n{others}"


def test_a_key_that_stands_there_stays_and_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
):
    mine = f"mine:{keys('postgresql://authkit:other@h/x')['AUTHKIT_TOKEN_KEY']}"
    file.write_text(f"AUTHKIT_SEALING_KEYS={mine}  # the only copy\n")
    give(VARIABLES, file)
    settings = Settings.load(file)
    assert settings.authkit_sealing_keys is not None
    assert settings.authkit_sealing_keys.get_secret_value() == mine
    assert settings.authkit_token_key is not None
    said = capsys.readouterr().err
    assert "AUTHKIT_SEALING_KEYS stays as it is there." in said
    assert mine not in said


def test_a_key_that_a_later_line_replaced_is_not_lost(file: Path):
    file.write_text(f"AUTHKIT_SEALING_KEYS=mine:MINE\n{WHOLE}")
    give(VARIABLES, file)
    assert file.read_text() == f"AUTHKIT_SEALING_KEYS=mine:MINE\n{WHOLE}"


@pytest.mark.parametrize("value", ["", '""', "# to be filled in", "'' # later"])
def test_a_key_that_is_empty_is_no_key(file: Path, value: str):
    file.write_text(f"AUTHKIT_TOKEN_KEY={value}\n")
    give(VARIABLES, file)
    assert sorted(file.read_text().splitlines()) == sorted(WHOLE.splitlines())


def test_a_pipe_is_written_and_not_read():
    reading, writing = os.pipe()
    give(VARIABLES, Path(f"/dev/fd/{writing}"))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        assert said.read() == WHOLE


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"the lab is up, but .* cannot be written"):
        give(VARIABLES, tmp_path)
