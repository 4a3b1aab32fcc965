"""The shared memory that a killed server leaves behind.

A postmaster holds one System V segment of 56 bytes as an interlock; killed, it leaves
it to its successor on the same data folder. A lab that is removed has none.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_IPC_RMID = 0
_SHMEM_LINE = 6  # of postmaster.pid: the segment's key and id


def forget(data: Path) -> None:
    """Remove the segment that the pid file of a dead server names, if it is there.

    Another segment that was given the same id since has another key and stays.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return
    if len(lines) <= _SHMEM_LINE:
        return
    key, identifier = (int(part) for part in lines[_SHMEM_LINE].split())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(ctypes.c_int(key), 0, 0) == identifier:
        libc.shmctl(identifier, _IPC_RMID, None)
