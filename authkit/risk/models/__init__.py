"""The models by name. Adding one is adding it to `MODELS`."""

from authkit.errors import InvalidInput
from authkit.risk.models.freeman2016 import Freeman2016
from authkit.risk.models.hdir import Hdir
from authkit.risk.models.mismatch import Mismatch
from authkit.risk.scoring import Model

__all__ = ["DEFAULT", "MODELS", "Freeman2016", "Hdir", "Mismatch", "model"]

MODELS: dict[str, Model] = {
    made.name: made for made in (Mismatch(), Freeman2016(), Hdir())
}
# What won the evaluation of `authkit/evaluation/PROTOCOL.md`.
DEFAULT = "hdir"


def model(name: str = DEFAULT, version: str | None = None) -> Model:
    """Return a model by its name, and version where one is asked for.

    Raises:
        InvalidInput: there is none.
    """
    found = MODELS.get(name)
    if found is None:
        known = ", ".join(sorted(MODELS))
        raise InvalidInput(f"there is no risk model {name!r}; there is: {known}")
    if version is not None and version != found.version:
        raise InvalidInput(
            f"risk model {name!r} is of version {found.version} here, not {version}"
        )
    return found
