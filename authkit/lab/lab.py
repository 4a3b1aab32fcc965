"""A running embedded cluster and what can be done to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

from psycopg import sql

from authkit.errors import LabError
from authkit.lab import processes, state
from authkit.lab.account import Account
from authkit.lab.programs import Programs
from authkit.lab.server import DATABASE, HOST, SUPERUSER, Server
from authkit.lab.state import LabState, NodeState


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node as it was found: its role in the lab, its condition, its position."""

    name: str
    role: str
    condition: str
    port: int


class Lab:
    """A handle on one lab; it keeps nothing, the lab's state file is the truth.

    Node names are `node1`, `node2` and so on; `primary` and (while there is only one)
    `replica` name the node that has the role now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Lab {self.folder.name}>"

    # --- what it is -----------------------------------------------------------------

    @property
    def state(self) -> LabState:
        """The lab's state, read anew.

        Raises:
            LabError: the lab is gone.
        """
        current = state.load(self.folder)
        if current is None:
            raise LabError(f"there is no lab {self.folder.name} any more")
        return current

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.folder.name

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self.state.nodes)

    @property
    def primary(self) -> str:
        """The name of the node that was last made primary."""
        return self.state.primary

    @property
    def replicas(self) -> tuple[str, ...]:
        """The names of the nodes that follow the primary."""
        current = self.state
        return tuple(
            n.name for n in current.nodes if current.role(n.name) == "replica"
        )

    def url(self, node: str = "primary", *, database: str = DATABASE) -> str:
        """Return the URL of a node, password included."""
        current = self.state
        port = current.node(node).port
        secret = quote(current.password, safe="")
        return f"postgresql://{SUPERUSER}:{secret}@{HOST}:{port}/{quote(database)}"

    def env(self, *, database: str = DATABASE) -> dict[str, str]:
        """Return DATABASE_URL and DATABASE_REPLICA_URLS for this lab."""
        current = self.state
        others = [n.name for n in current.nodes if n.name != current.primary]
        return {
            "DATABASE_URL": self.url(current.primary, database=database),
            "DATABASE_REPLICA_URLS": ",".join(
                self.url(name, database=database) for name in others
            ),
        }

    def status(self) -> tuple[NodeStatus, ...]:
        """Look at every node."""
        current = self.state
        return tuple(
            NodeStatus(
                node.name,
                current.role(node.name),
                self.server(node.name).condition(),
                node.port,
            )
            for node in current.nodes
        )

    def server(self, node: str = "primary") -> Server:
        """Return the server of a node, to run things on it directly."""
        current = self.state
        return server_of(self.folder, current, current.node(node))

    # --- what can be done to it -------------------------------------------------------

    def sql(
        self,
        statement: LiteralString,
        parameters: Sequence[object] | Mapping[str, object] | None = None,
        *,
        node: str = "primary",
        database: str = DATABASE,
    ) -> list[tuple[Any, ...]]:
        """Run one statement as superuser on a node and return its rows."""
        return self.server(node).query(statement, parameters, dbname=database)

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Make a database on the primary as a copy of a template that nobody uses."""
        self.server().query(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.SQL("wal_log")
            )
        )

    def drop_database(self, name: str) -> None:
        """Drop a database and whatever is still connected to it."""
        self.server().query(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                sql.Identifier(name)
            )
        )

    def wait_replayed(self, lsn: str | None = None, *, timeout_s: float = 30.0) -> str:
        """Wait until every replica replayed a position (default: all written so far).

        Returns:
            the position.

        Raises:
            LabError: a replica did not come that far in time.
        """
        if lsn is None:
            lsn = str(self.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0])
        end = time.monotonic() + timeout_s
        for name in self.replicas:
            with self.server(name).connect("postgres") as connection:
                while not connection.execute(
                    "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [lsn]
                ).fetchall()[0][0]:
                    if time.monotonic() > end:
                        raise LabError(f"{name} did not replay {lsn} in {timeout_s} s")
                    time.sleep(0.002)
        return lsn

    def psql(self, statement: str, *, node: str = "primary") -> str:
        """Run statements through psql and return what it printed, unaligned."""
        command, environment = self.psql_command(node)
        run = subprocess.run(
            [*command, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise LabError(f"psql: {run.stderr.strip()}")
        return run.stdout.strip()

    def psql_command(self, node: str = "primary") -> tuple[list[str], dict[str, str]]:
        """Return the psql command of a node and the variables it needs."""
        current = self.state
        chosen = current.node(node)
        environment = {
            "PGHOST": HOST,
            "PGPORT": str(chosen.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": current.password,
            "PGDATABASE": DATABASE,
        }
        return [str(Path(current.bindir) / "psql")], environment

    def kill(self, node: str = "primary") -> None:
        """Kill every process of a node (SIGKILL), as a power cut would."""
        with state.locked(self.folder):
            self.server(node).kill()

    def freeze(self, node: str = "primary") -> None:
        """Stop (SIGSTOP) every process of a node: its sockets stay, it is silent."""
        with state.locked(self.folder):
            self.server(node).freeze()

    def thaw(self, node: str = "primary") -> None:
        """Resume a frozen node."""
        with state.locked(self.folder):
            self.server(node).thaw()

    def stop(self, node: str = "primary") -> None:
        """Shut a node down cleanly."""
        with state.locked(self.folder):
            self.server(node).stop()

    def start(self, node: str = "primary") -> None:
        """Start a node as what it was."""
        with state.locked(self.folder):
            self.server(node).start()

    def promote(self, node: str = "replica") -> None:
        """Make a replica the primary; commits no longer wait for a standby."""
        with state.locked(self.folder):
            current = self.state
            chosen = current.node(node)
            server = server_of(self.folder, current, chosen)
            server.configure(upstream=None)
            server.query("SELECT pg_promote(wait => true)")
            server.reload()
            current = replace(
                current.following(chosen.name, None), primary=chosen.name
            )
            state.save(self.folder, current)

    def down(self) -> None:
        """Stop every node at once and remove the lab."""
        with state.locked(self.folder):
            current = state.load(self.folder)
            if current is not None:
                for node in current.nodes:
                    server_of(self.folder, current, node).kill()
                if not Path(current.sockets).is_relative_to(self.folder):
                    shutil.rmtree(current.sockets, ignore_errors=True)
            shutil.rmtree(self.folder)


def server_of(folder: Path, current: LabState, node: NodeState) -> Server:
    """Return the server of a node, from the lab's state."""
    from authkit.lab.account import choose

    major, _, minor = current.version.partition(".")
    account: Account = choose()
    return Server(
        name=node.name,
        cluster_name=f"{current.name}.{current.token}.{node.name}",
        folder=folder / node.name,
        sockets=Path(current.sockets),
        port=node.port,
        programs=Programs(
            Path(current.bindir), (int(major), int(minor)), origin="explicit"
        ),
        account=account,
        password=current.password,
        config=current.config,
    )


def wait_streaming(
    upstream: Server, names: Sequence[str], *, timeout_s: float = 30.0
) -> None:
    """Wait until the named replicas stream from a node.

    Raises:
        LabError: one does not in time.
    """
    end = time.monotonic() + timeout_s
    with upstream.connect("postgres") as connection:
        while True:
            streaming = {
                name
                for (name,) in connection.execute(
                    "SELECT application_name FROM pg_stat_replication "
                    "WHERE state = 'streaming'"
                )
            }
            missing = [name for name in names if name not in streaming]
            if not missing:
                return
            if time.monotonic() > end:
                raise LabError(f"{', '.join(missing)} did not begin to stream")
            time.sleep(0.01)


__all__ = ["Lab", "NodeStatus", "processes", "server_of", "wait_streaming"]
