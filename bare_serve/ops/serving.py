"""The loop of the ops process: a few connections, each bounded in bytes and in time.

What lives here: sockets, what a connection may hold and how long it may take. What must not: what
is answered (pages.py) and who may ask (guard.py); HTTP itself is http1/, as in the workers.

Nobody keeps anybody out: where all places are taken, the connection that has been waiting for its
client the longest makes room, and all that is sent to its end is in memory at once.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import BODY, HEAD, Deadlines, Limits, RequestHead, Timeouts
from bare_serve.http1 import (
    END_OF_BODY,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    ServerConnection,
    select_parser,
)
from bare_serve.ops.guard import Peer

MOST: Final = 32
"""Connections at once."""
LIMITS: Final = Limits(
    request_line=2048, headers=64, header_size=8192, body=4096, chunk_extensions=64, drain=4096
)
TIMEOUTS: Final = Timeouts(headers=5.0, body=5.0, write=10.0, keep_alive=75.0)
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 1 << 20
_READ: Final = 8192
_TICK: Final = 1.0
_SOON: Final = 0.005
"""Seconds between two looks at answers that are not there yet."""

FIELDS: Final = b"".join(
    (
        b"Cache-Control: no-store\r\n",
        b"Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'\r\n",
        b"Cross-Origin-Resource-Policy: same-origin\r\n",
        b"Referrer-Policy: no-referrer\r\n",
        b"X-Content-Type-Options: nosniff\r\n",
    )
)
"""The header lines of every answer."""

Answer = tuple[int, bytes, bytes]
"""Status, media type, body."""


class Later(Protocol):
    """An answer that is not there yet."""

    def look(self) -> Answer | None:
        """Return it if it is there now; raise a RequestError if there is none."""

    def close(self) -> None:
        """Let go of it."""


Respond = Callable[[RequestHead, Peer], Answer | Later]


class _Connection:
    """One client."""

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.http = ServerConnection(select_parser("python").make(), LIMITS, FIELDS)
        self.deadlines = Deadlines(TIMEOUTS, now)
        self.peer = _peer(sock)
        self.unsent = b""
        self.since = now
        """When the client has last sent a whole head or taken a part of its answer: a head that
        trickles is no reason to keep the connection."""
        self.lingers_until = 0.0
        self.lingered = 0
        self.later: Later | None = None
        """What it is waiting for; nothing is read meanwhile."""
        self.gone = False
        """The socket is closed."""
        self.closes = False
        """The connection ends once all is sent."""


class Loop:
    """Serves until the master says that it is enough."""

    def __init__(self, listener: socket.socket, respond: Respond) -> None:
        """`respond` gives the answer to a request, or raises a RequestError."""
        self._listener = listener
        self._respond = respond
        self._poll = select.poll()
        self._connections: dict[int, _Connection] = {}
        self._others: dict[int, Callable[[], bool]] = {}
        self._poll.register(listener, select.POLLIN)

    def watch(self, fd: int, readable: Callable[[], bool]) -> None:
        """Call `readable` whenever there is something to read; the loop ends once it says False."""
        self._others[fd] = readable
        self._poll.register(fd, select.POLLIN)

    def run(self) -> None:
        """Serve; returns when a callback of `watch` has said that it is over."""
        due = time.monotonic() + _TICK
        while True:
            wait = max(0.0, due - time.monotonic()) if self._connections else None
            waiting = [each for each in self._connections.values() if each.later is not None]
            if waiting:
                wait = _SOON
            # The clients first: the answer to an order is on its way when the master acts.
            goes_on = True
            for fd, events in self._poll.poll(None if wait is None else wait * 1000):
                if fd in self._others:
                    goes_on = self._others[fd]() and goes_on
                elif fd == self._listener.fileno():
                    self._accept()
                elif (connection := self._connections.get(fd)) is not None:
                    self._turn(connection, events)
            for each in waiting:
                self._look_for_answer(each)
            if not goes_on:
                return
            if (now := time.monotonic()) >= due:
                due = now + _TICK
                self._look_at_deadlines(now)

    def finish(self, seconds: float) -> None:
        """Accept no more, and let those who ask or are being answered have their answer, for so
        long at most: who has connected and asked nothing yet is about to."""
        self._poll.unregister(self._listener)
        self._listener.close()
        for fd in self._others:
            self._poll.unregister(fd)
        until = time.monotonic() + seconds
        for connection in [*self._connections.values()]:
            connection.http.close_after = True
        while self._connections and (left := until - time.monotonic()) > 0:
            for connection in [*self._connections.values()]:
                if not connection.unsent and not connection.lingers_until:
                    self._read(connection)  # what has come until now
                    if self._is_idle(connection):
                        self._drop(connection)
            for fd, events in self._poll.poll(left * 1000) if self._connections else ():
                if (late := self._connections.get(fd)) is not None:
                    self._turn(late, events)
        for connection in [*self._connections.values()]:
            self._drop(connection)

    def _accept(self) -> None:
        for _ in range(MOST):
            try:
                sock, _address = self._listener.accept()
            except OSError:  # nobody waits any more, or there are no descriptors left
                return
            sock.setblocking(False)
            if len(self._connections) >= MOST:
                self._make_room()
            connection = _Connection(sock, time.monotonic())
            self._connections[sock.fileno()] = connection
            self._poll.register(sock, select.POLLIN)

    def _make_room(self) -> None:
        self._drop(min(self._connections.values(), key=lambda each: each.since))

    def _turn(self, connection: _Connection, events: int) -> None:
        if connection.later is not None:
            self._drop(connection)  # nothing was asked for but its end
        elif connection.lingers_until:
            self._discard(connection)
        elif events & select.POLLOUT:
            self._flush(connection)
        else:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if data:
            connection.http.receive_data(data)
        else:
            connection.http.receive_eof()
        self._serve(connection)

    def _serve(self, connection: _Connection) -> None:
        """Answer what is complete; one answer at a time is in memory."""
        http = connection.http
        try:
            while not self._is_busy(connection):
                event = http.next_event()
                if event is NEED_DATA or event is PAUSED:
                    return
                if event is MUST_CLOSE:
                    connection.closes = True
                    self._end(connection)
                    return
                if isinstance(event, RequestHead):
                    connection.since = time.monotonic()
                    self._answer(connection, event)
                else:
                    assert event is END_OF_BODY or isinstance(event, bytes)
        except ClientGone:
            self._drop(connection)
        except RequestError as error:
            connection.closes = True
            self._send(connection, http.error_response(error))

    @staticmethod
    def _is_busy(connection: _Connection) -> bool:
        """Return whether the next request has to wait, or there is none to come."""
        waits = connection.unsent or connection.later is not None
        return bool(waits or connection.closes or connection.gone)

    @staticmethod
    def _is_idle(connection: _Connection) -> bool:
        """Return whether the client was answered, and has asked nothing since."""
        http = connection.http
        if connection.unsent or connection.lingers_until or not http.requests:
            return False
        return http.phase not in (HEAD, BODY)

    def _answer(self, connection: _Connection, head: RequestHead) -> None:
        try:
            answer = self._respond(head, connection.peer)
        except RequestError:
            raise
        except Exception:  # noqa: BLE001  (probes are to be answered, whatever else fails)
            raise _failure() from None
        if isinstance(answer, tuple):
            self._give(connection, answer)
        else:
            connection.later = answer
            self._poll.modify(connection.sock, 0)

    def _look_for_answer(self, connection: _Connection) -> None:
        if (later := connection.later) is None:
            return  # dropped meanwhile
        try:
            answer = later.look()
        except Exception as error:  # noqa: BLE001  (as above)
            refusal = error if isinstance(error, RequestError) else _failure()
            self._has_come(connection)
            connection.closes = True
            self._send(connection, connection.http.error_response(refusal))
            return
        if answer is not None:
            self._has_come(connection)
            self._give(connection, answer)
            self._serve(connection)

    def _has_come(self, connection: _Connection) -> None:
        if connection.later is not None:
            connection.later.close()
            connection.later = None
            self._poll.modify(connection.sock, select.POLLIN)

    def _give(self, connection: _Connection, answer: Answer) -> None:
        status, kind, body = answer
        http = connection.http
        http.start_response(status, [(b"Content-Type", kind)])
        output = http.send_body(body, False)
        self._send(connection, output if isinstance(output, bytes) else b"".join(output))

    def _send(self, connection: _Connection, data: bytes) -> None:
        connection.unsent = data
        self._flush(connection, again=False)

    def _flush(self, connection: _Connection, *, again: bool = True) -> None:
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(connection)
            return
        connection.unsent = connection.unsent[sent:]
        if sent:
            connection.since = time.monotonic()
        if connection.unsent:
            self._poll.modify(connection.sock, select.POLLOUT)
            return
        if connection.closes:
            self._end(connection)
            return
        if again:
            self._poll.modify(connection.sock, select.POLLIN)
            self._serve(connection)  # what has come meanwhile

    def _end(self, connection: _Connection) -> None:
        """Close; if the client may still be sending, read on, or a reset takes the answer away
        from the client (RFC 9112, 9.6)."""
        if not connection.http.linger:
            self._drop(connection)
            return
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.lingers_until = time.monotonic() + _LINGER_SECONDS
        self._poll.modify(connection.sock, select.POLLIN)

    def _discard(self, connection: _Connection) -> None:
        try:
            count = len(connection.sock.recv(_READ))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        connection.lingered += count
        if not count or connection.lingered > _LINGER_BYTES:
            self._drop(connection)

    def _look_at_deadlines(self, now: float) -> None:
        for connection in [*self._connections.values()]:
            if connection.lingers_until:
                if now >= connection.lingers_until:
                    self._drop(connection)
                continue
            late = connection.deadlines.overdue(connection.http, now, unsent=len(connection.unsent))
            if isinstance(late, RequestError):
                connection.closes = True
                self._send(connection, connection.http.error_response(late))
            elif late is not None:
                self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        fd = connection.sock.fileno()
        if self._connections.pop(fd, None) is not None:
            self._poll.unregister(fd)
            connection.gone = True
            if connection.later is not None:
                connection.later.close()
                connection.later = None
            connection.sock.close()


def _failure() -> RequestError:
    """Return the answer to a request at which this program fails, and show the traceback."""
    sys.excepthook(*sys.exc_info())
    return RequestError(500, "The ops process failed: its traceback is in the error log.")


def _peer(sock: socket.socket) -> Peer:
    if sock.family == socket.AF_UNIX:
        with contextlib.suppress(OSError, AttributeError):
            told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return Peer(uid=struct.unpack("3i", told)[1])  # pid, uid, gid: unix(7)
        return Peer()
    with contextlib.suppress(OSError):
        # An IPv6 socket has the clients of IPv4 by addresses such as ::ffff:10.0.0.1.
        return Peer(own=str(sock.getsockname()[0]).removeprefix("::ffff:"))
    return Peer()
