"""A client's socket and the HTTP connection on it, for a loop that hands itself off.

What lives here: reading and writing without waiting (for the loop) and with waiting (for a thread
inside an application call), and closing so that the answer survives. What must not: epoll, threads,
leadership; the application.

Output that the client does not take at once is kept here and flushed by the loop. While an
application is still producing, no more than `HIGH_WATER` bytes are kept: then its thread waits,
and says so to its `patience`. What needs no application any more is never waited for: the last
piece of an answer, and the rest of a file, of which a descriptor of our own is kept. If the last
piece is all there is, it is *held* until the call is over: a thread that wants the GIL back after
its write does not look like a slow call.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Protocol

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import (
    BODY,
    IDLE,
    LINGER_BYTES,
    LINGER_SECONDS,
    NEED_DATA,
    Deadlines,
    Output,
    RequestHead,
    ServerConnection,
    Timeouts,
)
from bare_serve.net.forwarded import Trust
from bare_serve.system import forks
from bare_serve.wsgi.file_part import SHORTER, FileError, FilePart, send_file
from bare_serve.wsgi.peer import has_left, untaken

READ_BYTES: Final = 1 << 16
HIGH_WATER: Final = 1 << 18
LONGEST_WAIT: Final = 1.0
"""Seconds that a thread waits for its client at a time."""
_RESET_AT_CLOSE: Final = b"\1\0\0\0\0\0\0\0"

logger = logging.getLogger("bare_serve.worker")


class ClientWaits(Protocol):
    """Who is told that a thread waits for a client, so that others are served meanwhile."""

    def begins(self, connection: Connection) -> None:
        """Note that the thread that serves this connection is about to wait for its client."""

    def goes_on(self) -> float:
        """Return how many seconds the thread may wait on; called at least once a second."""

    def ends(self, connection: Connection) -> None:
        """Note that the thread waits no more."""


class _Alone:
    """Nobody need know."""

    def begins(self, connection: Connection) -> None:
        """See `ClientWaits`."""

    def goes_on(self) -> float:
        """See `ClientWaits`."""
        return LONGEST_WAIT

    def ends(self, connection: Connection) -> None:
        """See `ClientWaits`."""


_ALONE: Final = _Alone()


class Connection:
    """One client. Used by one thread at a time: its owner (see the worker)."""

    __slots__ = (
        "_file_parts",
        "_out",
        "aborted",
        "at_end",
        "busy",
        "client",
        "client_waits",
        "collected",
        "deadlines",
        "environ",
        "events",
        "failure",
        "fd",
        "given_up",
        "held",
        "http",
        "idle_at",
        "last_environ",
        "last_head",
        "linger_left",
        "linger_until",
        "next_head",
        "queued",
        "sock",
        "trust",
        "unsent",
        "waits_since",
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
        self.deadlines = Deadlines(timeouts, time.monotonic())
        environ["wsgi.early_hints"] = None  # each request has its own
        environ["bare_serve.client_disconnected"] = self.client_disconnected
        environ["waitress.client_disconnected"] = self.client_disconnected
        self.environ = environ
        """The part of the environ that all requests of this connection share."""
        self.client: str = environ["REMOTE_ADDR"]
        self.trust: Trust | None = None
        """Set if the other end is a proxy that is believed."""
        self.last_head: RequestHead | None = None
        self.last_environ: dict[str, Any] = environ
        self.collected: Any = None
        """A file or list in which the loop gathers a body, before the application is called."""
        self.busy = False
        """A request is being served; only the serving thread may touch the connection."""
        self.events = 0
        """What the poller watches for."""
        self.held = b""
        """The end of an answer, to be released by whoever made the call."""
        self.unsent = 0
        """Bytes waiting for the client."""
        self.failure: ClientGone | RequestError | None = None
        """What came between the application and this client: no further request is served."""
        self.given_up = False
        """The server has ended this exchange in the application's place."""
        self.aborted = False
        """To be closed without a clean end."""
        self.idle_at = -1
        """While draining: its requests when it was idle last; -1 if it was not."""
        self.waits_since = 0.0
        """While the serving thread waits for the client: when it began, or saw it move last."""
        self.client_waits: ClientWaits = _ALONE
        self.queued = 0.0
        """Since when it waits, with a request to be served, behind others that are ready."""
        self.next_head: RequestHead | None = None
        """The request with which it is to go on, if it is queued in the middle of several."""
        self.at_end: Callable[[], None] | None = None
        """What is to be done once the client has taken the rest of a file, or nobody can."""
        self._out: deque[memoryview | FilePart] = deque()
        self._file_parts = 0
        self.linger_until = 0.0
        """Set while the connection is closing and only read to be discarded."""
        self.linger_left = LINGER_BYTES

    # ------------------------------------------------------------ for the loop

    @property
    def idle(self) -> bool:
        """Nothing is owed to the client, and it has sent nothing that was not answered."""
        resting = not (self.busy or self.unsent or self.linger_until)
        return resting and self.http.phase == IDLE

    def can_be_read(self) -> bool:
        """Something has come that nobody has taken yet."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def read(self) -> bool | None:
        """Take what the client has sent; return False when there was nothing to take.

        None: something has come, but nothing that HTTP is to hear of.

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

    def has_word(self) -> bool:
        """Something can be read, and it is not the end.

        Raises:
            OSError: the connection is broken.
        """
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except (BlockingIOError, InterruptedError):
            return False

    def flush(self) -> None:
        """Write what waits, as far as the client takes it.

        Raises:
            OSError: the connection is broken.
        """
        out = self._out
        try:
            while out:
                piece = out[0]
                if isinstance(piece, FilePart):
                    self.unsent -= piece.send_to(self.fd)
                    if not piece.left:
                        self._drop_file(piece)
                    return  # others want their turn
                sent = self.sock.send(piece)
                self.unsent -= sent
                if sent < len(piece):
                    out[0] = piece[sent:]
                    return
                out.popleft()
        except (BlockingIOError, InterruptedError):
            return
        except FileError as error:
            raise self._file_failed(error) from error

    @property
    def sends_file(self) -> bool:
        """The rest of a file waits for the client."""
        return self._file_parts > 0

    def _drop_file(self, part: FilePart) -> None:
        """Remove the first piece of what waits, a part of a file that is done with."""
        self._out.popleft()
        self._file_parts -= 1
        part.close()
        if not self._file_parts:
            self._conclude()

    def _conclude(self) -> None:
        """Call `at_end`: the rest of a file was taken, or never will be."""
        if self.at_end is not None:
            at_end, self.at_end = self.at_end, None
            at_end()

    def _file_failed(self, error: FileError) -> OSError:
        """Log it and break off, since the client must notice; return what to raise."""
        head = self.http.head
        what = head.target.decode("latin-1") if head is not None else ""
        logger.error("Cannot send the rest of a file: %s: %s", error, ascii(what)[1:-1])
        self.abort()
        return ConnectionAbortedError(errno.EIO, str(error))

    def discard(self) -> bool:
        """Read and forget while lingering; return True when the client is done as well."""
        try:
            for _ in range(16):
                count = len(self.sock.recv(READ_BYTES))
                self.linger_left -= count
                if not count or self.linger_left <= 0:
                    return True
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return False

    def start_lingering(self) -> bool:
        """Close the sending side, and linger; return False if there is no use in waiting."""
        if self.aborted:
            return False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.linger_until = time.monotonic() + LINGER_SECONDS
        return True

    def abort(self) -> None:
        """Break the connection off so that the client notices: no clean end, a reset."""
        self.aborted = True
        self.drop_output()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)

    def hang_up(self) -> None:
        """Wake the thread that waits for the client, from another one: the client is gone."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def drop_output(self) -> None:
        """Forget what the client has not taken yet."""
        for piece in self._out:
            if isinstance(piece, FilePart):
                self.http.bytes_sent -= piece.left
                piece.close()
        self._out.clear()
        self._file_parts = 0
        self.held = b""
        self.unsent = 0
        self._conclude()

    def condemn(self) -> None:
        """Make all that its thread asks of the client fail: the request is over its time."""
        self.given_up = self.aborted = True
        self.failure = ClientGone(errno.ETIME, "the request took longer than --timeout-request")

    def give_up(self, answer: bytes, *, reset: bool = False) -> None:
        """End the exchange of a thread that was given up, from another thread.

        `answer` is what the client is told, b"" if it has been told something already; `reset`:
        a clean end would look like that of the answer. The descriptor stays open for the thread
        that serves it, but that thread can send nothing more.
        """
        try:
            if reset:
                self._reset()
                return
            if answer:
                self._last_words(answer)
            self.sock.shutdown(socket.SHUT_WR if answer else socket.SHUT_RDWR)
        except OSError:
            pass  # the client has left by itself

    def _reset(self) -> None:
        """Reset the connection, which only closing its socket does: a dead one takes the place
        of it, under the number that the other thread may be about to use."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        dead, other = socket.socketpair()
        other.close()
        with dead:
            dead.setblocking(False)
            os.dup2(dead.fileno(), self.fd, inheritable=False)

    def _last_words(self, answer: bytes) -> None:
        self.sock.send(answer)

    @property
    def owed(self) -> RequestHead | None:
        """The request whose answer the client has not been given whole; None if there is none."""
        whole = self.http.whole and not (self.unsent or self.held)
        return None if whole else self.http.head

    def close(self) -> None:
        """Close the socket, and drop all references that lead back here."""
        self.environ = self.last_environ = {}
        if self._file_parts:
            self.drop_output()
        self.forget_collected()
        if forks.happened and not self.aborted:  # another process may have it open as well
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def forget_collected(self) -> None:
        """Forget a body that was gathered and that no call will read."""
        body, self.collected = self.collected, None
        if body is not None:
            with contextlib.suppress(OSError):  # what it holds cannot even be written down
                body.close()

    # --------------------------------------- for the thread that serves a request

    def transmit(self, output: Output, last: bool) -> None:
        """Write `output`; wait for a slow client only while there is more to come.

        Raises:
            ClientGone: nobody takes it.
        """
        try:
            if type(output) is bytes and not self._out:
                if last:
                    self.held = output
                elif output:
                    self._send(output)
            else:
                for piece in (output,) if isinstance(output, bytes) else output:
                    self._keep(memoryview(piece))
                self.flush()
        except OSError as error:
            raise self._left(error) from error
        if not last and self.unsent > HIGH_WATER:
            self._wait_until_taken(HIGH_WATER // 2)

    def release(self) -> None:
        """Write what is held.

        Raises:
            ClientGone: nobody takes it.
        """
        output, self.held = self.held, b""
        if not output or self.given_up:
            return
        try:
            self._send(output)
        except OSError as error:
            raise self._left(error) from error

    def _send(self, output: bytes) -> None:
        try:
            sent = self.sock.send(output)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(output):
            self._keep(memoryview(output)[sent:])

    def _keep(self, piece: memoryview) -> None:
        if piece:
            self._out.append(piece)
            self.unsent += len(piece)

    def _left(self, error: OSError | None) -> ClientGone:
        """Return the failure to raise: the client is gone, or does not take its answer."""
        if error is None:
            gone = ClientGone(errno.ETIMEDOUT, "the client does not take its answer")
        else:
            gone = ClientGone(error.errno, "the client closed the connection")
        self.failure = gone
        return gone

    def _wait_until_taken(self, rest: int) -> None:
        """Wait until no more than `rest` bytes are kept, or the client's time is over."""
        if isinstance(self.failure, ClientGone):
            raise self.failure  # an application that goes on regardless is not to wait again
        if self.unsent <= rest:
            return
        with self._waiting():
            while self.unsent > rest:
                self._wait_for(select.POLLOUT)
                before = self.unsent
                try:
                    self.flush()
                except OSError as error:
                    raise self._left(error) from error
                now = time.monotonic()
                if self.unsent < before:
                    self.waits_since = now
                if self.overdue(now):
                    raise self._left(None)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self.waits_since = time.monotonic()
        self.client_waits.begins(self)
        try:
            yield
        finally:
            self.waits_since = 0.0
            self.client_waits.ends(self)

    def overdue(self, now: float) -> RequestError | Literal["close", "abort"] | None:
        """See `Deadlines.overdue`. What the client's kernel has is what the client has taken: the
        buffers of ours may hold megabytes, and take more in large lumps only."""
        unsent = self.unsent
        if unsent:
            unsent += untaken(self.fd)
        return self.deadlines.overdue(self.http, now, unsent=unsent)

    def transmit_file(self, fd: int, offset: int, count: int) -> None:
        """`count` bytes of a regular file by sendfile(2); what a client does not take at once
        waits for it, on a descriptor of our own.

        Raises:
            ClientGone: nobody takes it.
            OSError: the file cannot be read, or has become shorter.
        """
        end = offset + count
        if not self._out:
            try:
                sent = send_file(self.fd, fd, offset, count)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except ConnectionError as error:
                raise self._left(error) from error
            except FileError as error:
                raise OSError(str(error)) from error
            if sent > 0:
                offset += sent
                self.http.bytes_sent += sent
        if offset < end:
            self._keep_file(fd, offset, end)

    def _keep_file(self, fd: int, offset: int, end: int) -> None:
        if os.fstat(fd).st_size < end:
            raise OSError(SHORTER)
        self._out.append(FilePart(os.dup(fd), offset, end))
        self._file_parts += 1
        self.unsent += end - offset
        self.http.bytes_sent += end - offset

    def _wait_for(self, event: int) -> None:
        """Wait for the client, but no longer than a second at a time."""
        seconds = self.client_waits.goes_on()
        poll = select.poll()
        poll.register(self.fd, event)
        poll.poll(seconds * 1000)

    def client_disconnected(self) -> bool:
        """`bare_serve.client_disconnected`: True if nobody is there to take the answer.

        Asks the kernel, and neither reads nor writes. A client that has ended its own side only
        counts as gone, though it is answered by an application that goes on all the same.
        """
        return self.aborted or isinstance(self.failure, ClientGone) or has_left(self.sock)

    def receive_body(self) -> bytes:
        """Wait for the next piece of a body that is still arriving; b"" at its end.

        Raises:
            RequestError: the body is malformed, too large or too slow.
            ClientGone: the client left in the middle of it.
        """
        if self.failure is not None:
            raise self.failure  # and never an end that looks like one
        http = self.http
        if http.response_complete:
            return b""  # what comes now may belong to the next request
        try:
            if output := http.continue_expected():
                self.transmit(output, False)
            while (event := http.next_event()) is NEED_DATA:
                self._wait_for_bytes()
        except (RequestError, ClientGone) as error:
            self.failure = error
            http.keep_alive = False  # also if the application swallows it, and answers
            raise
        if self.failure is not None:
            raise self.failure  # given up meanwhile, by another thread
        return event if isinstance(event, bytes) else b""

    def _wait_for_bytes(self) -> None:
        try:
            if self.read():
                return
            with self._waiting():
                while not self.read():
                    if self.failure is not None:
                        raise self.failure
                    if self.http.phase == BODY:
                        verdict = self.deadlines.overdue(self.http, time.monotonic())
                        if isinstance(verdict, RequestError):
                            raise verdict
                    self._wait_for(select.POLLIN)
        except OSError as error:
            raise self._left(error) from error
