"""Commands run as from an empty folder, with no database named."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def no_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` here, and no database in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "DATABASE_REPLICA_URLS"):
        monkeypatch.delenv(name, raising=False)
