"""Chance of the cluster's own: whoever seeded `random` finds it undisturbed."""

from __future__ import annotations

from random import Random

_own = Random()  # noqa: S311 # spreads load; nothing is kept secret by it

fraction = _own.random
below = _own.randrange
