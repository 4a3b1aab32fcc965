"""The text of a server's configuration files, and how a new cluster is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

SUPERUSER = "authkit"
DATABASE = "authkit"

HBA = """\
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
local replication all scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""

SETTINGS = {
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Files in the data folder: a killed server leaves none in /dev/shm, and a
    # container's 64 MB there are no limit to a parallel query. Parallel aggregates and
    # joins of 2M rows took the same time either way.
    "dynamic_shared_memory_type": "mmap",
    "shared_preload_libraries": "pg_stat_statements",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %q%a ",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "16",
    "max_replication_slots": "16",
    # What a replica needs after it was away; its slot may not fill the disk either.
    "wal_keep_size": "256MB",
    "max_slot_wal_keep_size": "4GB",
    # pg_rewind needs hint bits in the WAL, and full pages to repair torn ones.
    "wal_log_hints": "on",
    "full_page_writes": "on",
    # At the default of 5 s a promotion was seen to take as long.
    "wal_retrieve_retry_interval": "200ms",
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "10s",
    "wal_sender_timeout": "10s",
}
if sys.platform == "linux":
    # After a crash the default makes some thousand files safe one by one: on a disk of
    # 60 writes a second a node came back after 150 s.
    SETTINGS["recovery_init_sync_method"] = "syncfs"


def render(settings: Mapping[str, str]) -> str:
    """Return the text of postgresql.conf."""
    return "".join(f"{name} = {_literal(value)}\n" for name, value in settings.items())


def list_item(value: str) -> str:
    """Return one item of a comma-separated setting, quoted."""
    return '"' + value.replace('"', '""') + '"'


def initdb_arguments(major: int) -> list[str]:
    """Return the options that every new cluster is made with."""
    arguments = [
        "-U", SUPERUSER, "--encoding=UTF8", "--data-checksums", "--no-sync",
        "--no-instructions", "--auth=scram-sha-256",
    ]  # fmt: skip
    if major >= 17:  # the builtin provider's first release
        return [*arguments, "--no-locale", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8"]  # fmt: skip
    if Path("/usr/lib/locale/C.utf8").exists():
        return [*arguments, "--locale=C.UTF-8"]
    return [*arguments, "--no-locale"]


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
