"""One thread of the WSGI worker: leads the loop, serves requests, stands by.

What lives here: from readiness to events, from a head to the application's call, and who may touch
a connection. What must not: the worker's life (wsgi_worker.py), bytes (wsgi/connection.py).

A connection belongs to the leader, except while its request is served by a thread that has lost
the lead: then it is *busy*, and an event on it only makes the leader stop watching it. The
late thread watches it again as its last act.
"""

from __future__ import annotations

import errno
import io
import logging
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import END_OF_BODY, MUST_CLOSE, NEED_DATA, PAUSED, Output, RequestHead
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.environ import request_environ
from bare_serve.wsgi.input import NO_INPUT, BrokenInput, StreamInput, unless_read
from bare_serve.wsgi.response import Exchange

from .handoff import LOOK_SECONDS
from .poller import READ, WRITE

if TYPE_CHECKING:
    import socket

    from .wsgi_worker import WsgiWorker

# A body up to here is read by the loop before the application is called: a slow client never
# holds a thread for it. A larger one is read while the application asks for it.
SMALL_BODY: Final = 1 << 16
# A chunked body is gathered whole, since most applications read only as far as CONTENT_LENGTH:
# in memory up to here, in a temporary file beyond.
SPOOL_BYTES: Final = 1 << 19
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_log = logging.getLogger("bare_serve.worker")
_app_log = logging.getLogger("bare_serve.app")


class Attendant:
    """One per thread."""

    def __init__(self, worker: WsgiWorker) -> None:
        self._worker = worker
        self._leading = True
        self._accept_again = 0.0

    def run(self) -> None:
        """The thread: leads, is late, stands by, leads again."""
        leadership = self._worker.leadership
        assert leadership is not None
        while True:
            self._leading = True
            self.lead()
            if self._worker.over or not leadership.stand_by():
                leadership.ring()
                return

    # ------------------------------------------------------------------ the loop

    def lead(self) -> None:
        """Polls and serves until the lead is lost or the worker is over."""
        worker = self._worker
        connections, poll = worker.connections, worker.poller.poll
        access_log = worker.access_log
        while True:
            for fd, events in poll(0.5):
                connection = connections.get(fd)
                if connection is None:
                    self._shared(fd)
                else:
                    self._ready(connection, events)
                    if not self._leading:
                        return  # what else was ready, the new leader is told as well
            if access_log is not None and access_log.pending:
                access_log.flush()
            now = time.monotonic()
            if now >= worker.next_tick:
                self._tick(now)
            if worker.lifecycle.stopping and self._drained(now):
                worker.over = True
                return

    def _shared(self, fd: int) -> None:
        """A listener, the wake-up socket, or a connection another thread has closed meanwhile."""
        worker = self._worker
        listener = worker.listeners.get(fd)
        if listener is not None:
            self._accept(listener)
        elif fd == worker.wake_reader.fileno():
            worker.wake_reader.recv(64)

    def _accept(self, listener: socket.socket) -> None:
        """Takes one connection where others accept as well, so that a burst spreads evenly."""
        worker = self._worker
        for _ in range(1 if worker.options.multiprocess else 64):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _log.error("Cannot accept: %s. Trying again in a second.", error.strerror)
                worker.poller.forget(listener.fileno())
                worker.paused_listeners.append(listener.fileno())
                return
            try:
                connection = worker.adopt(sock, peer)
            except OSError:  # the client left between accept and here
                sock.close()
                continue
            self._ready(connection, READ)
            if not self._leading:
                return

    def _ready(self, connection: Connection, events: int) -> None:
        """A connection can be read or written, or is broken."""
        if connection.busy:
            self._park(connection)
            return
        try:
            if connection.linger_until:
                if connection.discard():
                    self._worker.close(connection)
                return
            if connection.unsent:
                connection.flush()
            elif not connection.read() and not connection.events:
                self._settle(connection)
                return
        except OSError:
            self._worker.close(connection)
            return
        try:
            self._advance(connection)
        except Exception:  # noqa: BLE001
            # Nothing a client sends may end a worker; and nothing of ours is swallowed unseen.
            _log.exception("A fault of the server: this connection is closed.")
            self._worker.close(connection)

    def _park(self, connection: Connection) -> None:
        """An event on a busy connection: it is not watched until its thread gives it back."""
        with self._worker.park_lock:
            if connection.busy and connection.events:
                self._worker.poller.forget(connection.fd)
                connection.events = 0

    def _advance(self, connection: Connection) -> None:
        """Goes through what the connection has received, as far as it can be answered now."""
        http = connection.http
        while not connection.unsent:
            try:
                event = http.next_event()
            except RequestError as error:
                self._fault(connection, error)
                continue
            except ClientGone:
                self._worker.close(connection)
                return
            if event is NEED_DATA:
                break
            if type(event) is RequestHead:
                if event.has_body:
                    self._begin_body(connection, event)
                else:
                    self._serve(connection, event, NO_INPUT)
            elif event is END_OF_BODY:
                self._serve_collected(connection)
            elif event is MUST_CLOSE:
                if self._finish(connection):
                    return
                break
            elif isinstance(event, bytes):
                self._collect(connection, event)
            else:
                assert event is PAUSED
                break
        self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """Watches for what comes next and, if it was busy, gives the connection back."""
        wanted = WRITE if connection.unsent else READ
        if self._leading:
            connection.busy = False
            if connection.events != wanted:
                self._rewatch(connection, wanted)
        else:
            with self._worker.park_lock:
                self._rewatch(connection, wanted)
                connection.busy = False

    def _rewatch(self, connection: Connection, wanted: int) -> None:
        if not connection.events:
            self._worker.poller.watch(connection.fd, wanted)
        elif connection.events != wanted:
            self._worker.poller.change(connection.fd, wanted)
        connection.events = wanted

    def _finish(self, connection: Connection) -> bool:
        """The last answer has been written: closes, or lingers; True when it is closed."""
        if connection.http.linger and connection.start_lingering():
            return False
        self._worker.close(connection)
        return True

    # ------------------------------------------------------------------ requests

    def _begin_body(self, connection: Connection, head: RequestHead) -> None:
        """Decides who reads the body: the loop beforehand, or the application."""
        length = head.content_length
        if length is None:
            if output := connection.http.continue_expected():
                connection.transmit(output, True)
            connection.collected = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
        elif length <= SMALL_BODY and not head.expect_continue:
            connection.collected = io.BytesIO()
        else:
            self._serve(connection, head, StreamInput(connection.receive_body))

    def _collect(self, connection: Connection, piece: bytes) -> None:
        try:
            connection.collected.write(piece)
        except OSError as error:
            _log.error("Cannot store a request body: %s.", error.strerror or error)
            self._refuse(connection, RequestError(507, "There is no room for the request body."))

    def _serve_collected(self, connection: Connection) -> None:
        head = connection.http.head
        body, connection.collected = connection.collected, None
        assert head is not None
        length = body.tell()
        body.seek(0)
        try:
            self._serve(connection, head, body, length)
        finally:
            body.close()

    def _fault(self, connection: Connection, error: RequestError) -> None:
        """Refuses; but behind a good head the application may answer without the bad body."""
        head, body = connection.http.head, connection.collected
        if head is None or body is None:
            self._refuse(connection, error)
            return
        connection.collected, connection.input_error = None, error
        # Many read no further than CONTENT_LENGTH; this one leads them behind what was good.
        self._serve(connection, head, BrokenInput(error), body.tell() + 1)
        body.close()

    def _serve(
        self, connection: Connection, head: RequestHead, body: Any, length: int | None = None
    ) -> None:
        """Calls the application, and finds out whether this thread still leads."""
        worker = self._worker
        environ = self._environ(connection, head)
        environ["wsgi.input"] = body
        if head.chunked and length is not None:
            environ["CONTENT_LENGTH"] = str(length)
        worker.requests += 1
        connection.busy = True
        leadership = worker.leadership
        if not self._leading or leadership is None:
            self._call(connection, head, environ)
            return
        slow = worker.slow
        if slow and (head.method, head.raw_path) in slow and leadership.pass_on():
            self._leading = False
            before = time.monotonic()
            self._call(connection, head, environ)
            took = time.monotonic() - before
            slow.note((head.method, head.raw_path), took >= LOOK_SECONDS)
            return
        leadership.offer()
        try:
            self._call(connection, head, environ)
        finally:
            if not leadership.reclaim():
                self._leading = False
                slow.note((head.method, head.raw_path), True)

    def _environ(self, connection: Connection, head: RequestHead) -> dict[str, Any]:
        """The environ of a request; of one that repeats the last head, a copy."""
        if head is not connection.last_head:
            connection.last_environ = request_environ(
                connection.environ, head, self._worker.options.root_path
            )
            connection.last_head = head
        return connection.last_environ.copy()

    def _call(self, connection: Connection, head: RequestHead, environ: dict[str, Any]) -> None:
        http = connection.http
        access_log = self._worker.access_log
        started = time.perf_counter() if access_log is not None else 0.0
        application = self._worker.application
        if connection.input_error is not None:
            application = unless_read(application, environ["wsgi.input"])
        try:
            Exchange(http, connection).run(application, environ)
        except ClientGone:
            self._gone(connection)
        except RequestError as error:
            self._refuse(connection, error)
        except BaseException:  # noqa: BLE001
            # SystemExit too: an application must not end a worker by a stray sys.exit().
            self._failed(connection, head)
        if http.overrun or http.short:
            self._wrong_length(head, http.overrun)
        if access_log is not None:
            access_log.record(
                connection.client,
                head.method,
                head.target,
                head.minor,
                http.status,
                http.bytes_sent,
                time.perf_counter() - started,
            )

    def _failed(self, connection: Connection, head: RequestHead) -> None:
        """The application raised: its traceback to the log, 500 to the client."""
        if connection.input_error is not None and isinstance(connection.input_error, ClientGone):
            self._gone(connection)
            return
        target = head.target.decode("ascii", "backslashreplace")
        _app_log.exception("The application failed: %s %s", head.method, target)
        http = connection.http
        if not http.response_started:
            http.start_response(500, [(b"Content-Type", b"text/plain; charset=utf-8")])
            self._transmit_last(connection, http.send_body(b"Internal Server Error\n", False))
        elif not http.break_off():
            connection.abort()

    def _gone(self, connection: Connection) -> None:
        connection.http.break_off()
        connection.abort()

    def _wrong_length(self, head: RequestHead, overrun: bool) -> None:
        what = "more" if overrun else "less"
        _app_log.warning(
            "The application sent %s than its Content-Length: %s %s",
            what,
            head.method,
            head.target.decode("ascii", "backslashreplace"),
        )

    def _refuse(self, connection: Connection, error: RequestError) -> None:
        """The server's own answer, the last one of the connection."""
        self._transmit_last(connection, connection.http.error_response(error))

    def _transmit_last(self, connection: Connection, output: Output) -> None:
        try:
            connection.transmit(output, True)
        except ClientGone:
            connection.abort()

    # ------------------------------------------------------------------ time

    def _tick(self, now: float) -> None:
        worker = self._worker
        worker.tick(now)
        while worker.paused_listeners and not worker.draining:
            worker.poller.listen(worker.paused_listeners.pop())
        for connection in list(worker.connections.values()):
            if connection.busy:
                continue
            if connection.linger_until:
                if now >= connection.linger_until:
                    worker.close(connection)
                continue
            verdict = connection.watch.overdue(connection.http, now, unsent=connection.unsent)
            if verdict is None:
                continue
            if isinstance(verdict, RequestError):
                self._refuse(connection, verdict)
                self._advance(connection)
            else:
                if verdict == "abort":
                    connection.abort()
                worker.close(connection)

    def _drained(self, now: float) -> bool:
        """True when nobody is owed an answer any more, or the time is over."""
        worker = self._worker
        if not worker.draining:
            worker.begin_drain(now)
            for connection in list(worker.connections.values()):
                if not connection.busy and not connection.linger_until:
                    self._advance(connection)
        return not worker.connections or worker.out_of_time(now)
