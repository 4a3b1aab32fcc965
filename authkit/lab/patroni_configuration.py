"""The configuration of Patroni's nodes and of their etcd. JSON is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authkit.lab import configuration
from authkit.lab.configuration import SUPERUSER
from authkit.lab.places import HOST
from authkit.lab.programs import Programs

# The least that Patroni allows (ttl >= 20, loop_wait + 2 * retry_timeout <= ttl): the
# loss of a leader is noticed after its key's time to live.
TIMES = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a node: its PostgreSQL, and Patroni's REST interface."""

    postgres: int
    api: int


def etcd_arguments(folder: Path, port: int, program: Path) -> list[str | Path]:
    """Return the command that runs one etcd on loopback."""
    client = f"http://{HOST}:{port}"
    # With one member nobody connects to the peers' port, and any will do.
    peer = f"http://{HOST}:0"
    return [
        program, "--data-dir", folder / "data", "--name", "one",
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"one={peer}", "--log-level", "error",
        "--unsafe-no-fsync",
    ]  # fmt: skip


def node_configuration(
    *,
    scope: str,
    node: str,
    ports: Mapping[str, Ports],
    etcd_port: int,
    home: Path,
    programs: Programs,
    password: str,
) -> str:
    """Return the text of a node's configuration file."""
    mine = ports[node]
    initdb: list[str | dict[str, str]] = [{"encoding": "UTF8"}, "data-checksums"]
    initdb += ["no-locale", {"auth": "scram-sha-256"}, "no-sync"]
    dynamic = {
        **TIMES,
        "synchronous_mode": True,
        "maximum_lag_on_failover": 1_048_576,
        # A leader whose PostgreSQL died gives the lead away at once: recovery in place
        # takes as long as its last checkpoint is old.
        "primary_start_timeout": 0,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": _parameters(),
        },
    }
    login = {"username": SUPERUSER, "password": password}
    return json.dumps(
        {
            "scope": scope,
            "name": node,
            "restapi": {
                "listen": f"{HOST}:{mine.api}",
                "connect_address": f"{HOST}:{mine.api}",
            },
            "etcd3": {"host": f"{HOST}:{etcd_port}"},
            "bootstrap": {"dcs": dynamic, "initdb": initdb},
            "postgresql": {
                "listen": f"{HOST}:{mine.postgres}",
                "connect_address": f"{HOST}:{mine.postgres}",
                "data_dir": str(home / "data"),
                "bin_dir": str(programs.bindir),
                "pgpass": str(home / "pgpass"),
                "authentication": {"superuser": login, "replication": login},
                # A spread checkpoint before the copy of a replica takes minutes.
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "pg_hba": configuration.HBA.splitlines(),
                "parameters": {
                    "unix_socket_directories": str(home),
                    "authkit.lab": scope,
                },
            },
            "watchdog": {"mode": "off"},
        },
        indent=2,
    )


def _parameters() -> dict[str, str]:
    # What Patroni decides by itself, and what asks for files of the plain lab.
    own = {"wal_level", "hot_standby", "wal_log_hints", "max_wal_senders"}
    own |= {"max_replication_slots", "unix_socket_permissions"}
    own |= {"shared_preload_libraries"}
    return {k: v for k, v in configuration.SETTINGS.items() if k not in own}
