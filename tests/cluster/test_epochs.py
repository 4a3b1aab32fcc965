"""What a client knew of timelines outlives it; a real failover, and bad files."""

from __future__ import annotations

import json

import pytest

from authkit.cluster import Verdict
from authkit.cluster.epochs import Epoch, EpochFile
from authkit.cluster.events import EpochNotKept, EpochRaised
from authkit.errors import ConfigError, NoPrimary


def test_a_restarted_client_that_only_reaches_the_old_primary_refuses_it(
    drive, hurt, victim, tmp_path
):
    """It may not reach the new one, nor have been there when it was promoted."""
    file = tmp_path / "state" / "epoch"
    settings = hurt.model_copy(update={"authkit_epoch_file": file})
    first = drive(settings).open()
    old, new = victim.primary, victim.replicas[0]
    victim.promote(new, fence=False)
    first.call("wait_for", primary=f"127.0.0.1:{victim.server(new).port}")
    epoch = first.cluster.topology.epoch
    first.close()
    assert json.loads(file.read_text())["timeline"] == epoch

    alone = settings.model_copy(
        update={
            "database_url": type(settings.urls[0])(victim.url(old)),
            "database_replica_urls": (),
        }
    )
    with pytest.raises(Exception, match=f"a primary of timeline {epoch - 1}, now"):
        drive(alone).open()
    forgetful = alone.model_copy(update={"authkit_epoch_file": None})
    assert drive(forgetful).open().cluster.status().verdict is Verdict.WRITABLE


def test_a_cluster_that_was_made_anew_is_refused_by_the_old_ones_file(
    drive, settings, tmp_path
):
    file = tmp_path / "epoch"
    EpochFile(file).keep(Epoch("1234", 7))
    with pytest.raises(Exception, match="another system"):
        drive(settings.model_copy(update={"authkit_epoch_file": file})).open()


def test_a_file_that_cannot_be_written_delays_nobody(drive, settings, tmp_path):
    file = tmp_path / "epoch"
    driver = drive(settings.model_copy(update={"authkit_epoch_file": file}))
    file.mkdir()
    driver.open()
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]
    assert driver.events(EpochRaised)
    assert "epoch" in driver.events(EpochNotKept)[0].reason


def test_only_a_later_timeline_of_one_system_replaces_what_is_kept(tmp_path):
    file = EpochFile(tmp_path / "epoch")
    assert file.load() == Epoch()
    for seen in (Epoch("a", 2), Epoch("a", 11), Epoch("a", 3)):
        file.keep(seen)
    assert file.load() == Epoch("a", 11)
    file.keep(Epoch("b", 1))
    assert file.load() == Epoch("b", 1)


@pytest.mark.parametrize("content", ["{", "[]", '{"timeline": 3}', '"x"', "\x00"])
def test_a_damaged_file_is_named_before_anything_is_opened(
    drive, settings, tmp_path, content
):
    file = tmp_path / "epoch"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"AUTHKIT_EPOCH_FILE .* damaged"):
        drive(settings.model_copy(update={"authkit_epoch_file": file}))


def test_the_rest_of_a_longer_line_does_no_harm(tmp_path):
    path = tmp_path / "epoch"
    path.write_text('{"system_id": "a", "timeline": 3}\nme": 12345}\n')
    assert EpochFile(path).load() == Epoch("a", 3)


def test_no_primary_is_what_writers_are_told_then(drive, hurt, victim, tmp_path):
    file = tmp_path / "epoch"
    system = victim.sql("SELECT system_identifier FROM pg_control_system()")[0][0]
    EpochFile(file).keep(Epoch(str(system), 10_000))
    driver = drive(hurt.model_copy(update={"authkit_epoch_file": file})).open()
    with pytest.raises(NoPrimary, match="10000"), driver.writer(timeout=0.2):
        pass
