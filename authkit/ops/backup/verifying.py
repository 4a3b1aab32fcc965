"""Verify a backup against its manifest, and everything that it stands on."""

from __future__ import annotations

from pathlib import Path

from authkit.errors import BackupError
from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.tools import Told, Tools, find_tools


def verify(
    folder: Folder,
    backup_id: str | None = None,
    *,
    tools: Tools | None = None,
    tell: Told | None = None,
) -> list[Backup]:
    """Verify a backup (default: the newest) and what it stands on.

    Returns:
        what was verified, the full one first.

    Raises:
        BackupError: a file is missing, changed or one too many; the message names it.
    """
    tools = tools or find_tools()
    chain = folder.chain(folder.find(backup_id))
    for backup in chain:
        tools.require_major(int(backup.version.partition(".")[0]))
        try:
            verify_files(tools, folder.data(backup.id), tell=tell)
        except BackupError as exc:
            raise BackupError(f"the backup {backup.id} is damaged: {exc}") from exc
    return chain


def verify_files(tools: Tools, data: Path, *, tell: Told | None = None) -> None:
    """Compare the files of one backup with its manifest, and read its log.

    Raises:
        BackupError: with what pg_verifybackup says.
    """
    progress = ["-P"] if tools.programs.major >= 16 else []  # 15 has no such option
    tools.run("pg_verifybackup", [*progress, data], phase="Verifying", tell=tell)
