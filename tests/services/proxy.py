"""A TCP proxy that spoils the talk between a client and a server: the network's faults, on demand.

    with Proxy(postgres_url) as proxy:
        client = psycopg.connect(proxy.url)
        proxy.swallow_commit()      # the next COMMIT is done, and its answer never arrives

It runs in a thread of its own; its methods may be called from any thread and are in force when they return.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

#: Directions: what the client sends, what the server sends.
TO_SERVER, TO_CLIENT = "to_server", "to_client"
#: PostgreSQL's COMMIT as a statement, and the word in the answer to it; both end with a zero byte.
_COMMIT, _ENDINGS = b"COMMIT\0", (b"COMMIT\0", b"ROLLBACK\0")
_ABORT_ON_CLOSE = struct.pack("ii", 1, 0)


class Link:
    """One client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.tail = {TO_SERVER: b"", TO_CLIENT: b""}
        self.swallowing = False

    def reset(self) -> None:
        """RST to both sides: what is in flight is lost."""
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_ON_CLOSE)
            writer.transport.abort()

    def saw(self, direction: str, data: bytes, *marks: bytes) -> bool:
        """Whether a mark has passed in this direction, also when it was split over two reads."""
        window = self.tail[direction] + data
        self.tail[direction] = window[-8:]
        return any(window.find(mark, max(0, len(window) - len(data) - len(mark) + 1)) >= 0 for mark in marks)


class Proxy:
    """Between a client and the server that `target` names, by URL."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._refusing = False
        self._left: dict[str, int | None] = {TO_SERVER: None, TO_CLIENT: None}
        self._commit_fault = ""
        #: Set when a COMMIT was met as `swallow_commit` or `lose_commit` had asked.
        self.struck = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The target's URL through the proxy; PostgreSQL's without TLS, which would hide its COMMIT."""
        account, at, _ = self._target.netloc.rpartition("@")
        clear = "sslmode=disable" if self._target.scheme.startswith("postgres") else ""
        query = "&".join(part for part in (self._target.query, clear) if part)
        return self._target._replace(netloc=f"{account}{at}127.0.0.1:{self.port}", query=query).geturl()

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._listener = self._call(self._listen)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc: object) -> None:
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def forward(self) -> None:
        """Pass everything on again, at once; what was held arrives now."""
        self._set(_delay=0.0, _refusing=False, _commit_fault="", _left={TO_SERVER: None, TO_CLIENT: None})
        self._call(self._flowing.set)

    def drop(self) -> None:
        """A dead network: nothing passes, nobody is told. What is sent waits, as TCP would send it again."""
        self._call(self._flowing.clear)

    def delay(self, seconds: float) -> None:
        """Everything passes this much later."""
        self._set(_delay=seconds)

    def reset(self) -> None:
        """RST to every connection that is open now. New ones are served."""
        self._call(self._reset)

    def refuse(self) -> None:
        """The server is away: RST to all, also to new connections, until `forward`."""
        self._set(_refusing=True)
        self.reset()

    def cut_after(self, count: int, direction: str = TO_SERVER) -> None:
        """RST after this many more bytes in one direction, over all connections; the rest of them is lost."""
        self._set(_left={**self._left, direction: count})

    def swallow_commit(self) -> None:
        """The next COMMIT reaches PostgreSQL and is done; its answer is lost, and the connection with it."""
        self.struck.clear()
        self._set(_commit_fault="answer")

    def lose_commit(self) -> None:
        """The next COMMIT is lost on its way, and the connection with it: a client sees no difference."""
        self.struck.clear()
        self._set(_commit_fault="statement")

    def _set(self, **values: Any) -> None:
        self._call(lambda: vars(self).update(values))

    def _call(self, work: Callable[[], Any]) -> Any:
        async def run() -> Any:
            found = work()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._listener.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reset(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            Link(writer, writer).reset()
            return
        link = Link(writer, upstream[1])
        if self._refusing:
            link.reset()
            return
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, link.server, TO_SERVER),
                self._pump(link, upstream[0], link.client, TO_CLIENT),
            )
        except (OSError, EOFError, asyncio.CancelledError):
            link.reset()
        finally:
            self._links.discard(link)
            for end in (link.client, link.server):
                end.close()

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str
    ) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(self._delay)
            await self._flowing.wait()
            data, last = self._spoiled(link, data, direction)
            writer.write(data)
            await writer.drain()
            if last:
                raise EOFError
        if not link.swallowing:
            writer.write_eof()

    def _spoiled(self, link: Link, data: bytes, direction: str) -> tuple[bytes, bool]:
        """What of `data` passes on, and whether it is the last of this connection."""
        left = self._left[direction]
        if left is not None and left <= len(data):
            self._left[direction] = None
            return data[:left], True
        if left is not None:
            self._left[direction] = left - len(data)
        if direction == TO_CLIENT and link.swallowing:
            return b"", self._strike_if(link.saw(direction, data, *_ENDINGS))
        if direction == TO_SERVER and link.saw(direction, data, _COMMIT) and self._commit_fault:
            fault, self._commit_fault = self._commit_fault, ""
            link.swallowing = fault == "answer"
            return (data, False) if link.swallowing else (b"", self._strike_if(True))
        return data, False

    def _strike_if(self, met: bool) -> bool:
        if met:
            self.struck.set()
        return met
