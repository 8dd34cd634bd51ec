"""One thread of the WSGI worker: leads the loop, serves requests, stands by.

What lives here: from readiness to events, from a head to the application's call, and who may touch
a connection. What must not: the worker's life (worker.py), bytes (wsgi/connection.py), what
becomes of a failure (wsgi/service.py).

A connection belongs to the leader, except while its request is served by a thread that has lost
the lead: then it is *busy*, and an event on it only makes the leader stop watching it. The late
thread watches it again as its last act. Wherever an application may have been called, the caller
looks at `_leading` before it touches anything else.

A connection with more requests than one turn of the loop has time for is *queued*, busy all the
while, behind all others that are ready; so is one whose request came while no thread was free.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import (
    END_OF_BODY,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    RequestHead,
)
from bare_serve.system import forks
from bare_serve.workers.accept_balance import STEP
from bare_serve.workers.poller import READ, WRITE
from bare_serve.workers.wsgi.compute_gate import CallProfile, Pass
from bare_serve.workers.wsgi.leadership import LOOK_SECONDS, Follower, Leadership
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.input import NO_INPUT, StreamInput

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.spool import GatheredBody
    from bare_serve.workers.wsgi.worker import WsgiWorker

# A body up to here is read by the loop before the application is called: a slow client never
# holds a thread for it. A larger one is read while the application asks for it.
SMALL_BODY: Final = 1 << 16
# A chunked body is gathered whole, since most applications read only as far as CONTENT_LENGTH, and
# so is a large one where half of the threads wait for clients already (spool.py).
# What one connection may take of a turn of the loop, before it waits behind those that are ready:
# one request, or as many as fit. The first is not measured, since mostly it is the only one.
TURN_SECONDS: Final = 0.001
_POLL_SECONDS: Final = 0.5
_DRAIN_POLL_SECONDS: Final = 0.02

logger = logging.getLogger("bare_serve.worker")


class WorkerThread:
    """One per thread."""

    def __init__(self, worker: WsgiWorker) -> None:
        self._worker = worker
        self._service = worker.service
        self._slow = worker.slow
        self._leading = True
        self._holds = False
        self._meet = self._ready
        """What is done with a connection that can be read or written."""
        self.number = next(worker.numbers)
        self.ident = 0
        self.call = 0
        """The number under which the leadership knows the call that runs now."""
        self.compute_pass: Pass | None = None
        """That of the call that runs now, if it was expected to be slow."""
        self.requests = 0
        """Calls of the application by this thread."""
        self.serving: Connection | None = None
        """The connection of the call that runs now, if it is busy."""
        self.streams = False
        """The application of that call reads its body from the client."""

    @property
    def leads(self) -> bool:
        """This thread leads, as far as it knows."""
        return self._leading

    def run(self, leadership: Leadership, follower: Follower) -> None:
        """Run the thread: wait for the lead, lead, be late, stand by."""
        worker = self._worker
        goes_on = follower.wait()
        while goes_on:
            self._leading = True
            try:
                self.lead()
            except BaseException as error:
                forks.end_copy()
                if self._leading:
                    worker.break_down(error)
                else:
                    logger.exception("A fault of the server, in a thread that served one request.")
            self.serving = None
            goes_on = not worker.over and leadership.stand_by(follower)
        worker.retire(self)
        leadership.ring()

    # ------------------------------------------------------------------ the loop

    def lead(self) -> None:
        """Poll and serve until the lead is lost or the worker is over."""
        self.ident = threading.get_ident()
        worker = self._worker
        acceptor, connections, poll = worker.acceptor, worker.connections, worker.poller.poll
        lifecycle, queue = worker.lifecycle, worker.queue
        client_waits = _DRAIN_POLL_SECONDS if worker.draining else _POLL_SECONDS
        self._hold_if_crowded()
        while True:
            for fd, _ in poll(
                self._nap(client_waits) if queue or acceptor.should_yield else client_waits
            ):
                connection = connections.get(fd)
                if connection is None:
                    self._shared(fd)
                else:
                    self._meet(connection)
                if not self._leading:
                    return  # what else was ready, the new leader is told as well
            if queue or self._holds:
                self._serve_queue()
                if not self._leading:
                    return
            now = time.monotonic()
            if acceptor.should_yield:
                acceptor.listen_again(now)
            if now >= worker.next_tick:
                self.tick(now)
            if lifecycle.stopping:
                client_waits = _DRAIN_POLL_SECONDS
                if self._drained(now):
                    worker.over = True
                    return
            if not self._leading:
                return

    def _nap(self, client_waits: float) -> float:
        """Return how long to wait for readiness while something else waits as well."""
        if self._worker.queue and not self._holds:
            return 0.0
        return STEP if self._worker.acceptor.should_yield else client_waits

    def _shared(self, fd: int) -> None:
        """Handle a listener, the wake-up socket, or a connection closed by another thread."""
        worker = self._worker
        acceptor = worker.acceptor
        if fd in acceptor.listeners:
            for connection in acceptor.take(fd):
                self._meet(connection)
                if not self._leading:
                    return
        elif fd == worker.wake_reader.fileno():
            worker.wake_reader.recv(64)
            acceptor.look()
        elif (introduced := acceptor.begin_handshake(fd)) is not None:
            self._meet(introduced)

    def _ready(self, connection: Connection) -> None:
        """Handle a connection that can be read or written, or is broken."""
        if connection.busy:
            self._park(connection)
            return
        try:
            if connection.linger_until:
                if connection.discard():
                    self._close(connection)
                return
            if connection.unsent:
                connection.flush()
            else:
                taken = connection.read()
                if taken is None or not (taken or connection.events):
                    self._settle(connection)
                    return
        except OSError:
            self._close(connection)
            return
        self._go_on(connection)

    def _go_on(self, connection: Connection, head: RequestHead | None = None) -> None:
        """Go on with what has been received, or with `head`, whatever becomes of it."""
        try:
            if head is None:
                self._advance(connection)
            else:
                until = time.monotonic() + TURN_SECONDS
                self._begin(connection, head)
                self._advance(connection, until, True)
        except ClientGone:
            self._close(connection)
        except Exception:
            # Nothing a client sends may end a worker; and nothing of ours is swallowed unseen.
            logger.exception("A fault of the server: this connection is closed.")
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        """Close a connection, and note that none of its requests is served any more."""
        self.serving = None
        self._worker.close(connection)

    def _park(self, connection: Connection) -> None:
        """Stop watching a busy connection that has an event, until its thread gives it back."""
        with self._worker.park_lock:
            if connection.busy and connection.events:
                self._worker.poller.forget(connection.fd)
                connection.events = 0

    def _advance(self, connection: Connection, until: float = 0.0, served: bool = False) -> None:
        """Go through what the connection has received, as far as it can be answered now.

        `until`: when its turn is over; 0.0 if that is still to be found out. `served`: one
        request has been, in this turn.

        Raises:
            ClientGone: there is nobody to go on for.
        """
        next_event = connection.http.next_event
        while True:
            if connection.held:
                connection.release()
            if connection.unsent:
                break
            try:
                event = next_event()
            except RequestError as error:
                self._service.refuse(connection, error)  # a gathered body too: without a call
                continue
            if event is NEED_DATA:
                break
            if type(event) is RequestHead:
                if served:
                    now = time.monotonic()
                    if not self._leading or now > (until := until or now + TURN_SECONDS):
                        connection.next_head = event
                        self._worker.put_in_queue(connection, self, now)
                        return
                served = True
                if event.has_body:
                    self._begin_body(connection, event)
                else:
                    self._serve(connection, event, NO_INPUT)
            elif event is END_OF_BODY:
                # Otherwise the application has read it itself, by length: all but the end.
                if connection.collected is not None:
                    self._serve_collected(connection)
            elif event is MUST_CLOSE:
                if not (connection.http.linger and connection.start_lingering()):
                    self._close(connection)
                    return
                break
            elif isinstance(event, bytes):
                self._collect(connection, event)
            else:
                assert event is PAUSED
                break
        self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """Watch for what comes next and, if it was busy, give the connection back."""
        wanted = WRITE if connection.unsent else READ
        if self._leading:
            connection.busy = False
            if connection.events != wanted:
                self._rewatch(connection, wanted)
            return
        with self._worker.park_lock:
            if self._worker.over:
                connection.close()  # nobody else knows of it any more
            else:
                self._rewatch(connection, wanted)
                connection.busy = False

    def _rewatch(self, connection: Connection, wanted: int) -> None:
        if not connection.events:
            self._worker.poller.watch(connection.fd, wanted)
        elif connection.events != wanted:
            self._worker.poller.change(connection.fd, wanted)
        connection.events = wanted

    # ------------------------------------------------------------------ those who wait

    def _hold_if_crowded(self) -> bool:
        """Return True if this thread leads, but may make no calls."""
        leadership = self._worker.leadership
        self._holds = leadership is not None and not leadership.may_call()
        if self._holds:
            self._worker.acceptor.rest()
            self._meet = self._hold
        else:
            self._worker.acceptor.resume()
            self._meet = self._ready
        return self._holds

    def _serve_queue(self) -> None:
        """Serve one turn of each queued connection, if there is a thread to serve them."""
        worker = self._worker
        if self._holds:
            assert worker.leadership is not None
            if worker.leadership.held:
                return
            if self._hold_if_crowded():
                return
        queue = worker.queue
        for _ in range(len(queue)):
            connection = queue.popleft()
            if not connection.queued:
                continue  # closed meanwhile
            connection.queued = 0.0
            connection.busy = False
            head, connection.next_head = connection.next_head, None
            if head is not None or connection.http.buffered:
                self._go_on(connection, head)
            else:
                self._ready(connection)
            if not self._leading:
                return

    def _hold(self, connection: Connection) -> None:
        """In the place of `_ready` while no thread is free: all but the application's calls."""
        if connection.busy or connection.linger_until:
            self._ready(connection)
            return
        if not connection.events:
            self._settle(connection)  # it is new: whether it says anything is seen later
            return
        try:
            if connection.unsent:
                connection.flush()
                if connection.unsent:
                    return
                if not connection.http.buffered:
                    self._go_on(connection)  # at rest, or closed
                    return
            elif not (connection.http.buffered or connection.has_word()):
                self._ready(connection)  # an end, and no request
                return
        except OSError:
            self._close(connection)
            return
        connection.busy = True
        self._park(connection)
        self._worker.put_in_queue(connection, self, time.monotonic())

    # ------------------------------------------------------------------ requests

    def _begin(self, connection: Connection, head: RequestHead) -> None:
        if head.has_body:
            self._begin_body(connection, head)
        else:
            self._serve(connection, head, NO_INPUT)

    def _begin_body(self, connection: Connection, head: RequestHead) -> None:
        """Decide who reads the body: the loop beforehand, or the application."""
        length = head.content_length
        if length is None:
            whole = self._worker.options.wsgi_buffer_chunked
        else:
            whole = not self._worker.may_stream()
        if length is not None and length <= SMALL_BODY and not head.expect_continue:
            connection.collected = io.BytesIO()
        elif whole:
            connection.collected = body = self._worker.spool.body()
            if length is None or self._has_room(connection, body, length):
                connection.transmit(connection.http.continue_expected(), True)
        else:
            self.streams = True
            try:
                with StreamInput(connection.receive_body) as stream:
                    self._serve(connection, head, stream)
            finally:
                self.streams = False

    def _has_room(self, connection: Connection, body: GatheredBody, length: int) -> bool:
        """Return whether a body of this length can be stored; else refuse it before it comes."""
        try:
            body.expect(length)
        except RequestError as refusal:
            self._service.refuse(connection, refusal)
            return False
        except OSError as error:
            self._cannot_store(connection, error)
            return False
        return True

    def _collect(self, connection: Connection, piece: bytes) -> None:
        try:
            connection.collected.write(piece)
        except RequestError as refusal:
            self._service.refuse(connection, refusal)
        except OSError as error:
            self._cannot_store(connection, error)

    def _serve_collected(self, connection: Connection) -> None:
        head = connection.http.head
        assert head is not None
        body, connection.collected = connection.collected, None
        length = body.tell()
        try:
            body.seek(0)
        except OSError as error:  # it wrote down the last of it
            connection.collected = body
            self._cannot_store(connection, error)
            return
        with body:
            self._serve(connection, head, body, length)

    def _cannot_store(self, connection: Connection, error: OSError) -> None:
        logger.error("Cannot store a request body: %s.", error.strerror or error)
        refusal = RequestError(507, "There is no room for the request body.")
        self._service.refuse(connection, refusal)

    def _serve(
        self, connection: Connection, head: RequestHead, body: Any, length: int | None = None
    ) -> None:
        """Call the application, and find out whether this thread still leads."""
        service = self._service
        try:
            environ = service.environ(connection, head)
        except RequestError as error:
            self._service.refuse(connection, error)
            return
        environ["wsgi.input"] = body
        if length is not None and head.chunked:
            environ["CONTENT_LENGTH"] = str(length)
        self.requests += 1
        self.serving = connection
        connection.busy = True
        leadership = self._worker.leadership
        if not self._leading or leadership is None:
            service.call(connection, head, environ)
            return
        slow = self._slow
        if slow.entries and (known := slow.expects(head.method, head.raw_path)) is not None:
            self._serve_slow(connection, head, environ, leadership, known.profile)
            return
        self.call = call = leadership.offer()
        try:
            service.call(connection, head, environ)
        finally:
            if not leadership.reclaim(call):
                self._leading = False
                slow.note(head.method, head.raw_path, True)

    def _serve_slow(
        self,
        connection: Connection,
        head: RequestHead,
        environ: dict[str, Any],
        leadership: Leadership,
        profile: CallProfile,
    ) -> None:
        """Make a call that will take long, while another thread leads."""
        self.call = call = leadership.give()
        self.compute_pass = compute_pass = self._worker.compute_gate.begin(profile)
        try:
            self._service.call(connection, head, environ)
        finally:
            self.compute_pass = None
            self._leading = leadership.reclaim(call)
            took = self._worker.compute_gate.end(compute_pass, leadership.waiting)
            self._slow.note(head.method, head.raw_path, took >= LOOK_SECONDS)

    # ------------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Once a second: the deadlines of clients."""
        worker = self._worker
        worker.tick(now)
        worker.acceptor.tick(now)
        for connection in list(worker.connections.values()):
            if connection.busy:
                continue
            if connection.linger_until:
                if now >= connection.linger_until:
                    worker.close(connection)
                continue
            verdict = connection.overdue(now)
            if verdict is None:
                continue
            if isinstance(verdict, RequestError):
                self._service.refuse(connection, verdict)
                self._go_on(connection)  # nothing is left in it but the end
            elif verdict == "abort":
                connection.abort()
                worker.close(connection)
            elif not (connection.idle and connection.can_be_read()):
                worker.close(connection)  # else a request has come meanwhile

    def _drained(self, now: float) -> bool:
        """Return True when no client is owed an answer any more, or the time is over."""
        worker = self._worker
        if not worker.draining:
            worker.begin_drain(now)
        if now >= worker.rounds.due and worker.rounds.begin(now):
            self._round(now)
            if not self._leading:
                return False
        return worker.acceptor.is_empty or worker.out_of_time(now)

    def _round(self, now: float) -> None:
        """Close, while draining, connections that were idle in the last round as well.

        Each is read from once more, right before: a request that has arrived is served.
        """
        worker = self._worker
        fresh = worker.rounds.fresh(now)
        for connection in list(worker.connections.values()):
            self._meet(connection)
            if not self._leading:
                return  # the next round, by the new leader, goes over all of them
            requests = connection.http.requests if connection.idle else -1
            if requests == connection.idle_at and (requests > 0 or (fresh and not requests)):
                worker.close(connection)
            connection.idle_at = requests
        if fresh:
            worker.acceptor.handshakes.dismiss_all()
