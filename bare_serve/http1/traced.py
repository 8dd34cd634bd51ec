"""A connection under the x-ray: `ServerConnection`, telling what it reads, decides and writes.

What lives here: for each request a record, begun as its head is known or refused, and the steps
that HTTP itself takes. What must not: the application's steps, which wsgi/traced.py and
asgi/traced.py add to the same record; a decision of any kind: each method does what the one it
overrides does.

Only where an x-ray was asked for a connection is of this class: from its beginning
(workers/exchanges.py), or from an order to the worker that runs to the end of that
(workers/xray_attached.py). No other pays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import HEAD, Field, Output, RequestHead
from bare_serve.http1.connection import ServerConnection
from bare_serve.http1.reader import END_OF_BODY, MUST_CLOSE
from bare_serve.http1.redirect import Redirecting
from bare_serve.xray import show
from bare_serve.xray.server_timing import server_timing
from bare_serve.xray.trace import IN, WRONG, Trace, Tracer

_KEPT = 2048  # bytes, for a head that is refused
_ID = re.compile(rb"^x-request-id:[ \t]*([^\r\n]+)", re.IGNORECASE | re.MULTILINE).search
_END = b"\r\n\r\n"


class Notes:
    """What is noted of one connection."""

    __slots__ = (
        "asks_for_close", "came", "first_at", "framing", "reads", "shown_body", "trace", "traced",
        "tracer",
    )  # fmt: skip

    def __init__(self, http: ServerConnection, tracer: Tracer) -> None:
        self.tracer = tracer
        self.trace: Trace | None = None
        """Of the request that was read last; None if it is not to be shown."""
        self.traced = 0
        """`requests`, when that was begun."""
        self.first_at = 0.0
        """When the first byte came that is not part of an event yet."""
        self.reads = 0
        self.came = b""
        self.shown_body: show.Body | None = None
        self.framing = ""
        self.asks_for_close = False
        self.settle(http)

    def settle(self, http: ServerConnection) -> None:
        """Take what is left for what comes next."""
        if http._position < len(http._buffer):
            self.reads = 1
            self.came = bytes(http._buffer[http._position :][:_KEPT])
        else:
            self.reads, self.came = 0, b""
        self.first_at = perf_counter()


def watch(http: ServerConnection, tracer: Tracer) -> ServerConnection:
    """Have the requests of a connection noted, from the next one on; return the connection.

    It may be new or in use, also in another thread.
    """
    http.notes = Notes(http, tracer)
    http.__class__ = TracedRedirecting if isinstance(http, Redirecting) else TracedConnection
    return http


def leave(http: ServerConnection) -> bool:
    """Have a connection be as it was, and return True; False if its request is still shown."""
    if not isinstance(http, TracedConnection):
        return True
    trace = http.notes.trace
    if trace is not None and not trace.finished:
        return False
    kind = Redirecting if isinstance(http, Redirecting) else ServerConnection
    del http.notes
    http.__class__ = kind  # type: ignore[assignment]
    return True


class TracedConnection(ServerConnection):
    """One connection, with the record of the request that is being served."""

    __slots__ = ()

    notes: Notes

    @property
    def trace(self) -> Trace | None:
        """See `Notes.trace`."""
        return self.notes.trace

    # ------------------------------------------------------------------ reading

    def receive_data(self, data: bytes) -> None:
        """Note when bytes come, and how they begin."""
        if not self.notes.reads:
            self.notes.first_at = perf_counter()
        self.notes.reads += 1
        if len(self.notes.came) < _KEPT:
            self.notes.came += data[:_KEPT]
        super().receive_data(data)

    def next_event(self) -> Any:
        """Begin the record of a request with its head, and note pieces of its body."""
        kind: type[ServerConnection] = type(self)
        if kind is not TracedConnection and not issubclass(kind, TracedConnection):
            return kind.next_event(self)  # bound before the connection became a plain one
        known, requests = self._last_head, self.requests
        try:
            event = super().next_event()
        except RequestError as error:
            if self.requests != requests and self.head is not None:
                self._begin_record(self.head, known)
            elif self.head is None:
                self._begin_refused()
            if self.trace is not None:
                self.trace.step(
                    WRONG,
                    "refused",
                    f"{show.words(str(error))}   by the server: no call is made of it",
                )
            raise
        except ClientGone as error:
            if self.trace is not None and self.head is not None:
                self.trace.step(WRONG, "client left", show.words(str(error)))
            raise
        if type(event) is RequestHead:
            if self.notes.tracer.over:
                self.notes.trace = None
                leave(self)
            elif self.notes.traced != self.requests:  # else by a call of this from within
                self._begin_record(event, known)
                self.notes.settle(self)
        elif type(event) is bytes:
            self._note_body(event)
            self.notes.settle(self)
        elif event is END_OF_BODY or event is MUST_CLOSE:
            self.notes.settle(self)
        return event

    def _begin_record(self, head: RequestHead, known: RequestHead | None) -> None:
        notes = self.notes
        notes.traced = self.requests
        before, notes.trace = notes.trace, None
        number = notes.tracer.admit(head.method, head.raw_path or head.target)
        if not number:
            return
        began = notes.first_at
        title = f"{head.method} {show.target(head.target)}"
        self.notes.trace = trace = Trace(self.notes.tracer, number, title, began)
        if before is not None and trace.options.in_call and not trace.options.silent:
            before.before, trace.before = None, before
        trace.head_at = perf_counter()
        raw = self._last_raw
        reads = f" in {self.notes.reads} reads" if self.notes.reads > 1 else ""
        trace.step(IN, "bytes in", f"{len(raw)} B{reads}   {show.head(raw)}", at=began)
        if head is known:
            how = "the same bytes as the head before: compared, not parsed again"
        elif known is not None and head.headers is known.headers:
            how = "the same fields as before: only the request line was read anew"
        else:
            how = f"split by the {self.notes.tracer.parser} parser, then checked by RFC 9112"
        fields = len(head.headers)
        said = [head.method, f"HTTP/{head.version}", f"{fields} field{'s' * (fields != 1)}"]
        said += [self._body_facts(head), "keep-alive" if head.keep_alive else "to be closed"]
        trace.step(IN, "head", f"{', '.join(said)}; {how}", at=trace.head_at)
        self.notes.shown_body = None
        if head.has_body:
            self.notes.shown_body = show.Body(
                _first(head.headers, b"content-type"),
                _first(head.headers, b"content-encoding"),
                full=trace.options.full,
                wanted=trace.options.bodies,
            )

    def _body_facts(self, head: RequestHead) -> str:
        if not head.has_body:
            return "no body"
        what = "a body in chunks" if head.chunked else f"a body of {head.content_length} B"
        return f"{what}, held back until 100 Continue" if head.expect_continue else what

    def _begin_refused(self) -> None:
        """Begin the record of a head that is refused, or does not come to its end."""
        came = self.notes.came
        line = came.split(b"\n", 1)[0].strip()
        method = line.split(b" ", 1)[0].decode("latin-1")
        self.notes.trace = None
        number = self.notes.tracer.admit(method, b"")
        if number:
            title = show.refused(line, 100) if line else "(no request)"
            began = self.notes.first_at or perf_counter()
            self.notes.trace = trace = Trace(self.notes.tracer, number, title, began)
            text = show.refused(came) if came else "nothing"
            trace.step(IN, "bytes in", f"{len(came)} B   {text}", at=self.notes.first_at)
        self.notes.came, self.notes.reads = b"", 0

    def _note_body(self, piece: bytes) -> None:
        trace, shown = self.trace, self.notes.shown_body
        if trace is None or shown is None or self.response_complete:
            return
        text = shown.piece(piece)
        trace.step(IN, "body", f"{len(piece)} B   {text}".rstrip())

    # ------------------------------------------------------------------ answering

    def send_body(self, data: bytes, more: bool) -> Output:
        """Note what is about to leave, and how it is framed."""
        trace = self.notes.trace
        if trace is None:
            return super().send_body(data, more)
        begun = self.response_started
        output = self._frame(data, more)  # not by a head that is ready: how it is made is shown
        if output:
            size = len(output) if isinstance(output, bytes) else sum(map(len, output))
            if begun:
                trace.out(f"{size} B   {self._piece_facts(len(data), more)}", own=False)
            else:
                raw = output if isinstance(output, bytes) else output[0]
                self._note_head(trace, raw, size, len(data), more)
        return output

    def _piece_facts(self, size: int, more: bool) -> str:
        if self._chunked:
            chunk = f"a chunk: {size:x}\\r\\n...\\r\\n" if size else ""
            return "  ".join(filter(None, (chunk, "" if more else "0\\r\\n\\r\\n")))
        return "of the body"

    def _note_head(self, trace: Trace, raw: bytes, size: int, body: int, more: bool) -> None:
        head, _, _ = raw.partition(b"\r\n\r\n")
        if (told := _ID(head)) is not None:
            trace.request_id = show.words(told[1].decode("latin-1"))
        inside = f"+ {body} B of body" if body and not self._swallow else "without a body"
        text = f"{size} B   {show.head(head + _END)}"
        if self._chunked and body:
            inside = f"+ {self._piece_facts(body, more)}"
        whose = "by the server, as no byte of the application's had left\n" * trace.by_server
        fate = self._why_closed(self.notes.asks_for_close)
        trace.out(f"{text}  {inside}\n{whose}{self.notes.framing}; {fate}", own=True)

    def _response_head(self, first: int, more: bool) -> bytes:
        """Add Server-Timing to the head, and remember why it is framed so."""
        trace, extra = self.notes.trace, self._extra
        if trace is None:
            return super()._response_head(first, more)
        given = self._fields.length if self._fields is not None else None
        asked = self._fields is not None and self._fields.close
        if trace.options.server_timing and not trace.options.silent:
            self._extra = extra + server_timing(trace)
        try:
            made = super()._response_head(first, more)
        finally:
            self._extra = extra
        self.notes.framing = self._why_framed(given)
        self.notes.asks_for_close = asked
        return made

    def _why_framed(self, given: int | None) -> str:
        head = self.head
        if self._swallow:
            why = "HEAD" if head is not None and head.method == "HEAD" else str(self.status)
            return f"no body leaves, because of {why}"
        if self._chunked:
            return "in chunks: the length is not known, and the client speaks HTTP/1.1"
        if self._left is None:
            return "the body ends with the connection: HTTP/1.0 has no chunks"
        if given is None:
            return "Content-Length by the server: the body was whole"
        return "Content-Length by the application"

    def _why_closed(self, asked: bool) -> str:
        if self.keep_alive:
            return "the connection is kept"
        head = self.head
        if self.short:
            why = "the body is shorter than its Content-Length"
        elif asked:
            why = "the application says Connection: close"
        elif self.close_after:
            why = "the server is stopping"
        elif head is not None and not head.keep_alive:
            why = "HTTP/1.0 without keep-alive" if head.is_http10 else "the client asked for it"
            why = why if self._persistent else "--timeout-keep-alive is 0"
        elif self._eof:
            why = "the client has closed its side"
        elif self._left is None and not self._chunked and not self._swallow:
            why = "that ends the body"
        else:
            why = "the rest of the request's body is not read"
        return f"the connection will be closed: {why}"

    def send_external(self, count: int, *, at_most: bool = False) -> tuple[bytes, int]:
        """See `send_body`: a whole body that is a file."""
        head, count = super().send_external(count, at_most=at_most)
        if self.trace is not None:
            self._note_head(self.trace, head, len(head), 0, True)
            if count:
                self.trace.out(f"{count} B of a file, sent by the kernel", own=True)
        return head, count

    def external_piece(self, count: int) -> tuple[bytes, int, bytes]:
        """See `send_body`: a piece of body that is in a file."""
        begun = self.response_started
        before, count, after = super().external_piece(count)
        if self.trace is not None:
            if not begun:
                self._note_head(self.trace, before, len(before), 0, True)
            self.trace.out(f"{count} B of a file, sent by the kernel", own=False)
        return before, count, after

    def send_trailers(self, headers: Iterable[Field]) -> bytes:
        """Note trailers."""
        output = super().send_trailers(headers)
        if self.trace is not None:
            sent = show.head(output) if output else "no trailers leave, as there are no chunks"
            self.trace.out(f"{len(output)} B   {sent}".replace("\n", "  "), own=False)
        return output

    def informational(self, status: int, headers: Iterable[Field]) -> bytes:
        """Note an interim answer."""
        output = super().informational(status, headers)
        if self.trace is not None:
            sent = show.head(output) if output else "nothing: HTTP/1.0 has no interim answers"
            self.trace.out(f"{len(output)} B   {sent}".replace("\n", "  "), own=False)
        return output

    def continue_expected(self) -> bytes:
        """Note that the client is told to send its body."""
        output = super().continue_expected()
        if output and self.trace is not None:
            why = "the client waits for leave to send its body"
            self.trace.out(f"{len(output)} B   HTTP/1.1 100 Continue: {why}", own=True)
        return output

    def upgrade(self, protocol: bytes, headers: Iterable[Field]) -> tuple[bytes, bytes]:
        """Note the answer that ends HTTP."""
        output, rest = super().upgrade(protocol, headers)
        if self.trace is not None:
            self.trace.out(f"{len(output)} B   {show.head(output)}", own=True)
        return output, rest

    def error_response(self, error: RequestError) -> bytes:
        """Note an answer of the server's own."""
        if self.phase <= HEAD:
            self._begin_refused()
            if self.trace is not None:
                self.trace.step(WRONG, "refused", f"{show.words(str(error))}   by the server")
        output = super().error_response(error)
        if self.trace is not None:
            if output:
                head, _, body = output.partition(b"\r\n\r\n")
                text = f"{show.head(head + _END)}  + {len(body)} B of body"
                fate = "by the server; the connection will be closed"
                self.trace.out(f"{len(output)} B   {text}\n{fate}", own=True)
            else:
                self.trace.step(WRONG, "broken off", "an answer had begun: there is no other")
        return output

    def break_off(self) -> bool:
        """Note an answer that cannot be completed."""
        visible = super().break_off()
        if self.trace is not None and self.response_started:
            how = "the client can tell" if visible else "by a reset, as only that tells the client"
            self.trace.step(WRONG, "broken off", f"the answer is not complete: {how}")
        return visible


class TracedRedirecting(TracedConnection, Redirecting):
    """A connection that only sends its clients on, under the x-ray."""

    __slots__ = ()


def _first(fields: Iterable[Field], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in fields if key == name), "")
