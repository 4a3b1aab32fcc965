"""What a signal means to a command that has something to tidy up."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from authkit.cli.ending import tidy_when_told

TELLING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What this process does at each signal is as it was, afterwards."""
    before = [(number, signal.getsignal(number)) for number in TELLING]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", TELLING)
def test_whatever_asks_it_to_end_is_as_ctrl_c(number: signal.Signals):
    tidy_when_told()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_tidying_is_not_broken_off_by_being_told_again():
    tidy_when_told()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGHUP)


def test_what_nohup_started_outlives_its_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    tidy_when_told()
    signal.raise_signal(signal.SIGHUP)


def test_ctrl_c_is_heard_where_a_shell_started_it_in_the_background():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tidy_when_told()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
