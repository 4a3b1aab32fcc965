"""`authkit db test`: is this database fit for the application, node by node?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from authkit.cluster.credentials import login_urls
from authkit.errors import AuthkitError, ConfigError
from authkit.figures import Figure, figure
from authkit.ops.connection import connect, named, transaction, where
from authkit.ops.findings import Finding, fault, faults
from authkit.ops.nodes import NodeFacts, judge_node, judge_topology, read_facts
from authkit.ops.status import database_status, judge
from authkit.ops.trial import Trial
from authkit.settings import Settings

_STATEMENT_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Everything that was found, in order, and what was measured."""

    findings: tuple[Finding, ...]
    figures: tuple[Figure, ...]
    postgres: str | None

    @property
    def passed(self) -> bool:
        """True when nothing must be mended."""
        return faults(self.findings) == 0


@dataclass(frozen=True, slots=True)
class _Node:
    url: str
    connection: psycopg.Connection
    facts: NodeFacts


def accept(settings: Settings) -> Acceptance:
    """Connect to every node, judge it, and take one row through its whole life.

    Raises:
        ConfigError: DATABASE_URL is not set.
    """
    urls = login_urls(settings)
    findings: list[Finding] = []
    nodes: list[_Node] = []
    trial: Trial | None = None
    with ExitStack() as stack:
        for url in urls:
            try:
                nodes.append(_reach(stack, url))
            except ConfigError as exc:
                findings.append(_unreachable(url, "; ".join(exc.problems)))
            except AuthkitError as exc:
                findings.append(_unreachable(url, str(exc)))
        for node in nodes:
            pool_max = (
                settings.database_replica_pool_max
                if node.facts.is_replica
                else settings.database_pool_max
            )
            findings.extend(judge_node(node.facts, pool_max=pool_max))
        findings.extend(judge_topology([node.facts for node in nodes]))
        primaries = [node for node in nodes if not node.facts.is_replica]
        if len(primaries) == 1:
            primary = primaries[0]
            ready = tuple(_schema(primary.url))
            findings.extend(ready)
            if not faults(ready):
                trial = Trial(primary.connection, primary.facts.where)
                replicas = {
                    node.facts.where: node.connection
                    for node in nodes
                    if node.facts.is_replica
                }
                findings.extend(trial.run(replicas))
    return Acceptance(
        tuple(findings),
        tuple(_figures(urls, nodes, findings, trial)),
        nodes[0].facts.version if nodes else None,
    )


def _reach(stack: ExitStack, url: str) -> _Node:
    connection = stack.enter_context(connect(url, statement_timeout=_STATEMENT_TIMEOUT))
    try:
        return _Node(url, connection, read_facts(connection, url))
    except psycopg.Error as exc:
        raise named(exc) from exc


def _unreachable(url: str, said: str) -> Finding:
    return fault(
        where(url),
        "unreachable",
        said,
        "check the URL, the network and the server; authkit lab up starts a lab",
    )


def _schema(url: str) -> Iterable[Finding]:
    try:
        with transaction(url) as connection:
            return judge(database_status(connection))
    except AuthkitError as exc:
        return (
            fault(
                where(url),
                "schema_unreadable",
                str(exc),
                "use a role that is a member of authkit_app",
            ),
        )


def _figures(
    urls: Sequence[str],
    nodes: list[_Node],
    findings: list[Finding],
    trial: Trial | None,
) -> Iterable[Figure]:
    yield figure("nodes_configured", len(urls))
    yield figure("nodes_answering", len(nodes), goal=("==", len(urls)))
    yield figure("faults", faults(findings), goal=("==", 0))
    for node in nodes:
        yield figure("answer_ms", round(node.facts.answer_ms, 3), "ms")
    if trial is not None:
        commit = trial.commit_ms
        yield figure("commit_ms", None if commit is None else round(commit, 3), "ms")
        for elapsed in trial.replica_ms.values():
            yield figure("replica_visible_ms", round(elapsed, 3), "ms")
