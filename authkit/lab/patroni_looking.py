"""What a Patroni lab looks like now: what its processes say, and what Patroni says."""

from __future__ import annotations

from authkit.errors import LabError
from authkit.lab.looking import LabStatus, NodeStatus
from authkit.lab.patroni import STORE, PatroniLab
from authkit.lab.patroni_status import Member
from authkit.lab.processes import alive


def look(lab: PatroniLab) -> LabStatus:
    """Look at every node and at the store; never waits for one that does not answer."""
    known = lab.state
    try:
        said = {member.name: member for member in lab.members()}
    except LabError:
        said = {}
    nodes = tuple(_node(lab, name, said.get(name)) for name in lab.nodes)
    store = NodeStatus(STORE, "store", lab.condition_of(STORE), known.store)
    if not alive(known.owner):
        why = "the program that ran it has ended"
        remedy = f"{why}: `authkit lab down {lab.name}` removes it"
        condition, findings = "left behind", (remedy,)
    elif not known.ready:
        condition, findings = "starting", ()
    else:
        condition, findings = "up", _findings(lab, (*nodes, store))
    return LabStatus(
        name=lab.name,
        condition=condition,
        postgres=known.version,
        created=known.created,
        synchronous=True,
        nodes=(*nodes, store),
        findings=findings,
    )


def _node(lab: PatroniLab, name: str, said: Member | None) -> NodeStatus:
    condition = lab.condition_of(name)
    # Of a node that does not run, Patroni repeats what it last knew.
    seen = said if condition == "running" else None
    return NodeStatus(
        name,
        "-" if seen is None else "primary" if seen.leads else seen.role,
        condition if seen is None else seen.state,
        lab.state.nodes[name].postgres,
        leads=None if seen is None else seen.leads,
        timeline=None if seen is None else seen.timeline,
        streaming=seen is not None and seen.streams,
        lag_bytes=None if seen is None else seen.lag_bytes,
    )


def _findings(lab: PatroniLab, nodes: tuple[NodeStatus, ...]) -> tuple[str, ...]:
    findings: list[str] = []
    suffix = "" if lab.name == "default" else f" --name {lab.name}"
    for node in nodes:
        what = (
            "Patroni reaches no store, demotes the leader and elects none"
            if node.role == "store"
            else "it neither leads nor follows"
        )
        if node.condition == "frozen":
            remedy = f"`authkit lab thaw {node.name}{suffix}` resumes it"
            findings.append(f"{node.name} is frozen: {what}; {remedy}")
        elif node.condition in {"down", "without Patroni"}:
            remedy = f"`authkit lab start {node.name}{suffix}` starts it"
            findings.append(f"{node.name} is {node.condition}: {what}; {remedy}")
    if not any(node.leads for node in nodes):
        findings.append("no node leads: nobody accepts writes until one does")
    elif not lab.electable():
        findings.append(
            "no synchronous standby is electable: the loss of the leader would be the"
            " loss of the service"
        )
    return tuple(findings)
