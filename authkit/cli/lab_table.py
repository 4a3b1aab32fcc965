"""A lab as a table on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.lab import LabStatus


def show_lab(found: LabStatus) -> None:
    """Print the nodes of a lab, and what is wrong with them."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"lab {found.name}: {found.condition}"
    if found.postgres:
        title += f", PostgreSQL {found.postgres}"
    table = Table(title=title, title_justify="left")
    for heading in ("node", "role", "condition", "port", "timeline", "position", "lag"):
        table.add_column(heading)
    for node in found.nodes:
        lag = None if node.lag_bytes is None else f"{node.lag_bytes} bytes"
        cells = (
            node.name, node.role, node.condition, node.port, node.timeline,
            node.position, lag,
        )  # fmt: skip
        table.add_row(*("-" if cell is None else str(cell) for cell in cells))
    console.print(table)
    for finding in found.findings:
        console.print(f"- {finding}", markup=False, soft_wrap=True)
