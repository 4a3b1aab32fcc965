"""Is the service healthy: each node asked once, and what its answer means."""

from __future__ import annotations

from authkit.ops.health.asking import ask_all, health_of, look
from authkit.ops.health.judging import judge
from authkit.ops.health.values import Answer, Condition, Health, Readiness

__all__ = [
    "Answer",
    "Condition",
    "Health",
    "Readiness",
    "ask_all",
    "health_of",
    "judge",
    "look",
]
