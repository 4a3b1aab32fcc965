"""Risk models on synthetic worlds, and on logins that were published.

The one room that joins `authkit.risk` and `authkit.workload`. How models are compared
is written down in `PROTOCOL.md`, before any run.
"""

from authkit.evaluation.collect import Case, collect
from authkit.evaluation.evaluate import Evaluation, evaluate
from authkit.evaluation.fit import fit

__all__ = ["Case", "Evaluation", "collect", "evaluate", "fit"]
