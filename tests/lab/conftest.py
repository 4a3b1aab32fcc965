from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authkit.lab import Lab, cluster
from authkit.lab.places import memory_root


@pytest.fixture(scope="session")
def roomy() -> Iterator[Path]:
    """A folder that any account can enter, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="authkit-test-", dir=memory_root()))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def _victim(roomy: Path) -> Iterator[Lab]:
    with cluster(replicas=1, root=roomy, config={"fsync": "off"}) as lab:
        lab.sql("CREATE TABLE kept (n int PRIMARY KEY)")
        yield lab


@pytest.fixture
def victim(_victim: Lab) -> Lab:
    """A primary and a replica to be hurt; made whole and emptied before each test."""
    lab = _victim
    if lab.server("primary").condition() == "frozen":
        lab.thaw()
    if lab.server("primary").condition() == "down":
        lab.start()
    for node in lab.nodes:
        if node != lab.primary:
            lab.rejoin(node)
    lab.sql("TRUNCATE kept")
    assert lab.status().findings == ()
    return lab
