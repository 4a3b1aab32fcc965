"""How a kit shows itself in a notebook: versions, which nodes there are, their lag."""

from __future__ import annotations

from html import escape

import authkit
from authkit.cluster import ClusterStatus


def page_of(status: ClusterStatus) -> str:
    """Return HTML that names every node, its role and its lag, and no secret."""
    served = sorted({_release(node.version) for node in status.nodes if node.version})
    said = f"<b>authkit {escape(authkit.__version__)}</b>"
    if served:
        said += f" on PostgreSQL {', '.join(served)}"
    if status.closed:
        said += ": closed"
    return f"<p>{said}</p>{status._repr_html_()}"  # pyright: ignore[reportPrivateUsage] # Jupyter's protocol


def _release(version: int) -> str:
    return f"{version // 10_000}.{version % 10_000}"
