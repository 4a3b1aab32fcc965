"""How a kit shows itself in a notebook: which nodes there are, and what each is."""

from __future__ import annotations

from html import escape

import authkit
from authkit.cluster import ClusterStatus


def page_of(status: ClusterStatus) -> str:
    """Return HTML that names every node, its role and its lag, and no secret."""
    head = "".join(
        f"<th>{title}</th>" for title in ("node", "role", "health", "lag", "in use")
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(cell)}</td>"
            for cell in (
                node.name,
                node.role.value,
                node.reason or node.health.value,
                "" if node.lag_s is None else f"{node.lag_s:.1f} s at most",
                f"{node.in_use} of {node.pool_max}",
            )
        )
        + "</tr>"
        for node in status.nodes
    )
    verdict = "closed" if status.closed else status.verdict.value
    return (
        f"<p><b>authkit {escape(authkit.__version__)}</b>: {escape(verdict)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
