"""What another user could have put somewhere, or can put there yet, is told apart."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from authkit.lab.trust import only_ours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of ours below one that a test may open, both closed to others."""
    made = tmp_path / "above" / "ours"
    made.mkdir(parents=True)
    for path in (made, made.parent):
        path.chmod(0o755)
    return made


def test_a_folder_that_only_we_can_write_is_ours(folder: Path):
    assert only_ours(folder)


def test_a_folder_that_anybody_can_write_is_not_ours(folder: Path):
    folder.chmod(0o1777)
    assert not only_ours(folder)


def test_a_folder_that_anybody_can_swap_is_not_ours(folder: Path):
    folder.parent.chmod(0o777)
    assert not only_ours(folder)


def test_a_folder_in_a_sticky_one_is_ours(folder: Path):
    folder.parent.chmod(0o1777)
    assert only_ours(folder)


def test_a_folder_that_is_gone_is_not_ours(folder: Path):
    folder.rmdir()
    assert not only_ours(folder)


def test_a_link_is_not_ours(folder: Path):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert not only_ours(link)


def test_a_link_of_ours_on_the_way_is_followed(folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to("above")
    assert only_ours(tmp_path / "link" / "ours")


def test_a_link_on_the_way_that_leads_through_what_anybody_can_swap_is_not_ours(
    folder: Path, tmp_path: Path
):
    swapped = tmp_path / "open" / "swapped"
    swapped.parent.mkdir()
    swapped.parent.chmod(0o777)
    swapped.symlink_to(folder.parent)
    (tmp_path / "link").symlink_to(swapped)
    assert not only_ours(tmp_path / "link" / "ours")


@pytest.mark.parametrize("private", [True, False])
def test_what_a_group_can_write_is_ours_if_the_group_is_ours_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, private: bool
):
    name = pwd.getpwuid(os.geteuid()).pw_name if private else "many"
    groups = {folder.stat().st_gid: grp.struct_group((name, "x", 1, []))}
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    folder.parent.chmod(0o775)
    assert only_ours(folder) == private


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_of_another_user_or_in_one_is_not_ours(folder: Path, which: str):
    os.chown(folder if which == "folder" else folder.parent, 12345, -1)
    assert not only_ours(folder)
