"""One PostgreSQL server of a lab: its files, its start and its end.

The configuration lives beside the data folder and is named on the command line:
pg_rewind and pg_basebackup copy what is inside the data folder, so topology written
there would come back from another node.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from authkit.errors import LabError
from authkit.lab import configuration, memory, processes, server_log
from authkit.lab.account import Account, by_name
from authkit.lab.configuration import SUPERUSER
from authkit.lab.endpoint import Endpoint
from authkit.lab.places import HOST
from authkit.lab.programs import Programs
from authkit.lab.state import LabState


@dataclass(frozen=True, slots=True)
class Server(Endpoint):
    """Where one node lives and how it is run; holds no state of its own."""

    cluster_name: str
    folder: Path
    sockets: Path
    programs: Programs
    account: Account
    config: tuple[tuple[str, str], ...] = ()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / "server.log"

    # --- files ------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the node's folder, its log and its password file."""
        self.folder.mkdir(mode=0o711 if self.account.switch else 0o700)
        self.write("pgpass", f"*:*:*:{SUPERUSER}:{self.password}\n")
        self.write("pg_hba.conf", configuration.HBA)
        self.write("pg_ident.conf", "")
        self.write("server.log", "")
        home = self.folder / "home"
        home.mkdir()
        self.account.own(home, 0o700)

    def write(self, name: str, text: str) -> None:
        """Replace a file of the node at once; only the server's account reads it."""
        handle, staged = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        self.account.own(Path(staged), 0o600)
        Path(staged).replace(self.folder / name)

    def configure(
        self,
        *,
        upstream: Server | None,
        synchronous: str = "",
        durable: bool = True,
    ) -> None:
        """Write the configuration: whom the node follows, who confirms its commits.

        Args:
            upstream: the node to follow; None: this one leads, or will.
            synchronous: the value of `synchronous_standby_names`.
            durable: false while a node is made, when nothing is worth an fsync yet.
        """
        settings = {
            **configuration.SETTINGS,
            "fsync": "on" if durable else "off",
            "data_directory": str(self.data),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
            "cluster_name": self.cluster_name,
            # What destroys data asks for this: a lab's data may go.
            "authkit.lab": self.cluster_name,
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": configuration.list_item(str(self.sockets)),
            "synchronous_standby_names": synchronous,
            **dict(self.config),
        }
        if upstream is not None:
            settings["primary_conninfo"] = self.conninfo_to(upstream)
            settings["primary_slot_name"] = self.name
        self.write("postgresql.conf", configuration.render(settings))

    def conninfo_to(self, upstream: Server, dbname: str = "") -> str:
        """Return the connection string this server's account reaches another with."""
        return make_conninfo(
            host=HOST,
            port=upstream.port,
            user=SUPERUSER,
            passfile=str(self.folder / "pgpass"),
            application_name=self.name,
            connect_timeout=2,
            **({"dbname": dbname} if dbname else {}),
        )

    def mark_standby(self) -> None:
        """Make `standby.signal`: the next start is a replica's."""
        # No link is followed: the folder belongs to an account that is not the caller.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.data / "standby.signal", flags, 0o600)
        try:
            if self.account.switch:
                os.fchown(handle, self.account.uid, self.account.gid)
        finally:
            os.close(handle)

    # --- programs -----------------------------------------------------------------

    def run(self, program: str, arguments: Sequence[str | Path]) -> str:
        """Run one of PostgreSQL's programs on this node as its account.

        Raises:
            LabError: it failed; the message ends with its complaint.
        """
        command = [self.programs.path(program), *arguments]
        passfile = {"PGPASSFILE": str(self.folder / "pgpass")}
        with self.account.spawn(
            command, home=self.folder / "home", environment=passfile
        ) as process:
            output, _ = process.communicate()
        text = output.decode(errors="replace").strip()
        if process.returncode:
            lines = text.splitlines() or [f"exit code {process.returncode}"]
            telling = [x for x in lines if "FATAL" in x or "error:" in x] or lines[-1:]
            raise LabError(f"{program} of {self.name} failed: {telling[0]}")
        return text

    def initialise(self) -> None:
        """Make a new, empty cluster in the data folder."""
        self._empty_data()
        self.write("superuser", self.password + "\n")
        options = configuration.initdb_arguments(self.programs.major)
        password = f"--pwfile={self.folder / 'superuser'}"
        self.run("initdb", [*options, "-D", self.data, password])
        (self.folder / "superuser").unlink()

    def clone(self, upstream: Server) -> None:
        """Fill the data folder with a base backup of another node, ready to follow."""
        self._empty_data()
        self.run(
            "pg_basebackup",
            ["-D", self.data, "-d", self.conninfo_to(upstream), "-S", self.name,
             "--wal-method=stream", "--checkpoint=fast", "--no-sync",
             "--no-manifest"],
        )  # fmt: skip
        self.mark_standby()

    def _empty_data(self) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)
        self.data.mkdir()
        self.account.own(self.data, 0o700)

    # --- life ---------------------------------------------------------------------

    def processes(self) -> tuple[processes.Process, ...]:
        """Return every process of this server, postmaster first."""
        return processes.of_server(self.data, self.cluster_name)

    def condition(self) -> str:
        """Return `running`, `frozen` or `down`, from the process table."""
        first = self._postmaster() or next(iter(self.processes()), None)
        if first is None:
            return "down"
        return "frozen" if processes.stopped(first) else "running"

    def _postmaster(self) -> processes.Process | None:
        # A hundred times faster than the process table, and no proof of absence: the
        # file may be stale, or gone while orphans live.
        try:
            pid = (self.data / "postmaster.pid").read_text().partition("\n")[0]
            return processes.postmaster(int(pid), self.data)
        except (FileNotFoundError, ValueError):
            return None

    def launch(self) -> None:
        """Start the server without waiting; a stale pid file is no obstacle."""
        if self.processes():
            raise LabError(f"node {self.name} is already running")
        self.clear_locks()
        if not self.sockets.exists():  # in /tmp, and swept since
            self.sockets.mkdir(mode=0o700)
            self.account.own(self.sockets, 0o700)
        # From its fork on its arguments name the data folder.
        self.account.launch(
            [
                self.programs.path("postgres"), "-D", self.data,
                "-c", f"config_file={self.folder / 'postgresql.conf'}",
            ],
            home=self.folder / "home",
            log=self.log,
        )  # fmt: skip

    def clear_locks(self) -> None:
        """Remove the pid files of a server that does not run.

        PostgreSQL refuses to start when their pid exists: as another process that was
        given the number since, or as a zombie that no parent has reaped.
        """
        if self.processes():
            return
        memory.forget(self.data)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for suffix in ("", ".lock"):
            path = self.sockets / f".s.PGSQL.{self.port}{suffix}"
            path.unlink(missing_ok=True)

    def start(self, *, timeout_s: float = 30.0) -> None:
        """Start the server and wait until it accepts connections.

        On a slow disk recovery takes its time: whoever says so is waited for.

        Args:
            timeout_s: how long it may say nothing of how far it has come, seconds.

        Raises:
            LabError: it did not come up; the message holds the log's last complaint.
        """
        size = self.log.stat().st_size
        self.launch()
        steps = 0
        heard = last_seen = time.monotonic()
        while not self._accepts():
            now = time.monotonic()
            if self._postmaster() is not None or self.processes():
                last_seen = now
            if (
                now - heard > timeout_s
                and (said := server_log.steps(self.log, size)) > steps
            ):
                heard, steps = now, said
            # In the middle of its exec a process has no arguments to know it by.
            if now - last_seen > 1.5 or now - heard > timeout_s:
                complaint = server_log.complaint(self.log, size)
                self.kill()
                raise LabError(f"node {self.name} did not start: {complaint}")
            time.sleep(0.01)

    def _accepts(self) -> bool:
        # Line 8 of postmaster.pid; it says `ready` for a hot standby as well.
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"  # line 8

    def stop(self, *, immediate: bool = False, timeout_s: float = 30.0) -> None:
        """Shut the server down, cleanly or at once; what does not end is killed."""
        found = self.processes()
        if not found:
            return
        if self.condition() == "frozen":
            self.thaw()
        number = signal.SIGQUIT if immediate else signal.SIGINT
        if not processes.end(found[0], number, wait_s=timeout_s) or self.processes():
            self.kill()

    def kill(self) -> int:
        """Kill every process of the server as a power cut would; return how many.

        Like a power cut this leaves the data folder as it is and no shared memory.
        """
        count = processes.kill_all(self.data, self.cluster_name)
        memory.forget(self.data)
        return count

    def freeze(self) -> int:
        """Stop every process of the server: it keeps its sockets and says nothing."""
        return processes.freeze_all(self.data, self.cluster_name)

    def thaw(self) -> int:
        """Resume a frozen server."""
        return processes.thaw_all(self.data, self.cluster_name)

    def reload(self) -> None:
        """Make the server, if it runs, read its configuration again.

        By a signal: it needs no connection, which a frozen server would not give.
        """
        for process in self.processes()[:1]:
            processes.hang_up(process)


def server_of(folder: Path, lab: LabState, node: str) -> Server:
    """Return the server of a node (or role) of a lab."""
    chosen = lab.node(node)
    return Server(
        name=chosen.name,
        cluster_name=f"{lab.name}.{lab.token}.{chosen.name}",
        folder=folder / chosen.name,
        sockets=Path(lab.sockets),
        port=chosen.port,
        programs=Programs.recorded(lab.bindir, lab.version),
        account=by_name(lab.account),
        password=lab.password,
        config=lab.config,
    )
