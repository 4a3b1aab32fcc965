"""A running embedded cluster and what can be done to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

from psycopg import sql

from authkit.errors import LabError
from authkit.lab import failover, places, replication, state
from authkit.lab.configuration import DATABASE, SUPERUSER
from authkit.lab.failover import Rejoined
from authkit.lab.looking import LabStatus, look
from authkit.lab.server import Server, server_of
from authkit.lab.state import LabState

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Show no progress."""


class Lab:
    """A handle on one lab; it keeps nothing, the lab's state file is the truth.

    Node names are `node1`, `node2` and so on; `primary` and (while there is only one)
    `replica` name the node that has the role now. Every operation waits for its turn:
    several programs may work on one lab.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Lab {self.name}>"

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()  # pyright: ignore[reportPrivateUsage] # Jupyter's protocol

    # --- what it is -----------------------------------------------------------------

    @property
    def state(self) -> LabState:
        """The lab's state, read anew.

        Raises:
            LabError: the lab is gone.
        """
        current = state.load(self.folder)
        if current is None:
            raise LabError(f"there is no lab {self.name}")
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
        lab = self.state
        return tuple(n.name for n in lab.nodes if lab.role(n.name) == "replica")

    @property
    def synchronous(self) -> bool:
        """Whether commits wait for a replica."""
        return self.state.synchronous

    @property
    def decides(self) -> bool:
        """Whether it makes a replica of an old primary by itself: never."""
        return False

    def server(self, node: str = "primary") -> Server:
        """Return the server of a node: its folder, its log, its processes."""
        return server_of(self.folder, self.state, node)

    def url(self, node: str = "primary", *, database: str = DATABASE) -> str:
        """Return the URL of a node for the superuser, password included: a secret.

        Args:
            node: its name; `primary` and `replica` are whoever has that role now.
            database: the one that it names.

        Raises:
            LabError: there is no such node.
        """
        lab = self.state
        secret = quote(lab.password, safe="")
        return (
            f"postgresql://{SUPERUSER}:{secret}@{places.HOST}:{lab.node(node).port}"
            f"/{quote(database, safe='')}"
        )

    def env(self, *, database: str = DATABASE) -> dict[str, str]:
        """Return DATABASE_URL and DATABASE_REPLICA_URLS, passwords included.

        Every other node is a candidate replica, one that is down or detached too.
        """
        primary = self.primary
        others = [name for name in self.nodes if name != primary]
        return {
            "DATABASE_URL": self.url(primary, database=database),
            "DATABASE_REPLICA_URLS": ",".join(
                self.url(name, database=database) for name in others
            ),
        }

    def status(self) -> LabStatus:
        """Look at every node; never waits for a frozen or dead one."""
        return look(self.folder)

    def logs(self, node: str = "primary", *, lines: int = 50) -> str:
        """Return the last lines of a node's log, as text; it may be empty."""
        text = self.server(node).log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    # --- SQL ------------------------------------------------------------------------

    def sql(
        self,
        statement: LiteralString | sql.Composed,
        parameters: Sequence[object] | Mapping[str, object] | None = None,
        *,
        node: str = "primary",
        database: str = DATABASE,
    ) -> list[tuple[Any, ...]]:
        """Run one statement as superuser on a node and return its rows.

        Raises:
            LabError: the node does not answer.
            psycopg.Error: the server refused the statement.
        """
        return self.server(node).query(statement, parameters, dbname=database)

    def psql(self, statements: str, *, node: str = "primary") -> str:
        """Run statements through psql and return what it printed, unaligned.

        Raises:
            LabError: with psql's complaint.
        """
        command, variables = self.psql_command(node)
        options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statements]
        run = subprocess.run(
            [*command, *options],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise LabError(f"psql: {run.stderr.strip()}")
        return run.stdout.strip()

    def psql_command(self, node: str = "primary") -> tuple[list[str], dict[str, str]]:
        """Return the psql command of a node and the variables it needs."""
        server = self.server(node)
        return [str(server.programs.path("psql"))], server.variables()

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Make a database on the primary as a copy of a template that nobody uses.

        Raises:
            LabError: the primary does not answer.
            psycopg.Error: it exists, there is no such template, or that is in use.
        """
        # Copying files is twice as fast as writing the template's blocks to the WAL.
        self.server().query(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
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
        return replication.wait_replayed(
            self.server(),
            [self.server(name) for name in self.replicas],
            lsn,
            timeout_s=timeout_s,
        )

    # --- what can be done to it -------------------------------------------------------

    def kill(self, node: str = "primary") -> int:
        """Kill every process of a node (SIGKILL), as a power cut would.

        Returns:
            how many processes there were.
        """
        with state.locked(self.folder):
            return self.server(node).kill()

    def kill_postgres(self, node: str = "primary") -> int:
        """Kill PostgreSQL of a node, which is all that a node has here."""
        return self.kill(node)

    def freeze(self, node: str = "primary") -> int:
        """Stop (SIGSTOP) every process of a node: its sockets stay, it is silent."""
        with state.locked(self.folder):
            return self.server(node).freeze()

    def thaw(self, node: str = "primary") -> int:
        """Resume a frozen node, also one that a promotion left behind."""
        with state.locked(self.folder):
            return self.server(node).thaw()

    def stop(self, node: str = "primary", *, immediate: bool = False) -> None:
        """Shut a node down cleanly, or at once without a checkpoint; waits for the end.

        After 30 s what still runs of it is killed. Nothing for one that is down; a
        frozen one is thawed first.
        """
        with state.locked(self.folder):
            self.server(node).stop(immediate=immediate)

    def start(self, node: str = "primary", *, stale: bool = False) -> None:
        """Start a node as what it was when it went down.

        Raises:
            LabError: a promotion left it behind; `stale` starts it nevertheless, which
                gives two primaries when it was one.
        """
        with state.locked(self.folder):
            lab = self.state
            name = lab.node(node).name
            if lab.role(name) == "detached" and not stale:
                raise LabError(
                    f"{name} was left behind when {lab.primary} was promoted: "
                    "rejoin it instead"
                )
            server_of(self.folder, lab, name).start()

    def promote(self, node: str | None = None, *, fence: bool = True) -> str:
        """Make a replica the primary; the other replicas follow it.

        Commits no longer wait for the old nodes until they have rejoined.

        Args:
            node: the replica; default: the running one that received the most.
            fence: shut a running old primary down first. Without it there are two
                primaries, which is what a split-brain drill wants. A frozen one stays
                as it is.

        Returns:
            the name of the new primary.
        """
        with state.locked(self.folder):
            return failover.promote(self.folder, node, fence=fence)

    def rejoin(self, node: str, *, progress: Progress = silent) -> Rejoined:
        """Bring a node back as a replica; commits wait for it again once it streams.

        What it wrote that the primary does not have is discarded (pg_rewind, or a
        fresh base backup where that does not work).
        """
        with state.locked(self.folder):
            return failover.rejoin(self.folder, node, progress)

    def reset(self, *, progress: Progress = silent) -> None:
        """Make the lab as new: same ports, same password, no data, `node1` leads."""
        from authkit.lab.starting import rebuild

        with state.locked(self.folder):
            rebuild(self.folder, progress)

    def down(self) -> None:
        """Stop every process of the lab and remove it; a damaged one as well."""
        from authkit.lab.ending import remove

        with state.locked(self.folder):
            remove(self.folder)
