"""A TCP proxy on loopback that makes one node slow, silent or gone.

Faults that need no privilege and no kernel module. A blackhole here holds the bytes,
as TCP's retransmission would deliver them once the network heals; what it cannot do
is lose the handshake: a connection to a blackholed proxy opens and then hears nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from typing import Any, Self, TypeAlias, TypeVar

from authkit.errors import LabError

_CHUNK_BYTES = 65_536
_CHUNKS_HELD = 64  # per direction; then the sender feels the pressure
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: close() sends a RST
_T = TypeVar("_T")
_Held: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"


class Proxy:
    """Stands between clients and one server; its methods may be called from anywhere.

    It runs in a thread of its own, so threads must be real: not under gevent's patch.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self._target = port
        self._port = 0
        self._delay_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="authkit-proxy", daemon=True
        )
        self._thread.start()
        try:
            self._call(self._listen())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port to connect to; it stays the same for the proxy's life."""
        return self._port

    def delay(self, seconds: float) -> None:
        """Deliver every byte later, in both directions; the throughput stays."""
        self._delay_s = seconds

    def blackhole(self) -> None:
        """Deliver nothing any more; connections stay open."""
        self._call(self._hold())

    def reset(self) -> int:
        """Break every connection with a RST; return how many. New ones may come."""
        return self._call(self._reset())

    def refuse(self) -> int:
        """Break every connection and refuse new ones; return how many broke."""
        return self._call(self._refuse())

    def heal(self) -> None:
        """Be a plain proxy again; what a blackhole held is delivered."""
        self._delay_s = 0.0
        self._call(self._listen())

    def close(self) -> None:
        """Break every connection and end the thread; idempotent."""
        if self._loop is None or self._thread is None:
            return
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    # --- in the loop ------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            work.close()
            raise LabError("the proxy is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _hold(self) -> None:
        self._open.clear()

    async def _listen(self) -> None:
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, self._host, self._port
            )
            self._port = int(self._server.sockets[0].getsockname()[1])

    async def _reset(self) -> int:
        count = 0
        for writer in tuple(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None and not writer.transport.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                count += 1
            writer.transport.abort()
        return (count + 1) // 2  # each connection has two ends

    async def _refuse(self) -> int:
        if self._server is not None:
            self._server.close()
            self._server = None
        return await self._reset()

    async def _shut(self) -> None:
        await self._refuse()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # A task of our own: asyncio would log the cancellation of one that it made.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            back, onward = await asyncio.open_connection(self._host, self._target)
            self._writers.add(onward)
            async with asyncio.TaskGroup() as group:
                for source, sink in ((reader, onward), (back, writer)):
                    held: _Held = asyncio.Queue(_CHUNKS_HELD)
                    group.create_task(self._receive(source, held))
                    group.create_task(self._deliver(held, sink))
        except* OSError:  # one end broke, or the server is down: so does the other
            pass
        finally:
            for end in filter(None, (writer, onward)):
                self._writers.discard(end)
                end.transport.abort()

    async def _receive(self, source: asyncio.StreamReader, held: _Held) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            await held.put((time.monotonic() + self._delay_s, chunk))
        await held.put((0.0, b""))

    async def _deliver(self, held: _Held, sink: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await held.get()
            await asyncio.sleep(due - time.monotonic())
            await self._open.wait()
            if not chunk:
                sink.write_eof()
                return
            sink.write(chunk)
            await sink.drain()
