"""Whatever asks a command to end, what it started ends first and its copies go."""

from __future__ import annotations

import signal


def tidy_when_told() -> None:
    """Take SIGTERM and SIGHUP for Ctrl-C from now on: everything open is closed.

    The exit code is 130. Ctrl-C is heard in a shell's `&` as well, which ignores it; a
    SIGHUP that `nohup` ignores stays ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    # `timeout` sends it twice, a closed terminal several: the first one counts. They
    # are not ignored, which programs that are started meanwhile would inherit.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _go_on)
    raise KeyboardInterrupt


def _go_on(_number: int, _frame: object) -> None:
    pass
