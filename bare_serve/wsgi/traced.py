"""A call of a WSGI application under the x-ray: each step of it, in the record of its request.

What lives here: `Exchange` and `Service` again, telling what the application is handed and what it
does. What must not: the steps of HTTP (http1/traced.py); a decision of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from bare_serve.errors import ClientGone, RequestError, ResponseError
from bare_serve.http import RequestHead, ServerExchange
from bare_serve.http1.remarks import body_remarks, head_remarks, status_remarks
from bare_serve.wsgi.environ import Environ
from bare_serve.wsgi.input import NO_INPUT
from bare_serve.wsgi.interfaces import Client, Transport
from bare_serve.wsgi.response import Application, Exchange, FileWrapper, _length, encode_fields
from bare_serve.wsgi.service import Service
from bare_serve.wsgi.traced_parts import TracedErrors, TracedInput, TracedTransport
from bare_serve.xray import show
from bare_serve.xray.text import render
from bare_serve.xray.trace import ADVICE, APP, IN, WRONG, Trace

IN_ENVIRON = "bare_serve.xray"
"""The key under which the demo is handed a function that returns the text so far."""


def trace_of(http: ServerExchange) -> Trace | None:
    """Return the record of the request that is being answered; None if it has none."""
    found: Trace | None = getattr(http, "trace", None)
    return found


class TracedExchange(Exchange):
    """A request being answered, step by step."""

    def __init__(self, connection: ServerExchange, transport: Transport, trace: Trace) -> None:
        super().__init__(connection, TracedTransport(transport, trace))
        self._trace = trace
        self._given = 0
        """Bytes of body that the application gave."""
        self._has_type = self._has_answered = False
        self._input: TracedInput | None = None
        self._watched: dict[str, Any] | None = None
        self._iterating = False
        self._shown: show.Body = show.Body("", "", full=False, wanted=False)

    # ------------------------------------------------------------------ what it calls

    def start_response(self, *given: Any, **named: Any) -> Any:
        """See `Exchange.start_response`."""
        trace = self._trace
        status, headers, exc_info = _given(*given, **named)
        if named:
            got = f"start_response was called with {', '.join(named)} by keyword"
            trace.advise("wsgi-start-positional", got)
        if exc_info is not None and not (isinstance(exc_info, tuple) and len(exc_info) == 3):
            got = f"exc_info is of type {type(exc_info).__name__}"
            trace.breach("wsgi-start-exc-info", got)
        given, at = (), perf_counter()
        named.clear()
        try:
            super().start_response(status, headers, exc_info)
        except ResponseError as error:
            trace.step(APP, "start_response", _arguments(status, headers), at=at)
            trace.wrong("start_response", error)
            raise
        except BaseException:
            trace.step(APP, "start_response", "with exc_info, too late: raised again", at=at)
            raise
        finally:
            exc_info_given, exc_info = exc_info is not None, None
        again = "   with exc_info, in the place of the one before" if exc_info_given else ""
        held = f"{again}\nheld until the first piece of body (PEP 3333)"
        trace.step(APP, "start_response", _arguments(status, headers) + held, at=at)
        fields = encode_fields(headers)
        for remark in status_remarks(status, fields):
            trace.advise(*remark)
        for remark in head_remarks(self._connection.status, fields, "wsgi-headers-hop-by-hop"):
            trace.advise(*remark)
        known = {name.lower(): value.decode("latin-1") for name, value in fields}
        self._has_type, self._has_answered = b"content-type" in known, True
        self._shown = show.Body(
            known.get(b"content-type", ""),
            known.get(b"content-encoding", ""),
            full=trace.options.full,
            wanted=trace.options.bodies,
        )
        return self.write

    def write(self, data: bytes) -> None:
        """See `Exchange.write`."""
        trace = self._trace
        self._piece(data, "write()")
        if self._iterating:
            got = "write was called while the returned iterable is iterated over"
            trace.breach("wsgi-write-iterating", got)
        else:
            trace.advise("wsgi-write-used", "the application calls write")
        try:
            super().write(data)
        except ResponseError as error:
            trace.wrong("write()", error)
            raise

    def __call__(self, headers: list[tuple[str, str]]) -> None:
        """See `Exchange.__call__`: `wsgi.early_hints`."""
        self._trace.step(APP, "early_hints", _fields(headers))
        try:
            super().__call__(headers)
        except ResponseError as error:
            self._trace.wrong("early_hints", error)
            raise

    # ------------------------------------------------------------------ the call

    def called(self, application: Application, environ: dict[str, Any]) -> Any:
        """Call the application, and tell what it is handed and what it returns."""
        trace = self._trace
        stream = environ.get("wsgi.input", NO_INPUT)
        trace.step(IN, "environ", show.environ(environ, full=trace.options.full))
        if stream is not NO_INPUT:
            environ["wsgi.input"] = self._input = TracedInput(stream, trace)
        if "wsgi.errors" in environ:
            environ["wsgi.errors"] = TracedErrors(environ["wsgi.errors"], trace)
        if trace.options.in_call:
            environ[IN_ENVIRON] = lambda: "".join(map(render, trace.so_far()))
        trace.step(IN, "call", f"{trace.tracer.app_name}(environ, start_response)")
        trace.called_at = perf_counter()
        self._watched = environ
        trace.begin_layers(environ)
        is_whole = True
        try:
            result: Any = application(environ, self.start_response)
            kind = type(result)
            is_whole = kind is list or kind is tuple
        finally:
            if is_whole:  # no more of its code runs
                self._end_layers()
        count = f" of {len(result)}" if is_whole else ""
        trace.step(APP, "return", show.printable(f"{kind.__name__}{count}"))
        if result is None or isinstance(result, str | bytes) or is_whole:
            return result
        if isinstance(result, FileWrapper):
            return _with_traced_close(result, trace)
        return _watched(result, self)

    def send(self, result: Any) -> None:
        """See `Exchange.send`."""
        try:
            super().send(result)
        finally:
            self._end_layers()

    def _end_layers(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            self._trace.end_layers(watched)

    def send_list(self, result: Any) -> None:
        """See `Exchange.send_list`."""
        for number, data in enumerate(result, 1):
            self._piece(data, f"piece {number}")
        super().send_list(result)

    def next_piece(self, data: Any, number: int) -> None:
        """Note a piece of what the application has returned."""
        self._piece(data, f"piece {number}")

    def end_pieces(self, count: int, result: Any) -> None:
        """Compare how many pieces there were with what was said before."""
        said = _length(result)
        if said is not None and said != count:
            got = f"len() of the body is {said}, and it has {count} pieces"
            self._trace.breach("wsgi-body-count", got)

    def iterates(self, now: bool) -> None:
        """Note that the application's iterable is at work, or no more."""
        self._iterating = now

    def _piece(self, data: Any, name: str) -> None:
        if not isinstance(data, bytes):
            self._trace.step(APP, name, f"of type {type(data).__name__}")
            return
        self._given += len(data)
        text = f"{len(data)} B   {self._shown.piece(data)}".rstrip()
        self._trace.step(APP, name, text if data else "0 B   says: not yet")

    # ------------------------------------------------------------------ the end

    def judge(self) -> None:
        """Say what is to be said of the whole answer."""
        http, trace = self._connection, self._trace
        head = http.head
        if self._input is not None and not self._input.asked:
            trace.step(ADVICE, "note", "the body of the request was not read")
        fields = getattr(http, "_fields", None)
        if head is None or not (http.response_complete and self._has_answered) or fields is None:
            return
        is_head = head.method == "HEAD"
        for remark in body_remarks(
            http.status, fields.length, self._given, has_type=self._has_type, is_head=is_head
        ):
            trace.advise(*remark)


class _Watched:
    """What the application has returned; tells of each piece."""

    def __init__(self, result: Iterable[Any], exchange: TracedExchange) -> None:
        self._result = result
        self._exchange = exchange

    def __iter__(self) -> Iterator[Any]:
        exchange, number = self._exchange, 0
        exchange.iterates(True)
        try:
            pieces = iter(self._result)
            for number, data in enumerate(pieces, 1):
                exchange.iterates(False)
                exchange.next_piece(data, number)
                yield data
                exchange.iterates(True)
            exchange.end_pieces(number, self._result)
        finally:
            exchange.iterates(False)

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]


class _WatchedAndClosed(_Watched):
    """The same, where there is a `close`."""

    def close(self) -> None:
        """Close what the application has returned."""
        result: Any = self._result
        _close(result.close, self._exchange._trace)


def _watched(result: Any, exchange: TracedExchange) -> _Watched:
    has_close = getattr(result, "close", None) is not None
    return (_WatchedAndClosed if has_close else _Watched)(result, exchange)


def _with_traced_close(wrapper: FileWrapper, trace: Trace) -> FileWrapper:
    """Return a `wsgi.file_wrapper`, which has to stay one, with a `close` that tells."""
    close = getattr(wrapper, "close", None)
    if close is not None:
        wrapper.close = lambda: _close(close, trace)
    return wrapper


def _close(close: Callable[[], Any], trace: Trace) -> None:
    began = perf_counter()
    try:
        close()
    finally:
        trace.step(APP, "close()", f"called by the server{_took(began)}", at=began)


def _took(began: float) -> str:
    seconds = perf_counter() - began
    return f"   took {seconds * 1000:.1f} ms" if seconds >= 0.001 else ""


def traced_app(application: Application) -> Application:
    """Return an application that is called by the exchange that `start_response` belongs to."""

    def called(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        exchange = getattr(start_response, "__self__", None)
        if isinstance(exchange, TracedExchange):
            return exchange.called(application, environ)
        return application(environ, start_response)

    return called


class TracedService(Service):
    """The application of a worker, under the x-ray.

    An object may become a plain one while other threads are in its methods (traced_attached.py), so
    these ask nothing of its class: neither `super` nor methods of their own.
    """

    def __init__(self, application: Application, *given: Any) -> None:
        super().__init__(traced_app(application), *given)

    def call(
        self,
        connection: Client,
        head: RequestHead,
        environ: Environ,
        new_exchange: Callable[[ServerExchange, Client], Exchange] = Exchange,
    ) -> None:
        """See `Service.call`; shows the record."""
        trace = trace_of(connection.http)
        if trace is None:
            Service.call(self, connection, head, environ, new_exchange)
            return
        trace.where = _where(connection, environ)
        exchange: list[TracedExchange] = []

        def make(http: ServerExchange, client: Client) -> Exchange:
            exchange.append(TracedExchange(http, client, trace))
            return exchange[0]

        try:
            Service.call(self, connection, head, environ, make)
            connection.release()
        except ClientGone as error:
            trace.step(WRONG, "client left", f"{error.strerror or error}")
            raise
        finally:
            trace.flush_outs()
            _conclude(connection, trace, exchange)

    def refuse(self, connection: Client, error: RequestError) -> None:
        """See `Service.refuse`."""
        Service.refuse(self, connection, error)
        trace = trace_of(connection.http)
        if trace is not None:
            trace.where = trace.where or connection.client
            trace.status = str(error.status)
            trace.finish()

    def _failed(self, connection: Client, head: RequestHead, error: BaseException) -> None:
        trace = trace_of(connection.http)
        sock = connection.upgraded
        if trace is not None and sock is not None and sock.is_expected(error):
            text = f"by {type(error).__name__}, as libraries do behind a WebSocket of theirs"
            trace.step(APP, "call ended", text)
        elif trace is not None:
            trace.raised(error)
            trace.by_server = True
        Service._failed(self, connection, head, error)


def _conclude(connection: Client, trace: Trace, exchange: list[TracedExchange]) -> None:
    http = connection.http
    if exchange:
        exchange[0].judge()
    if http.overrun or http.short:
        what, clause = ("more", "over") if http.overrun else ("less", "short")
        got = f"the application sent {what} than its Content-Length"
        trace.breach(f"wsgi-length-{clause}", got)
    if isinstance(connection.failure, ClientGone):
        what = "given up" if connection.given_up else "client left"
        trace.step(WRONG, what, str(connection.failure.strerror or ""))
    elif connection.given_up:  # while the body was read, which has failed as well
        trace.step(WRONG, "given up", "the call took longer than it may")
    if connection.sends_file:
        trace.step(ADVICE, "file", "the rest of a file is still on its way to the client")
    trace.status = str(http.status or "no answer")
    trace.finish()


def _where(connection: Client, environ: Environ) -> str:
    address, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    number = show.ordinal(connection.http.requests)
    client = f"{address}:{port}" if port else address or "a unix socket"
    return f"{client}, {number} request of its connection"


def _given(status: Any, headers: Any, exc_info: Any = None) -> tuple[Any, Any, Any]:
    """Have Python refuse what start_response cannot be called with."""
    return status, headers, exc_info


def _arguments(status: Any, headers: Any) -> str:
    shown = status if isinstance(status, str) else repr(status)
    return f"'{show.status(shown)}'   {_fields(headers)}"


def _fields(headers: Any) -> str:
    try:
        return show.pairs(headers)
    except (TypeError, ValueError):
        return f"headers of type {type(headers).__name__}"
