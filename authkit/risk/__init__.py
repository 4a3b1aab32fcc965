"""Risk of a login: features, models, scores that can be explained and repeated.

Pure functions over what was observed and what was counted before. A score says which
model, version and parameters made it, and what each level added.
"""

from authkit.risk.features import LEVELS, Features, Login, features
from authkit.risk.history import HORIZON, Histories, History
from authkit.risk.models import DEFAULT, MODELS, Mismatch, model
from authkit.risk.past_only import PastOnly
from authkit.risk.scoring import Model, Score, Term

__all__ = [
    "DEFAULT",
    "HORIZON",
    "LEVELS",
    "MODELS",
    "Features",
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
    """Score one observed login against a past, with the model of a name; pure."""
    return model(by).score(attempt.features, history)
