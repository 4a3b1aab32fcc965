"""Where to write now, for work that opens a connection of its own and ends soon.

`DATABASE_URL` and `DATABASE_REPLICA_URLS` name candidates; after a failover the first
of them may be a replica. Judged as a cluster judges it, by one question to each node.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic

from authkit.cluster._sync.probe import Hung, Probe, Refused
from authkit.cluster.credentials import login_urls, password_of
from authkit.cluster.epochs import Epoch, epoch_file
from authkit.cluster.target import Target, targets
from authkit.cluster.topology import Topology, Verdict, lose, observe
from authkit.cluster.views import Health, Loss, Observation
from authkit.errors import NoPrimary, SplitBrain
from authkit.settings import Settings

LIMIT_S = 2.0
# A database that is still to be made is no reason not to know who leads.
ALWAYS_THERE = "postgres"


def writer_url(settings: Settings) -> str:
    """Return how to connect to the primary; a secret.

    The only node that is named, or the first one where none of them answers: whoever
    connects is told what is wrong with it.

    Raises:
        ConfigError: no database is named, or a URL is malformed.
        Unavailable: the password command failed.
        NoPrimary: nodes answer, and none of them leads.
        SplitBrain: two nodes claim to be the primary.
    """
    urls = login_urls(settings)
    nodes = targets(
        (url.get_secret_value() for url in settings.urls),
        password=password_of(settings),
    )
    if len(nodes) == 1:
        return urls[0]
    kept = epoch_file(settings)
    known = Epoch() if kept is None else kept.load()
    picture = judge(nodes, known)
    if picture.verdict is Verdict.SPLIT_BRAIN:
        raise SplitBrain(picture.why_not_writable())
    if picture.primary is None:
        if any(node.health is Health.UP for node in picture.nodes):
            raise NoPrimary(picture.why_not_writable())
        return urls[0]
    leads = next(node for node in nodes if node.name == picture.primary.name)
    return leads.conninfo(leads.ask_password())


def judge(nodes: Sequence[Target], known: Epoch) -> Topology:
    """Ask every node once, at the same time; return the picture."""
    picture = Topology.of(
        ((node.name, node.zone) for node in nodes),
        epoch=known.timeline,
        system_id=known.system_id,
    )
    with ThreadPoolExecutor(len(nodes), thread_name_prefix="authkit-locate") as threads:
        for answer in threads.map(_ask, nodes):
            if isinstance(answer, Observation):
                picture = observe(picture, answer)
            else:
                picture = lose(picture, answer)
    return picture


def _ask(node: Target) -> Observation | Loss:
    elsewhere = replace(node, parameters={**node.parameters, "dbname": ALWAYS_THERE})
    reason = ""
    for target in (node, elsewhere):
        probe = Probe(target)
        try:
            return probe.ask(LIMIT_S)
        except Hung:
            return Loss(node.name, monotonic(), "it does not answer")
        except Refused as exc:
            reason = reason or str(exc)
        finally:
            probe.close()
    return Loss(node.name, monotonic(), reason)
