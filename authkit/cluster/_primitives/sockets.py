"""A second hold on a connection's socket, to shut it from elsewhere.

A caller blocked on a server that has stopped answering wakes at once when its socket is
shut down; cancelling the statement would wait for that same server. Shutting by file
number would race with the owner closing it, after which the number may belong to
somebody else: so the socket is held by a duplicate of our own.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress

# struct tcp_info (linux/tcp.h): eight bytes, then 32-bit counters; the twelfth is
# tcpi_last_data_recv, in milliseconds.
_LAST_DATA_RECV = struct.Struct("=52xI")


class Lifeline:
    """A duplicate of a connection's socket; `cut` shuts it for both holders."""

    __slots__ = ("_socket",)

    def __init__(self, fileno: int) -> None:
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(fileno))

    def cut(self) -> bool:
        """Shut the connection down; tell whether it was still held."""
        held = self._socket
        if held is None:
            return False
        with suppress(OSError):  # the peer has closed it already
            held.shutdown(socket.SHUT_RDWR)
        return True

    def silent_ms(self) -> int | None:
        """Milliseconds since the peer last sent data; None where that is not known."""
        held = self._socket
        if held is None or sys.platform != "linux" or held.family == socket.AF_UNIX:
            return None
        try:
            raw = held.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV.size
            )
        except OSError:
            return None
        if len(raw) < _LAST_DATA_RECV.size:
            return None
        milliseconds: int = _LAST_DATA_RECV.unpack(raw)[0]
        return milliseconds

    def release(self) -> None:
        """Let go of the socket; the connection itself is not touched."""
        held, self._socket = self._socket, None
        if held is not None:
            held.close()

    def __del__(self) -> None:
        self.release()
