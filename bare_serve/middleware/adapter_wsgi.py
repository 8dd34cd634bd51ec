"""Policies around a WSGI application (PEP 3333), all of them in one layer.

What lives here: what a policy need not know: start_response and exc_info, write(), the iterable and
its close(), files, HEAD. What must not: any single policy.

The application's iterable stays what the server treats well: a list stays a list, a
`wsgi.file_wrapper` stays one, and a piece is handed on as it comes. An application that fails
before its answer has begun gets the answer 500 here, so that it passes the policies; the exception
then leaves by close(), so that the server reports it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any

from bare_serve.middleware.ends import tell, wanting_end
from bare_serve.middleware.files import PIECE, Part, Pieces
from bare_serve.middleware.headers import Headers, are_pairs, checked
from bare_serve.middleware.policy import Answer, Exchange, FileBody, Head, Outcome, Policy
from bare_serve.middleware.ready import ReadyFields
from bare_serve.middleware.wsgi_bodies import ChangedPieces, ClosingFile, WholeBody
from bare_serve.middleware.wsgi_head import WsgiHead

Environ = dict[str, Any]
FAILED = b"Internal Server Error\n"
_FAILED_HEADERS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(FAILED))),
]
_JOIN_BYTES = 1 << 16
_CODE = re.compile(r"[0-9]{3}( |\Z)", re.ASCII).match
_MOST_CODES = 256
_codes: dict[str, int] = {}


class WsgiStack:
    """A WSGI application with policies around it."""

    def __init__(self, app: Callable[..., Iterable[bytes]], policies: Iterable[Policy]) -> None:
        """Put policies around `app`, the first one outermost."""
        self.app = app
        self.policies = tuple(policies)
        self._begins = tuple(policy.begin for policy in self.policies)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        started = perf_counter()
        head = WsgiHead(environ)
        exchanges: list[Exchange] = []
        answer = None
        call = None
        try:
            for begin in self._begins:
                found = begin(head)
                if found is None:
                    continue
                if isinstance(found, Answer):
                    answer = found
                    break
                exchanges.append(found)
            if not exchanges:
                if answer is None:
                    return self.app(head.raw, start_response)
                if type(answer.headers) is ReadyFields and type(answer.body) is bytes:
                    # HOT PATH: small files; nobody is to be told of the answer.
                    start_response(status_line(answer.status), [*answer.headers])
                    return [] if head.method == "HEAD" else [answer.body]
            exchanges.reverse()
            call = _Call(exchanges, start_response, head.method == "HEAD", started)
            if answer is not None:
                return call.answer(answer, head)
            return call.wrap(self.app(head.raw, call.start), head.raw)
        except BaseException as error:
            if call is None:
                if not exchanges:
                    raise
                call = _Call(exchanges[::-1], start_response, head.method == "HEAD", started)
            if isinstance(error, StopIteration) and "gunicorn.socket" in head.raw:
                call.upgraded()
                raise
            return call.fail(error)


class _Call:
    """One call of the application, and what it answers."""

    __slots__ = (
        "_bodies", "_enders", "_exchanges", "_is_head", "_server_start", "_server_write",
        "_started", "complete", "error", "sent", "status",
    )  # fmt: skip

    def __init__(
        self, exchanges: list[Exchange], start: Callable[..., Any], is_head: bool, started: float
    ) -> None:
        self._exchanges = exchanges
        """The innermost first."""
        self._server_start = start
        self._is_head = is_head
        self._started = started
        self._enders = wanting_end(exchanges)
        self._bodies: list[Callable[[bytes, bool], bytes]] = []
        self._server_write: Any = None
        self.status = 0
        self.sent = 0
        self.complete = False
        self.error: BaseException | None = None

    # ------------------------------------------------------------------ what the application calls

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        """Do as start_response (PEP 3333, "The start_response() Callable")."""
        again = () if exc_info is None else (exc_info,)
        code = _codes.get(status) if type(status) is str else None
        if code is None or type(headers) is not list:
            if type(status) is not str or type(headers) is not list or not _CODE(status):
                self._server_start(status, headers, *again)  # which refuses it
            code = int(status[:3])
            if len(_codes) < _MOST_CODES:
                _codes[status] = code
        bodies = []
        try:
            edited = Headers(headers)
            for exchange in self._exchanges:
                exchange.start(code, edited)
                body = exchange.body
                if body is not None:
                    bodies.append(body)
        except (TypeError, ValueError, AttributeError):
            if not are_pairs(headers, str):
                self._server_start(status, headers, *again)
            raise
        self._server_write = self._server_start(status, edited.pairs, *again)
        self.status = code
        self._bodies = bodies if bodies and not self._is_head and code not in (204, 304) else []
        return self._write

    def _write(self, data: Any) -> None:
        if not isinstance(data, bytes):
            self._server_write(data)  # which refuses it
        elif data := self.changed(data, False):
            self.sent += len(data)
            self._server_write(data)

    # ------------------------------------------------------------------ the body

    def changed(self, data: bytes, last: bool) -> bytes:
        """Return a piece as the policies make it."""
        for body in self._bodies:
            data = body(data, last)
        return data

    @property
    def changes(self) -> bool:
        """Whether a policy changes the body."""
        return bool(self._bodies)

    def wrap(self, result: Any, environ: Environ) -> Any:
        """Return what the application has returned, in a form whose end is noticed."""
        kind = type(result)
        if kind is list or kind is tuple:
            # The server treats a list best, and no policy wants to know its end.
            return self._whole(result) if self._bodies or self._enders else result
        wrapper = environ.get("wsgi.file_wrapper")
        sends = isinstance(wrapper, type) and isinstance(result, wrapper)
        if sends and not self._bodies:
            with suppress(AttributeError):
                result.close = ClosingFile(self, getattr(result, "close", None))
                self.complete = True
                return result
        no_body = result is None or kind is str or kind is bytes
        if no_body or not (hasattr(result, "__iter__") or hasattr(result, "__getitem__")):
            self.end()  # no body: the server says so
            return result
        return ChangedPieces(self, result)

    def _whole(self, pieces: Any) -> Iterable[bytes]:
        """Return a body that is complete, as a list."""
        try:
            if self._bodies:
                pieces = [self.changed(b"".join(pieces), True)]
            elif len(pieces) > 1 and sum(map(len, pieces)) <= _JOIN_BYTES:
                pieces = [b"".join(pieces)]
            self.sent += sum(map(len, pieces))
            self.complete = True
        except TypeError:
            pass  # there are no bytes in it: the server refuses it
        if self._enders or self.error is not None:
            return WholeBody(self, pieces)
        return pieces  # type: ignore[no-any-return]

    # ------------------------------------------------------------------ answers of our own

    def answer(self, answer: Answer, head: Head) -> Any:
        """Return the body of a policy's answer, after its head."""
        body = answer.body
        try:
            headers = [checked(name, value) for name, value in answer.headers]
        except BaseException:
            if isinstance(body, FileBody):
                os.close(body.fd)
            raise
        length = body.length if isinstance(body, FileBody) else len(body)
        names = {name.lower() for name, _ in headers}
        if "content-length" not in names and answer.status not in (204, 304):
            headers.append(("Content-Length", str(length)))
        try:
            self.start(status_line(answer.status), headers)
        except BaseException:
            if isinstance(body, FileBody):
                os.close(body.fd)
            raise
        if not isinstance(body, FileBody):
            return self._whole([] if self._is_head else [body])
        if self._is_head or answer.status in (204, 304):
            os.close(body.fd)
            return self._whole([])
        return self._file(body, head.raw)

    def _file(self, body: FileBody, environ: Environ) -> Any:
        wrapper: Any = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and not self._bodies and body.length:
            part = Part(body)
            wrapped: Any = wrapper(part, PIECE)
            if hasattr(wrapped, "remaining"):  # bare-serve's own, which asks what sendfile may take
                wrapped.remaining = part.remaining
            return self.wrap(wrapped, environ)
        return self.wrap(Pieces(body), environ)

    def fail(self, error: BaseException) -> Iterable[bytes]:
        """Return the answer 500, whose close() raises; raise at once if an answer has begun."""
        self.error = error
        if not isinstance(error, Exception) or self.sent:
            self.end()
            raise error
        again = (type(error), error, error.__traceback__) if self.status else None
        try:
            self.start("500 Internal Server Error", _FAILED_HEADERS, again)
        except Exception:  # noqa: BLE001 - the first failure is the one to be told
            self.end()
            raise error from None
        return self._whole([] if self._is_head else [FAILED])

    # ------------------------------------------------------------------ the end

    def upgraded(self) -> None:
        """Tell of a WebSocket that is over: so libraries end a call that have spoken it on the
        connection's socket, where nothing more may be sent."""
        self.status, self.complete = 101, True
        self.end()

    def end(self) -> None:
        """Tell each policy how it ended, once; what one of them raises does not keep the others.

        Raises:
            BaseException: what a policy has raised, or else the application before its answer.
        """
        enders, self._enders = self._enders, []
        if not enders:
            return
        seconds = perf_counter() - self._started
        gone = not (self.complete or self._is_head) and self.error is None
        tell(enders, Outcome(self.status, self.sent, seconds, self.error, gone))


def status_line(status: int) -> str:
    """Return "404 Not Found" for 404."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
