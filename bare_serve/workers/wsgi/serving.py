"""What one thread of the WSGI worker does with a connection: reads, serves, gives it back.

What lives here: from readiness to events and requests, and who may touch a connection. What must
not: the loop (leader.py), the call of the application (caller.py), bytes (wsgi/connection.py).

A connection belongs to the leader, except while its request is served by a thread that has lost
the lead: then it is *busy*, and an event on it only makes the leader stop watching it. The late
thread watches it again as its last act.

A connection with more requests than one turn of the loop has time for is *queued*, busy all the
while, behind all others that are ready.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import RequestHead
from bare_serve.http1 import END_OF_BODY, MUST_CLOSE, NEED_DATA, PAUSED
from bare_serve.workers.poller import READ, WRITE
from bare_serve.workers.wsgi.caller import Caller
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.input import NO_INPUT

# What one connection may take of a turn of the loop, before it waits behind those that are ready:
# one request, or as many as fit. The first is not measured, since mostly it is the only one.
TURN_SECONDS: Final = 0.001

logger = logging.getLogger("bare_serve.worker")


class ConnectionServer(Caller):
    """The connections that one thread has in its hands, one after the other."""

    def _ready(self, connection: Connection) -> None:
        """Go on with a connection that can be read or written, or is broken."""
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
        # As `_go_on` does, whose call is saved. Case "hello": 10 of 967 instructions of Python.
        try:
            self._advance(connection)
        except Exception as error:  # noqa: BLE001
            self._fail(connection, error)

    def _go_on(self, connection: Connection, head: RequestHead | None = None) -> None:
        """Go on with what has been received, or with `head`; no failure leaves."""
        try:
            if head is None:
                self._advance(connection)
            else:
                until = time.monotonic() + TURN_SECONDS
                self._begin(connection, head)
                self._advance(connection, until, True)
        except Exception as error:  # noqa: BLE001
            self._fail(connection, error)

    def _fail(self, connection: Connection, error: Exception) -> None:
        """Close a connection that cannot go on: its client has left, or the server has a fault."""
        if not isinstance(error, ClientGone):
            # Nothing a client sends may end a worker; and nothing of ours is swallowed unseen.
            logger.error("A fault of the server: this connection is closed.", exc_info=error)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        """Close a connection, of which nothing is served any more."""
        self.call.serving = None
        self._shared.close(connection)

    def _park(self, connection: Connection) -> None:
        """Stop watching a busy connection, until its thread gives it back."""
        with self._shared.park_lock:
            if connection.busy and connection.events:
                self._shared.poller.forget(connection.fd)
                connection.events = 0

    def _advance(self, connection: Connection, until: float = 0.0, served: bool = False) -> None:
        """Go through what the connection has received, as far as it can be answered now.

        `until`: when its turn is over; 0.0 if that is still to be found out. `served`: one
        request has been, in this turn.

        Raises:
            ClientGone: there is nobody to go on for.
        """
        http = connection.http
        next_event = http.next_event
        while True:
            if connection.held:
                if http.keep_alive:
                    connection.release()
                else:
                    connection.release_last()
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
                        self.call.serving = None
                        self._shared.put_in_queue(connection, now, leads=self._leading)
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
        """Watch for what comes next and, if the connection was busy, give it back."""
        wanted = WRITE if connection.unsent else READ
        if self._leading:
            connection.busy = False
            if connection.events != wanted:
                self._rewatch(connection, wanted)
            return
        with self._shared.park_lock:
            if self._shared.over:
                connection.close()  # nobody else knows of it any more
            else:
                self._rewatch(connection, wanted)
                connection.busy = False

    def _rewatch(self, connection: Connection, wanted: int) -> None:
        if not connection.events:
            self._shared.poller.watch(connection.fd, wanted)
        elif connection.events != wanted:
            self._shared.poller.change(connection.fd, wanted)
        connection.events = wanted
