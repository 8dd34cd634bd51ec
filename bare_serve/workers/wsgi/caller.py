"""From the head of a request to the application's call, in a thread of the WSGI worker.

What lives here: who reads the body, and the call, with the ticket laid down before it and taken up
behind it. What must not: the loop (leader.py), who may touch a connection (serving.py), what
becomes of a failure (wsgi/service.py), where a body is stored (spool.py).

Wherever an application may have been called, the caller looks at `_leading` before it touches
anything else: the lead may be lost by then.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any, Final

from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.workers.wsgi.compute_gate import CallProfile
from bare_serve.workers.wsgi.leadership import LOOK_SECONDS, Leadership
from bare_serve.workers.wsgi.shared import Shared
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.input import NO_INPUT, StreamInput

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.spool import GatheredBody

# A body up to here is read by the loop before the application is called: a slow client never
# holds a thread for it. A larger one is read while the application asks for it. A chunked body is
# gathered whole, since most applications read only as far as CONTENT_LENGTH, and so is a large one
# where half of the threads wait for clients already (spool.py).
SMALL_BODY: Final = 1 << 16

logger = logging.getLogger("bare_serve.worker")


class Caller:
    """The calls of one thread."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        # Bound here, since each request asks for them.
        self._service = shared.service
        self._slow_calls = shared.slow_calls
        self._leadership = shared.leadership
        self._leading = True
        """Whether this thread leads, as far as it knows."""
        self.call = shared.new_call()
        """What other threads may see of the call that runs now."""

    def _begin(self, connection: Connection, head: RequestHead) -> None:
        if head.has_body:
            self._begin_body(connection, head)
        else:
            self._serve(connection, head, NO_INPUT)

    def _begin_body(self, connection: Connection, head: RequestHead) -> None:
        """Decide who reads the body: the loop beforehand, or the application."""
        length = head.content_length
        if length is None:
            whole = self._shared.options.wsgi_buffer_chunked
        else:
            whole = not self._shared.may_stream()
        if length is not None and length <= SMALL_BODY and not head.expect_continue:
            connection.collected = io.BytesIO()
        elif whole:
            connection.collected = body = self._shared.spool.body()
            if length is None or self._has_room(connection, body, length):
                connection.transmit(connection.http.continue_expected(), True)
        else:
            self.call.streams = True
            try:
                with StreamInput(connection.receive_body) as stream:
                    self._serve(connection, head, stream)
            finally:
                self.call.streams = False

    def _has_room(self, connection: Connection, body: GatheredBody, length: int) -> bool:
        """Return whether a body of this length can be stored; if not, refuse it before it comes."""
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
            service.refuse(connection, error)
            return
        environ["wsgi.input"] = body
        if length is not None and head.chunked:
            environ["CONTENT_LENGTH"] = str(length)
        call = self.call
        call.requests += 1
        call.serving = connection
        connection.busy = True
        leadership = self._leadership
        if not self._leading or leadership is None:
            service.call(connection, head, environ)
            return
        slow = self._slow_calls
        if slow.entries and (known := slow.expects(head.method, head.raw_path)) is not None:
            self._serve_slow(connection, head, environ, leadership, known.profile)
            return
        call.ticket = ticket = leadership.offer()
        try:
            service.call(connection, head, environ)
        finally:
            if not leadership.reclaim(ticket):
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
        call, compute_gate = self.call, self._shared.compute_gate
        call.ticket = ticket = leadership.give()
        call.compute_pass = compute_pass = compute_gate.begin(profile)
        try:
            self._service.call(connection, head, environ)
        finally:
            call.compute_pass = None
            self._leading = leadership.reclaim(ticket)
            took = compute_gate.end(compute_pass, leadership.waiting)
            self._slow_calls.note(head.method, head.raw_path, took >= LOOK_SECONDS)
