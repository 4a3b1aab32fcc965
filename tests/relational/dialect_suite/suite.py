"""SQLAlchemy's own suite for dialects; `plugin` says over which engines it runs."""

from __future__ import annotations

from sqlalchemy.testing.suite import *  # noqa: F403 # this is how a suite is taken over
