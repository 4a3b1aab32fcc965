"""Risk of a login: features, models, scores that can be explained and repeated.

Pure functions over what was observed and what was counted before. A score says which
model, version and parameters made it, and what each level added.
"""

from authkit.risk.evidence import Count, Evidence
from authkit.risk.features import LEVELS, Features, Login, features
from authkit.risk.history import HORIZON, Histories, History
from authkit.risk.models import DEFAULT, MODELS, Freeman2016, Hdir, Mismatch, model
from authkit.risk.past_only import PastOnly
from authkit.risk.scoring import Model, Score, Term

__all__ = [
    "DEFAULT",
    "HORIZON",
    "LEVELS",
    "MODELS",
    "Count",
    "Evidence",
    "Features",
    "Freeman2016",
    "Hdir",
    "Histories",
    "History",
    "Login",
    "Mismatch",
    "Model",
    "PastOnly",
    "Score",
    "Term",
    "features",
    "model",
    "score",
]


def score(attempt: Login, history: History, *, by: str = DEFAULT) -> Score:
    """Score one observed login against a past, with the model of a name; pure.

    What `kit.risk.score` answers from the database's counts, from a history in memory.

    Args:
        attempt: what was seen of it, and when.
        history: of that user, as of that time (`Histories.of`).
        by: a model's name, one of `authkit.risk.models`.

    Returns:
        The score; its value is None without a history: *unscored* is not a low risk.

    Raises:
        InvalidInput: there is no such model.
    """
    return model(by).score(attempt.features, history)
