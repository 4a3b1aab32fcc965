"""Backups that were restored: made, listed, verified, restored and drilled.

Everything is done by PostgreSQL's own programs; a folder keeps the backups, and beside
them the write-ahead log that leads from each to any later moment.
"""

from __future__ import annotations

from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.making import create
from authkit.ops.backup.restoring import Restored, Target, restore
from authkit.ops.backup.streaming import Stream
from authkit.ops.backup.verifying import verify

__all__ = [
    "Backup",
    "Folder",
    "Restored",
    "Stream",
    "Target",
    "create",
    "restore",
    "verify",
]
