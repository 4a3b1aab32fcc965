"""Pictures: each takes a frame, aggregates it first, and returns a `Picture`.

None has more than 5,000 marks, whatever the size of the frame.
"""

from authkit.analysis.plots.benchmarks import measured_over_time
from authkit.analysis.plots.chain import audit_chain
from authkit.analysis.plots.curves import score_curves
from authkit.analysis.plots.failover import calls_over_time, nodes_over_time
from authkit.analysis.plots.families import session_families
from authkit.analysis.plots.people import user_timeline
from authkit.analysis.plots.risk import explanation, risk_distribution
from authkit.analysis.plots.spray import spray_matrix
from authkit.analysis.plots.time import attempts_over_time, weekday_hours
from authkit.analysis.plots.trail import audit_timeline
from authkit.analysis.plots.travel import travel_matrix

__all__ = [
    "attempts_over_time",
    "audit_chain",
    "audit_timeline",
    "calls_over_time",
    "explanation",
    "measured_over_time",
    "nodes_over_time",
    "risk_distribution",
    "score_curves",
    "session_families",
    "spray_matrix",
    "travel_matrix",
    "user_timeline",
    "weekday_hours",
]
