"""The socket of a connection as a WSGI application has it that speaks another protocol by itself.

WSGI has no WebSockets, but libraries for it take the connection out of the environ
(`gunicorn.socket`), shake hands on it and go on from there. What lives here: that socket. What must
not: frames; the end of the connection, which stays the server's.

Until it is used nothing happens: an application that answers by HTTP does so. The first read or
write ends HTTP on the connection. From then on any thread of the application's may use it, several
at once; each call waits for the client, though the socket below does not block. A stop of the
worker reads as the end of what the client sends, so that the application returns; if it sends no
close frame by then, the server sends one, with 1012, by which the client may come back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from typing import Any, Final, Protocol

from bare_serve.errors import ResponseError
from bare_serve.http1 import ServerConnection

_SLICE: Final = 1.0
"""Seconds that a call waits before it looks again."""
_CLOSE: Final = 0x88
_RESTARTING: Final = b"\x88\x02\x03\xf4"
"""A close frame with 1012 (RFC 6455, 5.5.1; the registry of close codes)."""
_PIECE: Final = 1 << 16
# A client that has vanished would hold a thread for ever: the system asks after it.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3))


class Carrier(Protocol):
    """What carries the bytes: a connection, with TLS or without."""

    sock: socket.SocketType
    upgraded: UpgradedSocket | None

    @property
    def http(self) -> ServerConnection: ...

    @property
    def write_seconds(self) -> float:
        """Return how long a client may take nothing; 0 for as long as it likes."""

    def receive_plain(self) -> bytes:
        """Return what the client has sent; b"" at its end.

        Raises:
            BlockingIOError: nothing has come.
        """

    def send_plain(self, data: memoryview) -> int:
        """Send as much as the client takes; return how much.

        Raises:
            BlockingIOError: it takes nothing now.
        """

    def flush_plain(self) -> bool:
        """Return whether nothing is left that was taken and not sent."""


class UpgradedSocket:
    """Made for a request that asks for a WebSocket; see the module."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._fd = carrier.sock.fileno()
        self._state = threading.RLock()
        self._sending = threading.Lock()  # a frame is not to begin within another one
        self._rest = b""
        self._timeout: float | None = None
        self._taken = self._over = self._ended = self._closed = False
        self._bell: tuple[int, int] | None = None
        self._rung = False
        self._epoll: Any = None
        self._last = b""

    # ------------------------------------------------------------------ the application's side

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return up to `size` bytes; b"" if no more come.

        Raises:
            TimeoutError: nothing came in the time that `settimeout` allows.
            OSError: the request was answered already, or the call is over.
        """
        until = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            with self._state:
                self._take()
                if self._ended or self._over or self._closed:
                    return b""
                if not self._rest:
                    with contextlib.suppress(BlockingIOError, InterruptedError):
                        self._rest = self._carrier.receive_plain()
                        if not self._rest:
                            return b""
                if self._rest:
                    data = self._rest[:size]
                    if not flags & socket.MSG_PEEK:
                        self._rest = self._rest[len(data) :]
                    self._ring(on=bool(self._rest))
                    return data
            self._wait(select.POLLIN, until)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Do as `recv`, into a buffer; return how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send all of `data`, and return its length.

        Raises:
            TimeoutError: the client does not take it in time.
            OSError: the request was answered already, the client has left, or the call is over.
        """
        view = memoryview(data).cast("B")
        with self._sending:
            self._send(view)
        return len(view)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Do as `send`."""
        self.send(data, flags)

    def _send(self, view: memoryview) -> None:
        size, sent, moved = len(view), 0, time.monotonic()
        until = None if self._timeout is None else moved + self._timeout
        while True:
            with self._state:
                self._take()
                if self._over or self._closed:
                    raise OSError(errno.EPIPE, "the WebSocket is closed")
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    while sent < size:
                        sent += self._carrier.send_plain(view[sent : sent + _PIECE])
                        moved = time.monotonic()
                    if self._carrier.flush_plain():
                        self._last = bytes(view[:1])
                        self._carrier.http.bytes_sent += size
                        return
            patience = self._carrier.write_seconds
            if patience and time.monotonic() - moved > patience:
                raise TimeoutError(errno.ETIMEDOUT, "the client does not take what is sent")
            self._wait(select.POLLOUT, until)

    def fileno(self) -> int:
        """Return a descriptor for `select` and its like, readable when `recv` has something; -1
        once the socket is closed."""
        with self._state:
            if self._over or self._closed:
                return -1
            self._take()
            if self._epoll is None and hasattr(select, "epoll"):
                self._epoll = select.epoll()
                for fd in (self._fd, self._bells()[0]):
                    self._epoll.register(fd, select.EPOLLIN)
            return self._fd if self._epoll is None else int(self._epoll.fileno())

    def close(self) -> None:
        """Read and send no more. The connection ends with the call."""
        with self._state:
            self._closed = True
            self._ring(on=True)

    def shutdown(self, how: int) -> None:
        """Do as `close`, unless only reading ends."""
        if how == socket.SHUT_RD:
            self.end()
        else:
            self.close()

    def settimeout(self, seconds: float | None) -> None:
        """Have calls wait for the client no longer than that; None for as long as it takes."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return what `settimeout` was given."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Have calls wait, or not at all."""
        self._timeout = None if flag else 0.0

    def getpeername(self) -> Any:
        """Return the other end's address: a proxy's, if there is one."""
        return self._carrier.sock.getpeername()

    def getsockname(self) -> Any:
        """Return our end's address."""
        return self._carrier.sock.getsockname()

    def setsockopt(self, *option: Any) -> None:
        """Set an option of the socket."""
        self._carrier.sock.setsockopt(*option)

    # ------------------------------------------------------------------ the server's side

    def end(self) -> None:
        """Have the application read an end: the worker is to stop. Any thread may call this."""
        with self._state:
            self._ended = True
            self._ring(on=True)

    def finish(self) -> None:
        """End what the application may do: the call is over."""
        with self._state:
            if self._over:
                return
            self._over = True
            if self._ended and self._taken and self._last[:1] != bytes((_CLOSE,)):
                with contextlib.suppress(OSError):
                    self._carrier.send_plain(memoryview(_RESTARTING))
            self._ring(on=True)
            if self._bell is not None:
                for fd in self._bell:
                    os.close(fd)
            if self._epoll is not None:
                self._epoll.close()

    def is_expected(self, error: BaseException) -> bool:
        """Return whether a call that has had the socket may end by this: libraries do so in the
        place of an answer, and what is answered behind their back is refused."""
        return isinstance(error, StopIteration | OSError | ResponseError)

    # ------------------------------------------------------------------ inside

    def _take(self) -> None:
        """End HTTP on the connection, once."""
        if self._taken or self._over:
            return
        carrier = self._carrier
        http = carrier.http
        if http.response_started:
            raise OSError(errno.EPIPE, "the request was answered already")
        _, self._rest = http.upgrade(b"websocket", ())
        http.linger = True
        self._taken = True
        carrier.upgraded = self
        with contextlib.suppress(OSError):
            carrier.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE:
                if hasattr(socket, name) and carrier.sock.family != socket.AF_UNIX:
                    carrier.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._ring(on=bool(self._rest))
        if http.close_after:  # the worker stops already
            self.end()

    def _wait(self, event: int, until: float | None) -> None:
        """Wait for the client, or for the end.

        Raises:
            TimeoutError: it is `until`.
        """
        seconds = _SLICE
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                if self._timeout == 0:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                raise TimeoutError("timed out")
            seconds = min(left, seconds)
        poll = select.poll()
        with self._state:
            if self._over or self._closed:
                return
            poll.register(self._fd, event)
            if event == select.POLLIN:
                poll.register(self._bells()[0], select.POLLIN)
        poll.poll(seconds * 1000)

    def _bells(self) -> tuple[int, int]:
        """Return a pipe that can be read while there is something to know beside the socket."""
        if self._bell is None:
            self._bell = os.pipe()
            if self._rest or self._ended:
                self._rung = False
                self._ring(on=True)
        return self._bell

    def _ring(self, *, on: bool) -> None:
        on = on or self._ended or self._closed or self._over
        if self._bell is None or on == self._rung:
            return
        self._rung = on
        if on:
            os.write(self._bell[1], b"x")
        else:
            os.read(self._bell[0], 1)
