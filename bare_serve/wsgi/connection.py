"""A client's socket and the HTTP connection on it, for a loop that hands itself off.

What lives here: reading and writing without waiting (for the loop) and with waiting (for a thread
inside an application call), and closing so that the answer survives. What must not: epoll, threads,
leadership; the application.

Output that the client does not take at once is kept here and flushed by the loop. While an
application is still producing, no more than ``HIGH_WATER`` bytes are kept: then its thread waits.
The last piece of an answer is never waited for, and if it is all there is, it is *held* until the
call is over: a thread that wants the GIL back after its write does not look like a slow call.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections import deque
from typing import Any, Final

from bare_serve import forks
from bare_serve.errors import ClientGone, RequestError
from bare_serve.forwarded import Trust
from bare_serve.http1 import (
    BODY,
    IDLE,
    LINGER_BYTES,
    LINGER_SECONDS,
    NEED_DATA,
    Output,
    RequestHead,
    ServerConnection,
    Timeouts,
    Watch,
)

READ_BYTES: Final = 1 << 16
HIGH_WATER: Final = 1 << 18
_WAIT_SECONDS: Final = 1.0
_RESET_AT_CLOSE: Final = b"\1\0\0\0\0\0\0\0"
_NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class Connection:
    """One client. Used by one thread at a time: its owner (see the worker)."""

    __slots__ = (
        "_out",
        "aborted",
        "busy",
        "client",
        "collected",
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
        "sock",
        "trust",
        "unsent",
        "waits",
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
        environ["wsgi.early_hints"] = None  # each request has its own
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
        self.waits = False
        """The serving thread waits for the client, who has deadlines of its own."""
        self._out: deque[memoryview] = deque()
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
        """Takes what the client has sent; False when there was nothing to take.

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
        """Says that no more will be sent; False if there is no use in waiting."""
        if self.aborted:
            return False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.linger_until = time.monotonic() + LINGER_SECONDS
        return True

    def abort(self) -> None:
        """Breaks the connection off so that the client notices: no clean end, a reset."""
        self.aborted = True
        self.drop_output()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)

    def drop_output(self) -> None:
        """Forgets what the client has not taken yet."""
        self._out.clear()
        self.held = b""
        self.unsent = 0

    def condemn(self) -> None:
        """The thread that serves it takes too long: whatever it asks of the client fails now."""
        self.given_up = self.aborted = True
        self.failure = ClientGone(errno.ETIME, "the request took longer than --timeout-request")

    def give_up(self, answer: bytes, *, reset: bool = False) -> None:
        """Ends the exchange of a thread that was condemned, from another thread.

        ``answer`` is what the client is told, b"" if it has been told something already; ``reset``:
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
        """Resets the connection, which only closing its socket does: a dead one takes the place
        of it, under the number that the other thread may be about to use."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        dead, other = socket.socketpair()
        other.close()
        with dead:
            dead.setblocking(False)
            os.dup2(dead.fileno(), self.fd, inheritable=False)

    def _last_words(self, answer: bytes) -> None:
        self.sock.send(answer)

    def close(self) -> None:
        """Closes the socket, and lets go of whatever leads back here."""
        self.environ = self.last_environ = {}
        self.forget_collected()
        if forks.happened and not self.aborted:  # another process may have it open as well
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def forget_collected(self) -> None:
        """Lets go of a body that was gathered and that nobody will read."""
        body, self.collected = self.collected, None
        if body is not None:
            with contextlib.suppress(OSError):  # what it holds cannot even be written down
                body.close()

    # --------------------------------------- for the thread that serves a request

    def transmit(self, output: Output, last: bool) -> None:
        """Writes ``output``; waits for a slow client only while there is more to come.

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
        """Writes what is held.

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
        """The failure to raise: the client is not there any more, or as good as gone."""
        if error is None:
            gone = ClientGone(errno.ETIMEDOUT, "the client does not take its answer")
        else:
            gone = ClientGone(error.errno, "the client closed the connection")
        self.failure = gone
        return gone

    def _wait_until_taken(self, rest: int) -> None:
        """Waits until no more than ``rest`` bytes are kept, or the client's time is over."""
        if isinstance(self.failure, ClientGone):
            raise self.failure  # an application that goes on regardless is not to wait again
        while self.unsent > rest:
            self._wait_for(select.POLLOUT, _WAIT_SECONDS)
            try:
                self.flush()
            except OSError as error:
                raise self._left(error) from error
            if self.watch.overdue(self.http, time.monotonic(), unsent=self.unsent):
                raise self._left(None)

    def transmit_file(self, fd: int, offset: int, count: int) -> None:
        """``count`` bytes of a regular file by sendfile(2); waits for a slow client.

        Raises:
            ClientGone: nobody takes it.
            OSError: the file cannot be read, or has become shorter.
        """
        self._wait_until_taken(0)
        end = offset + count
        while offset < end:
            try:
                sent = os.sendfile(self.fd, fd, offset, end - offset)
            except (BlockingIOError, InterruptedError):
                self._wait_until_writable()
                continue
            except ConnectionError as error:
                raise self._left(error) from error
            except OSError as error:
                if error.errno not in _NO_SENDFILE:
                    raise
                self._copy_file(fd, offset, end)
                return
            if sent == 0:
                raise OSError("the file has become shorter while it was sent")
            offset += sent
            self.http.bytes_sent += sent

    def _wait_until_writable(self) -> None:
        """Waits until the client takes something again, or its time is over."""
        if not self._wait_for(select.POLLOUT, self.watch.timeouts.write):
            raise self._left(None)

    def _wait_for(self, event: int, seconds: float) -> bool:
        """Waits for the client, without end if ``seconds`` is 0; False if the time is over."""
        poll = select.poll()
        poll.register(self.fd, event)
        self.waits = True
        try:
            return bool(poll.poll(seconds * 1000 or None))
        finally:
            self.waits = False

    def _copy_file(self, fd: int, offset: int, end: int) -> None:
        """For a file system that knows no sendfile."""
        while offset < end:
            block = os.pread(fd, min(READ_BYTES, end - offset), offset)
            if not block:
                raise OSError("the file has become shorter while it was sent")
            self.transmit(block, False)
            offset += len(block)
            self.http.bytes_sent += len(block)

    def receive_body(self) -> bytes:
        """The next piece of a body that is still arriving; b"" at its end. Waits for it.

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
            while not self.read():
                if self.failure is not None:
                    raise self.failure
                if self.http.phase == BODY:
                    verdict = self.watch.overdue(self.http, time.monotonic())
                    if isinstance(verdict, RequestError):
                        raise verdict
                self._wait_for(select.POLLIN, _WAIT_SECONDS)
        except OSError as error:
            raise self._left(error) from error
