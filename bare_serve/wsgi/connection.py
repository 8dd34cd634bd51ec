"""A client's socket and the HTTP connection on it, for a loop that hands itself off.

What lives here: reading and writing without waiting (for the loop) and with waiting (for a thread
inside an application call), and closing so that the answer survives. What must not: epoll, threads,
leadership; the application.

Output that the client does not take at once is kept here and flushed by the loop. While an
application is still producing, no more than ``HIGH_WATER`` bytes are kept: then its thread waits.
The last piece of an answer is never waited for.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from typing import Any, Final

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import (
    BODY,
    NEED_DATA,
    Output,
    RequestHead,
    ServerConnection,
    Timeouts,
    Watch,
)

READ_BYTES: Final = 1 << 16
HIGH_WATER: Final = 1 << 18
# How long a closing connection is read so that the answer is not lost to a reset (RFC 9112, 9.6).
LINGER_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 1.0


class Connection:
    """One client. Used by one thread at a time: its owner (see the worker)."""

    __slots__ = (
        "_out",
        "busy",
        "client",
        "collected",
        "environ",
        "events",
        "fd",
        "http",
        "input_error",
        "last_environ",
        "last_head",
        "linger_until",
        "sock",
        "unsent",
        "watch",
    )

    def __init__(
        self,
        sock: socket.socket,
        http: ServerConnection,
        timeouts: Timeouts,
        environ: dict[str, Any],
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.http = http
        self.watch = Watch(timeouts, time.monotonic())
        self.environ = environ
        """The part of the environ that all requests of this connection share."""
        self.client: str = environ["REMOTE_ADDR"]
        self.last_head: RequestHead | None = None
        self.last_environ: dict[str, Any] = environ
        self.collected: Any = None
        """A file or list in which the loop gathers a body, before the application is called."""
        self.busy = False
        """A request is being served; only the serving thread may touch the connection."""
        self.events = 0
        """What the poller watches for."""
        self.unsent = 0
        """Bytes waiting for the client."""
        self.input_error: Exception | None = None
        """Why the body could not be read to its end."""
        self._out: deque[memoryview] = deque()
        self.linger_until = 0.0
        """Set while the connection is closing and only read to be discarded."""

    # ------------------------------------------------------------ for the loop

    def read(self) -> bool:
        """Takes what the client has sent; False when there was nothing to take.

        Raises:
            OSError: the connection is broken.
        """
        try:
            data = self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if data:
            self.http.receive_data(data)
        else:
            self.http.receive_eof()
        return True

    def flush(self) -> None:
        """Writes what waits, as far as the client takes it.

        Raises:
            OSError: the connection is broken.
        """
        out = self._out
        try:
            while out:
                sent = self.sock.send(out[0])
                self.unsent -= sent
                if sent < len(out[0]):
                    out[0] = out[0][sent:]
                    return
                out.popleft()
        except (BlockingIOError, InterruptedError):
            return

    def discard(self) -> bool:
        """Reads and forgets while lingering; True when the client is done as well."""
        try:
            for _ in range(16):
                if not self.sock.recv(READ_BYTES):
                    return True
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return False

    def start_lingering(self) -> bool:
        """Says that no more will be sent; False if there is no use in waiting."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.linger_until = time.monotonic() + LINGER_SECONDS
        return True

    def abort(self) -> None:
        """Breaks the connection off so that the client notices: no clean end, a reset."""
        self._out.clear()
        self.unsent = 0
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass

    # --------------------------------------- for the thread that serves a request

    def transmit(self, output: Output, last: bool) -> None:
        """Writes ``output``; waits for a slow client only while there is more to come.

        Raises:
            ClientGone: nobody takes it.
        """
        try:
            if type(output) is bytes and not self._out:
                if not output:
                    return
                try:
                    sent = self.sock.send(output)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                if sent < len(output):
                    self._keep(memoryview(output)[sent:])
            else:
                for piece in (output,) if isinstance(output, bytes) else output:
                    self._keep(memoryview(piece))
                self.flush()
        except OSError as error:
            raise ClientGone(error.errno, "the client closed the connection") from error
        if not last and self.unsent > HIGH_WATER:
            self._wait_until_taken(HIGH_WATER // 2)

    def _keep(self, piece: memoryview) -> None:
        if piece:
            self._out.append(piece)
            self.unsent += len(piece)

    def _wait_until_taken(self, rest: int) -> None:
        """Waits until no more than ``rest`` bytes are kept, or the client's time is over."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while self.unsent > rest:
            poll.poll(_WAIT_SECONDS * 1000)
            try:
                self.flush()
            except OSError as error:
                raise ClientGone(error.errno, "the client closed the connection") from error
            if self.watch.overdue(self.http, time.monotonic(), unsent=self.unsent):
                raise ClientGone("the client does not take its answer")

    def transmit_file(self, fd: int, offset: int, count: int) -> None:
        """``count`` bytes of a regular file by sendfile(2); waits for a slow client.

        Raises:
            ClientGone: nobody takes it.
            OSError: the file cannot be read, or has become shorter.
        """
        self._wait_until_taken(0)
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        taken = time.monotonic()
        end = offset + count
        while offset < end:
            try:
                sent = os.sendfile(self.fd, fd, offset, end - offset)
            except (BlockingIOError, InterruptedError):
                limit = self.watch.timeouts.write
                if limit and time.monotonic() - taken > limit:
                    raise ClientGone("the client does not take its answer") from None
                poll.poll(_WAIT_SECONDS * 1000)
                continue
            except (BrokenPipeError, ConnectionError) as error:
                raise ClientGone(error.errno, "the client closed the connection") from error
            if sent == 0:
                raise OSError("the file has become shorter while it was sent")
            offset += sent
            taken = time.monotonic()

    def receive_body(self) -> bytes:
        """The next piece of a body that is still arriving; b"" at its end. Waits for it.

        Raises:
            RequestError: the body is malformed, too large or too slow.
            ClientGone: the client left in the middle of it.
        """
        if self.input_error is not None:
            raise self.input_error  # and never an end that looks like one
        http = self.http
        try:
            if output := http.continue_expected():
                self.transmit(output, False)
            while (event := http.next_event()) is NEED_DATA:
                self._wait_for_bytes()
        except (RequestError, ClientGone) as error:
            self.input_error = error
            raise
        return event if isinstance(event, bytes) else b""

    def _wait_for_bytes(self) -> None:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        try:
            while not self.read():
                if self.http.phase == BODY:
                    verdict = self.watch.overdue(self.http, time.monotonic())
                    if isinstance(verdict, RequestError):
                        raise verdict
                poll.poll(_WAIT_SECONDS * 1000)
        except OSError as error:
            raise ClientGone(error.errno, "the client closed the connection") from error
