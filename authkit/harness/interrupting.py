"""Ends a load run in an orderly way, and in any case within a bound.

Python raises KeyboardInterrupt in whatever code runs at that moment. Under gevent that
is any greenlet: one that holds a lock loses it for good, the one that spawns users ends
by locust's own hand before it has stopped anything, and the process then waits for ever
with nothing to do. So the signal is taken by gevent and handed to the main greenlet,
which waits for nothing but that.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from typing import Any, Final

import gevent

# Users get 5 s to end, workers 20 s to hand over, a cluster 8 s to close; the rest is
# for a report on a machine that has other things to do.
LONGEST_END_S: Final = 150.0


class Interruption:
    """Takes Ctrl-C for the process: the first ends the run, the second the process.

    Args:
        ending: tells whether the run is ending already.
    """

    def __init__(self, ending: Callable[[], bool]) -> None:
        self._ending = ending
        self._taken = False

    def listen(self) -> None:
        """Begin to listen, unless the process was started to ignore the signal."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            gevent.signal_handler(signal.SIGINT, self._interrupted)

    def _interrupted(self) -> None:
        if self._taken or self._ending():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
            return
        self._taken = True
        hub: Any = gevent.get_hub()
        hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)


def bound_the_end(seconds: float = LONGEST_END_S) -> None:
    """End this process after that long, whatever it waits for, and say where it was.

    A thread of C code does it, which no greenlet and no lock of Python can hold up.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
