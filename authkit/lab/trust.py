"""Whose a folder is: what another user could have put there is not to be believed."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def only_ours(folder: Path) -> bool:
    """Tell whether a folder is this user's, and nobody else can change or swap it.

    It is a real one, no link, and so is what is in it: only this user, or root, can
    have put that there. Every folder above is theirs as well; in a sticky one, as /tmp
    is, others may add names and not replace them.
    """
    try:
        found = folder.lstat()
        return (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == os.geteuid()
            and not _open_to_others(found)
            and all(map(_kept, folder.parents))
        )
    except OSError:  # it is gone, or hidden from us
        return False


def _kept(path: Path) -> bool:
    """Tell whether no other user can replace what a path leads through."""
    found = path.lstat()
    if found.st_uid not in {0, os.geteuid()}:
        return False
    if stat.S_ISLNK(found.st_mode):
        aim = path.parent / path.readlink()
        return all(map(_kept, (aim, *aim.parents)))
    return bool(found.st_mode & stat.S_ISVTX) or not _open_to_others(found)


def _open_to_others(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_private(found.st_gid)


def _is_private(gid: int) -> bool:
    # A umask of 002 goes with a group of the user's own name, with nobody else in it.
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
