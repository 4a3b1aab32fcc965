"""`authkit ingest`, as a user starts it."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.errors import ConfigError, InvalidInput
from authkit.testing.plugin import Database

LOG = """\
Nov 18 03:00:01 gate sshd[7]: Failed password for root from 192.0.2.7 port 4 ssh2
Nov 18 03:00:02 gate CRON[8]: pam_unix(cron:session): session opened
Nov 18 03:00:03 gate sshd[9]: Accepted password for ann from 192.0.2.8 port 4 ssh2
Nov 18 03:0
"""
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def there(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("AUTHKIT_TOKEN_KEY", KEY)
    path = tmp_path / "auth.log.gz"
    path.write_bytes(gzip.compress(LOG.encode()))
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["ingest", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_packed_log_is_read_and_told_of(there: Path):
    said = run("openssh", there, "--year", 2025, "--json", "figures.json")
    assert "4 lines, 2 attempts: 2 new, 0 there before." in said
    assert "From 2025-11-18 03:00 to 2025-11-18 03:00 UTC." in said
    assert "of another program (CRON)" in said
    assert "1 could not be read: " in said
    told = json.loads(Path("figures.json").read_text())
    figures = {figure["name"]: figure["value"] for figure in told["figures"]}
    assert (told["command"], figures["new"], figures["rejected"]) == ("ingest", 2, 1)
    assert "0 new, 2 there before" in run("openssh", there, "--year", 2025)


def test_without_a_year_the_files_time_says_it(there: Path):
    assert "--year says otherwise" in run("openssh", there)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("openssh", "absent.log"), "cannot read absent.log"),
        (("openssh", "auth.log.gz", "--tz", "Mars/Olympus"), "no time zone"),
        (("syslog", "auth.log.gz"), "no format"),
        (("csv", "auth.log.gz"), "needs a mapping file"),
        (("csv", "auth.log.gz", "--mapping", "absent.toml"), "no mapping absent.toml"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    there: Path, arguments: tuple[str, ...], why: str
):
    assert there.exists()
    with pytest.raises(InvalidInput, match=why):
        run(*arguments)


def test_a_log_in_the_encoding_of_windows_is_named_with_the_way_out(there: Path):
    path = there.with_name("auth.log")
    path.write_bytes(LOG.encode("utf-16"))
    with pytest.raises(InvalidInput, match=r"auth\.log is UTF-16: .* `iconv"):
        run("openssh", path)


def test_a_log_of_another_year_is_turned_away_line_by_line(there: Path):
    said = run("openssh", there, "--year", 2999)
    assert "4 lines, 0 attempts" in said
    assert "4 could not be read" in said
    kept = there.with_name("auth.log.gz.rejects.jsonl").read_text()
    assert kept.count("its time is yet to come: is the year right?") == 3


def test_names_are_never_stored_without_a_key(
    there: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AUTHKIT_TOKEN_KEY")
    with pytest.raises(ConfigError, match="AUTHKIT_TOKEN_KEY is not set"):
        run("openssh", there)
