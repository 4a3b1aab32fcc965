"""What a lab looks like now: each node's condition, role and position, in words too."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString

from authkit.errors import LabError
from authkit.lab import processes, state
from authkit.lab.replication import confirmers
from authkit.lab.server import Server, server_of
from authkit.lab.state import LabState


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node as it was found.

    `role` is its place in the lab (primary, replica, or detached: it must rejoin);
    `leads` says whether the server itself accepts writes: None when it does not
    answer. `position` is what it wrote or replayed, `lag_bytes` what it has yet to.
    """

    name: str
    role: str
    condition: str
    port: int
    leads: bool | None = None
    timeline: int | None = None
    position: str | None = None
    streaming: bool = False
    lag_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LabStatus:
    """One lab as it was found; `findings` are sentences, empty when all is well.

    `condition`: up, starting, half-made (its start was cut off), left behind (its
    program ended without it) or damaged.
    """

    name: str
    condition: str
    postgres: str | None = None
    created: str | None = None
    synchronous: bool = False
    degraded: bool = False
    nodes: tuple[NodeStatus, ...] = ()
    findings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Show the lab as a table in a notebook."""
        heads = ("node", "role", "condition", "port", "timeline", "position", "lag")
        rows = [
            (n.name, n.role, n.condition, n.port, n.timeline, n.position, n.lag_bytes)
            for n in self.nodes
        ]
        cells = "".join(
            f"<tr>{''.join(f'<td>{_shown(value)}</td>' for value in row)}</tr>"
            for row in rows
        )
        findings = "".join(f"<li>{html.escape(text)}</li>" for text in self.findings)
        return (
            f"<p><b>lab {html.escape(self.name)}</b>: {self.condition}, "
            f"PostgreSQL {_shown(self.postgres)}</p><table><thead><tr>"
            f"{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>"
            f"<tbody>{cells}</tbody></table><ul>{findings}</ul>"
        )


def look(folder: Path) -> LabStatus:
    """Look at a lab and all its nodes; never waits for a frozen or dead one.

    Raises:
        LabError: there is no such lab.
    """
    if not folder.exists():
        raise LabError(f"there is no lab {folder.name}")
    busy = state.busy(folder)
    try:
        lab = state.load(folder)
    except LabError as exc:
        return LabStatus(folder.name, "damaged", findings=(_remove(folder, str(exc)),))
    if lab is None:
        return _half_made(folder, busy=busy)
    nodes = _nodes(folder, lab)
    condition, findings = "up", _findings(lab, nodes)
    if lab.owner is not None and not processes.alive(lab.owner):
        condition = "left behind"
        findings = (_remove(folder, "the program that ran it has ended"),)
    elif not lab.ready and not busy:
        condition = "half-made"
        findings = (_remove(folder, "its start was cut off"),)
    elif not lab.ready:
        condition, findings = "starting", ()
    return LabStatus(
        name=lab.name,
        condition=condition,
        postgres=lab.version,
        created=lab.created,
        synchronous=lab.synchronous,
        degraded=lab.degraded,
        nodes=nodes,
        findings=findings,
    )


def _half_made(folder: Path, *, busy: bool) -> LabStatus:
    if busy:
        return LabStatus(folder.name, "starting")
    return LabStatus(
        folder.name,
        "half-made",
        findings=(_remove(folder, "its start was cut off"),),
    )


def _remove(folder: Path, why: str) -> str:
    return f"{why}: `authkit lab down {folder.name}` removes it"


def _nodes(folder: Path, lab: LabState) -> tuple[NodeStatus, ...]:
    found = [_node(server_of(folder, lab, n.name), lab.role(n.name)) for n in lab.nodes]
    head = next((at for status, at in found if status.role == "primary"), None)
    return tuple(
        replace(status, lag_bytes=max(0, head - at))
        if status.role == "replica" and at is not None and head is not None
        else status
        for status, at in found
    )


def _node(server: Server, role: str) -> tuple[NodeStatus, int | None]:
    condition = server.condition()
    status = NodeStatus(server.name, role, condition, server.port)
    if condition != "running":
        return status, None
    try:
        rows = server.query(_LOOK)
    except LabError:  # it starts, or fell just now: its condition says so
        return replace(status, condition="not answering"), None
    leads, timeline, position, position_bytes, streaming = rows[0]
    status = replace(
        status, leads=leads, timeline=timeline, position=position, streaming=streaming
    )
    return status, None if position_bytes is None else int(position_bytes)


def _findings(lab: LabState, nodes: tuple[NodeStatus, ...]) -> tuple[str, ...]:
    findings: list[str] = []
    led = any(n.role == "primary" and n.condition == "running" for n in nodes)
    for node in nodes:
        rejoin = f"`authkit lab rejoin {node.name}` makes it a replica"
        if node.role == "primary" and node.condition == "frozen":
            findings.append(
                f"the primary {node.name} is frozen: `authkit lab thaw` resumes it, "
                "`authkit lab promote` makes a replica the primary"
            )
        elif node.role == "primary" and node.condition != "running":
            findings.append(
                f"the primary {node.name} is {node.condition}: `authkit lab start` "
                "starts it, `authkit lab promote` makes a replica the primary"
            )
        elif node.role == "detached" and node.leads:
            findings.append(
                f"{node.name} still accepts writes on the old timeline "
                f"{node.timeline}: {rejoin}"
            )
        elif node.role == "detached":
            findings.append(
                f"{node.name} is {node.condition} since {lab.primary} was promoted: "
                f"{rejoin}"
            )
        elif (
            node.role == "replica"
            and not node.streaming
            and (led or node.condition != "running")
        ):
            findings.append(
                f"the replica {node.name} is {node.condition} and does not stream: "
                f"`authkit lab rejoin {node.name}` brings it back"
            )
    findings.extend(_about_commits(lab, nodes) if led else ())
    if lab.watcher is not None and not processes.alive(lab.watcher):
        findings.append("the lab's watcher has ended: nothing looks after the lab now")
    return tuple(findings)


def _about_commits(lab: LabState, nodes: tuple[NodeStatus, ...]) -> tuple[str, ...]:
    streaming = any(n.role == "replica" and n.streaming for n in nodes)
    if lab.degraded:
        return ("commits wait for no replica: none streamed for too long",)
    if confirmers(lab) and not streaming:
        return ("commits wait: no replica is there to confirm them",)
    if lab.synchronous and not confirmers(lab):
        return ("commits wait for no replica until one has rejoined",)
    return ()


def _shown(value: object) -> str:
    return "-" if value is None else html.escape(str(value))


# On a primary the WAL file's name tells the timeline: the control file still holds the
# old one for seconds after a promotion.
_LOOK: LiteralString = """\
SELECT NOT pg_is_in_recovery() AS leads,
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT received_tli FROM pg_stat_wal_receiver)
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))
                 ::bit(32)::int
       END AS timeline,
       at::text AS position,
       at - '0/0'::pg_lsn AS position_bytes,
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streaming
FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                  ELSE pg_current_wal_insert_lsn() END) AS here (at)
"""
