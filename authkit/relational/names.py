"""Names of roles and permissions: the shapes that the schema holds, checked here first.

A permission is `resource:action`; the action `*` stands for every action on it.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from authkit.errors import InvalidInput

_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,62}", re.ASCII)
EVERY_ACTION = "*"


def role_name(name: str) -> str:
    """Return a role's name.

    Raises:
        InvalidInput: it is not one lower-case word of up to 63 characters.
    """
    if _WORD.fullmatch(name) is None:
        raise InvalidInput("the role's name is not one lower-case word")
    return name


class PermissionName(NamedTuple):
    """A permission's two parts; `str()` joins them again."""

    resource: str
    action: str

    def __str__(self) -> str:
        return f"{self.resource}:{self.action}"

    @classmethod
    def parse(cls, name: str, *, wildcard: bool = False) -> Self:
        """Read `resource:action`.

        Args:
            name: the text.
            wildcard: whether the action may be `*`. It may be held, but nobody asks
                for it: a check is about one action.

        Raises:
            InvalidInput: it is not two lower-case words joined by a colon.
        """
        resource, colon, action = name.partition(":")
        known = _WORD.fullmatch(action) or (wildcard and action == EVERY_ACTION)
        if not (colon and _WORD.fullmatch(resource) and known):
            raise InvalidInput("the permission is not resource:action, like user:read")
        return cls(resource, action)
