"""What a restored server is told for its recovery, and forgets once it has recovered.

Settings that outlived it would be in every later backup of that server, and in each
standby made from it: they would stop at the old moment, too, and promote themselves.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from authkit.lab.configuration import render
from authkit.ops.backup.planning import Target

_FILE = "postgresql.auto.conf"
_MARK = "authkit backup restore"
_TARGETS = ("", "_time", "_xid", "_name", "_lsn")
# The marks are in the values, as ALTER SYSTEM drops comments. Any failure is made a 1,
# a warning: the server would not start for want of a program.
_FORGET = (
    f'sed -e "/^recovery_target/d" -e "/{_MARK}/d" {_FILE} > {_FILE}.new'
    f" && sync {_FILE}.new && mv {_FILE}.new {_FILE} || exit 1"
)
_LASTING = {
    # The old cluster's archive is not this one's.
    "archive_mode": "off",
    "primary_conninfo": "",
    "synchronous_standby_names": "",
}


def prepare_recovery(data: Path, kept: Path, target: Target) -> None:
    """Have the server that is started on a data folder recover to a moment.

    Args:
        data: the folder; whatever its cluster was once restored to no longer counts.
        kept: where the server finds the log.
        target: the moment.
    """
    text = f"\n# {_MARK}\n{render(_settings(kept, target))}{render(_LASTING)}"
    with (data / _FILE).open("a", encoding="utf-8") as file:
        file.write(text)
    (data / "recovery.signal").touch()
    (data / "standby.signal").unlink(missing_ok=True)


def _settings(kept: Path, target: Target) -> dict[str, str]:
    wal = shlex.quote(str(kept.absolute())).replace("%", "%%")
    chosen = target.settings()
    names = [f"recovery_target{kind}" for kind in _TARGETS]
    return {
        # The segment that is being received has another name until it is full.
        "restore_command": (
            f'cp {wal}/%f "%p" 2>/dev/null || cp {wal}/%f.partial "%p" 2>/dev/null'
            f" # {_MARK}"
        ),
        "recovery_end_command": _FORGET,
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
        "recovery_target_inclusive": "on",
        # PostgreSQL refuses a second target, and a blank that follows another's value.
        **{name: "" for name in names if name not in chosen},
        **chosen,
    }
