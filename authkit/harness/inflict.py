"""Inflicts the faults of a load run, on a lab or through SQL alone.

Runs in the attendant's process, which has real threads; each function tells what it
did at the moment it did it, and undoes what it did when it is told to heal.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from authkit.errors import LabError
from authkit.harness.faults import Fault
from authkit.harness.phases import What
from authkit.settings import plain_url

if TYPE_CHECKING:
    from psycopg import Connection

    from authkit.lab import Lab

_IN_RECOVERY: Final = "SELECT pg_is_in_recovery()"
_DROP: Final = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type = 'client backend' AND application_name <> 'authkit-sampler'
"""
_LEFT: Final = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s::int4[])"
_LOOK_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Site:
    """Where faults strike.

    `urls` has the URL of each node by the name it has in the report; `tell` takes what
    happened and to which node; `healing` is set when everything must end at once.
    """

    urls: Mapping[str, str]
    lab: Lab | None
    tell: Callable[[What, str], None]
    healing: Event

    def named(self, node: str) -> str:
        """Return the report's name of one of the lab's nodes."""
        from authkit.harness.database import node_name

        assert self.lab is not None  # noqa: S101 # faults of processes have one
        return node_name(self.lab.url(node))


def inflict(site: Site, fault: Fault) -> None:
    """Inflict one fault and undo it after its time.

    Raises:
        LabError: it could not be done.
        psycopg.Error: the server refused it.
    """
    _WAYS[fault.kind](site, fault)


def _lab(site: Site) -> Lab:
    if site.lab is None:
        raise LabError("the database is no embedded cluster")
    return site.lab


def _kill(site: Site, fault: Fault) -> None:
    lab = _lab(site)
    old = lab.primary
    site.tell("killed", site.named(old))
    lab.kill(old)
    if not lab.replicas:
        lab.start(old)
        site.tell("restarted", site.named(old))
        return
    new = lab.promote()
    site.tell("promoted", site.named(new))
    site.healing.wait(fault.for_s)
    site.tell("rejoining", site.named(old))
    lab.rejoin(old)
    site.tell("rejoined", site.named(old))


def _restart(site: Site, _: Fault) -> None:
    lab = _lab(site)
    node = lab.primary
    site.tell("stopped", site.named(node))
    lab.stop(node)
    lab.start(node)
    site.tell("restarted", site.named(node))


def _freeze(site: Site, fault: Fault) -> None:
    lab = _lab(site)
    node = lab.primary
    site.tell("frozen", site.named(node))
    lab.freeze(node)
    try:
        site.healing.wait(fault.for_s)
    finally:
        lab.thaw(node)
        site.tell("thawed", site.named(node))


def _pause(site: Site, fault: Fault) -> None:
    with _replicas(site) as replicas:
        for name, connection in replicas:
            connection.execute("SELECT pg_wal_replay_pause()")
            site.tell("paused", name)
        try:
            site.healing.wait(fault.for_s)
        finally:
            for name, connection in replicas:
                connection.execute("SELECT pg_wal_replay_resume()")
                site.tell("resumed", name)


def _delay(site: Site, fault: Fault) -> None:
    from psycopg import sql

    setting = sql.SQL("ALTER SYSTEM SET recovery_min_apply_delay = {}").format(
        sql.Literal(f"{round(fault.lag_s * 1000)}ms")
    )
    with _replicas(site) as replicas:
        for name, connection in replicas:
            connection.execute(setting)
            connection.execute("SELECT pg_reload_conf()")
            site.tell("delayed", name)
        try:
            site.healing.wait(fault.for_s)
        finally:
            for name, connection in replicas:
                connection.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
                connection.execute("SELECT pg_reload_conf()")
                site.tell("lifted", name)


def _lock(site: Site, fault: Fault) -> None:
    from psycopg import sql

    table = sql.Identifier("authkit", fault.table)
    with primary(site.urls) as (name, connection):
        connection.execute("BEGIN")
        connection.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table)
        )
        site.tell("locked", name)
        site.healing.wait(fault.for_s)
        connection.execute("ROLLBACK")
        site.tell("unlocked", name)


def _drop(site: Site, _: Fault) -> None:
    with primary(site.urls) as (name, connection):
        site.tell("dropping", name)
        ended = [pid for pid, _ in connection.execute(_DROP)]
        # Until it sees the signal a backend goes on to answer.
        while connection.execute(_LEFT, [ended]).fetchall():
            if site.healing.wait(_LOOK_S):
                break
        site.tell("dropped", name)


_WAYS: Final[Mapping[str, Callable[[Site, Fault], None]]] = {
    "kill-primary": _kill,
    "restart-primary": _restart,
    "freeze-primary": _freeze,
    "pause-replica": _pause,
    "lag": _delay,
    "lock-table": _lock,
    "drop-connections": _drop,
}


@contextmanager
def primary(urls: Mapping[str, str]) -> Generator[tuple[str, Connection[Any]]]:
    """Connect to the one node that is the primary; yields its name as well.

    Raises:
        LabError: none says so, or more than one.
    """
    with _reached(urls) as nodes:
        primaries = [node for node in nodes if not _in_recovery(node[1])]
        if len(primaries) != 1:
            raise LabError(f"{len(primaries)} nodes say that they are the primary")
        yield primaries[0]


@contextmanager
def _replicas(site: Site) -> Generator[Sequence[tuple[str, Connection[Any]]]]:
    with _reached(site.urls) as nodes:
        replicas = [node for node in nodes if _in_recovery(node[1])]
        if not replicas:
            raise LabError("there is no replica")
        yield replicas


def _in_recovery(connection: Connection[Any]) -> bool:
    return connection.execute(_IN_RECOVERY).fetchall() == [(True,)]


@contextmanager
def _reached(
    urls: Mapping[str, str],
) -> Generator[list[tuple[str, Connection[Any]]]]:
    """Connect to every node that answers, in autocommit."""
    from contextlib import ExitStack

    from psycopg import OperationalError, connect

    with ExitStack() as stack:
        found: list[tuple[str, Connection[Any]]] = []
        for name, url in urls.items():
            try:
                connection = connect(
                    plain_url(url),
                    autocommit=True,
                    connect_timeout=3,
                    application_name="authkit-sampler",
                )
            except OperationalError:
                continue  # it is down: not the node that is looked for
            found.append((name, stack.enter_context(connection)))
        yield found
