"""The counts that one score is made of: gathered once, stored, replayed bit for bit.

A model never looks anything up. It judges evidence, whether that was gathered from
memory, read from the counters of a database, or kept beside an attempt since last year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from authkit.errors import InvalidInput
from authkit.risk.features import FACETS, Features, facets
from authkit.risk.history import History


class Count(NamedTuple):
    """What is known of one value: the user's count of it, and everybody's.

    `distinct` is how many values its facet has; `under` how many values of this level
    came with the same finest value (the address, the full browser string).
    """

    level: str
    seen: int
    everybody: int = 0
    distinct: int = 0
    under: int = 0


class Evidence(NamedTuple):
    """Counts of the known facets over `n` logins of the user and `total` of all."""

    n: int
    total: int
    users: int
    counts: tuple[Count, ...]

    def by_level(self) -> dict[str, Count]:
        """Return the counts by the name of their facet."""
        return {count.level: count for count in self.counts}


_PARTS = 5


def gather(features: Features, history: History) -> Evidence:
    """Look up what a login's values have been seen as; pure."""
    finest = {"asn": features.ip, "country": features.ip}
    counts: list[Count] = []
    for facet, value in zip(FACETS, facets(features), strict=True):
        if value is None:
            continue
        first = finest.get(facet)
        if first is not None:
            under = history.under.get((facet, first), 0)
        else:
            # The browser string settles all coarser levels: one of each, once seen.
            agent = features.user_agent
            known = agent is not None and ("user_agent", agent) in history.everybody
            under = int(known)
        counts.append(
            Count(
                facet,
                history.seen(facet, value),
                history.everybody.get((facet, value), 0),
                history.distinct.get(facet, 0),
                under,
            )
        )
    return settled(history.n, history.total, history.users, counts)


def settled(n: int, total: int, users: int, counts: Sequence[Count]) -> Evidence:
    """Return evidence in which nobody has seen more than everybody.

    Counts over everybody are merged a little later than a user's own.
    """
    return Evidence(
        n,
        max(total, n),
        max(users, 1),
        tuple(
            count
            if count.everybody >= count.seen
            else count._replace(everybody=count.seen)
            for count in counts
        ),
    )


def stored(evidence: Evidence) -> dict[str, object]:
    """Return what `auth_attempts.risk_features` keeps of the evidence."""
    return {
        "n": evidence.n,
        "N": evidence.total,
        "U": evidence.users,
        "counts": [list(count) for count in evidence.counts],
    }


def restored(kept: Mapping[str, Any]) -> Evidence:
    """Read back what `stored` wrote.

    Raises:
        InvalidInput: it is not evidence of a score.
    """
    try:
        counts = tuple(
            Count(str(row[0]), *(int(part) for part in row[1:_PARTS]))
            for row in cast("list[list[Any]]", kept["counts"])
        )
        return Evidence(int(kept["n"]), int(kept["N"]), int(kept["U"]), counts)
    except (KeyError, TypeError, ValueError, IndexError):
        raise InvalidInput("the attempt keeps no evidence of its score") from None
