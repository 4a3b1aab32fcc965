from __future__ import annotations

from pathlib import Path

import pytest

from authkit.lab import cluster, programs
from authkit.lab.account import choose
from authkit.lab.programs import Programs

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def test_the_wheels_server_is_found_first_and_tells_what_it_can(
    roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTHKIT_PG_BINDIR", raising=False)
    found = programs.find(None, choose(), roomy / "programs")
    can = found.capabilities()
    assert (found.origin, found.major) == ("wheel", 18)
    assert can.version >= (18, 4)
    assert can.incremental_safe is (can.version >= (18, 5))
    assert can.tls is False
    assert "pg_stat_statements" in can.extensions
    assert "pgcrypto" not in can.extensions


@pytest.mark.parametrize(
    ("version", "safe"),
    [((17, 10), False), ((17, 11), True), ((18, 4), False), ((18, 5), True),
     ((16, 99), False), ((19, 0), True)],
)  # fmt: skip
def test_incremental_backups_are_trusted_from_the_fixed_releases_on(
    version: tuple[int, int], safe: bool
) -> None:
    found = Programs.recorded("/nowhere", f"{version[0]}.{version[1]}")
    assert programs.incremental_is_safe(found.version) is safe


@pytest.mark.skipif(
    INSTALLED == [], reason="no PostgreSQL is installed beside the wheel"
)
def test_an_installed_server_runs_the_same_cluster(roomy: Path) -> None:
    bindir = INSTALLED[0].parent
    with cluster(root=roomy, bindir=bindir, config={"fsync": "off"}) as lab:
        assert lab.state.bindir == str(bindir)
        lab.sql("CREATE TABLE kept (n int)")
        lab.kill()
        lab.promote()
        lab.sql("INSERT INTO kept VALUES (1)")
        assert lab.rejoin("node1").how == "pg_rewind"
        lab.wait_replayed()
        assert lab.sql("SELECT n FROM kept", node="node1") == [(1,)]
        assert lab.status().findings == ()
        assert lab.server().programs.capabilities().extensions
