"""How psycopg waits for a server in a greenlet: on libev itself, not on a patched poll.

gevent's `select.poll` makes an object, a list and a `Timeout` for each wait, which was
a fifth of what a point read cost the client. A wait here is one watcher, one timer and
one switch to the hub.
"""

from __future__ import annotations

import os
import select
from time import monotonic
from typing import Any, Final, TypeVar

import gevent
from gevent.monkey import get_original
from psycopg import OperationalError, waiting
from psycopg.abc import PQGen
from psycopg.errors import (
    _WaitTimeout as WaitTimeout,  # pyright: ignore[reportPrivateUsage] # what psycopg catches itself when it cancels
)
from psycopg.waiting import Ready, Wait

Value = TypeVar("Value")

# Plain numbers: what psycopg's generators in C yield and take.
_R: Final = int(Wait.R)
_NOTHING: Final = int(Ready.NONE)
_BOTH: Final = int(Ready.RW)
_EVENTS: Final = {
    int(Wait.R): select.POLLIN,
    int(Wait.W): select.POLLOUT,
    int(Wait.RW): select.POLLIN | select.POLLOUT,
}


def wait(
    gen: PQGen[Value],
    fileno: int,
    interval: float = 0.0,
    timeout: float | None = None,
) -> Value:
    """Run a generator of psycopg's to its end; other greenlets run meanwhile.

    Args:
        gen: yields what it waits for, takes what is ready.
        fileno: the connection's socket.
        interval: seconds after which the socket is looked at whatever happened.
        timeout: seconds after which it is given up; None waits for ever.

    Raises:
        psycopg.OperationalError: the socket was closed meanwhile.
    """
    deadline = None if timeout is None else monotonic() + timeout
    ready: Any
    try:
        wanted: Any = next(gen)
        while True:
            if wanted == _R or not (ready := _now(fileno, wanted)):
                pause = interval
                if deadline is not None:
                    pause = max(0.0, min(interval, deadline - monotonic()))
                ready = _switch(fileno, wanted, pause)
            if ready:
                wanted = gen.send(ready)
            else:
                _check_open(fileno)
                gen.send(ready)
            if deadline is not None and monotonic() >= deadline:
                raise WaitTimeout("wait timeout expired")
    except StopIteration as ended:
        value: Value = ended.value
        return value


def _switch(fileno: int, wanted: int, pause: float) -> int:
    """Let others run until the socket is ready or the pause is over."""
    hub: Any = gevent.get_hub()
    resume: Any = gevent.getcurrent().switch
    # Numbers mean the same to libev, psycopg's Wait and its Ready: 1 read, 2 write.
    watcher = hub.loop.io(fileno, wanted)
    timer = hub.loop.timer(pause)
    try:
        # Either stops the other before it could switch here a second time.
        watcher.start(resume, pass_events=True)
        timer.start(resume, _NOTHING, update=False)
        return hub.switch() & _BOTH
    finally:
        watcher.stop()
        watcher.close()
        timer.stop()
        timer.close()


def _now(fileno: int, wanted: int) -> int:
    """Return what is ready without a wait: a socket to write to nearly always is."""
    poll = get_original("select", "poll")()
    poll.register(fileno, _EVENTS[wanted])
    ready = 0
    for _, events in poll.poll(0):
        ready |= Ready.R if events & select.POLLIN else 0
        ready |= Ready.W if events & select.POLLOUT else 0
    return ready


def _check_open(fileno: int) -> None:
    try:
        os.fstat(fileno)
    except OSError as exc:
        raise OperationalError("connection socket closed") from exc


def install() -> None:
    """Have psycopg wait like this; connections read the name at each call."""
    waiting.wait = wait
