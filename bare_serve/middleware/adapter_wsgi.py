"""Policies around a WSGI application (PEP 3333), all of them in one layer.

What lives here: start_response with exc_info, write(), and the answer to a failure. What must not:
any single policy, what is the same for ASGI (call.py), iterables and files (wsgi_bodies.py).

An application that fails before its answer has begun gets the answer 500 here, so that it passes
the policies; the exception then leaves by close(), so that the server reports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Any

from bare_serve.middleware.call import FAILED, Call, Stack, fields_of
from bare_serve.middleware.policy import Answer, FileBody
from bare_serve.middleware.wsgi_bodies import file_answered, returned, whole
from bare_serve.middleware.wsgi_head import WsgiHead

Write = Callable[[bytes], object]

_STATUS = re.compile(r"([0-9]{3})(?: .*)?", re.ASCII | re.DOTALL).fullmatch
_MOST_STATUSES = 256


class WsgiStack(Stack):
    """A WSGI application with policies around it."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        started = perf_counter()
        head = WsgiHead(environ)
        exchanges, parts, answer, failure = self.begun(head)
        if answer is None and not exchanges:
            return self.app(head.raw, start_response)
        call = WsgiCall(head, exchanges, parts, start_response, started)
        try:
            if failure is not None:
                raise failure
            if answer is not None:
                return call.answer(answer)
            return returned(call, self.app(head.raw, call.start))
        except BaseException as error:  # raised by close, or there
            if isinstance(error, StopIteration) and "gunicorn.socket" in head.raw:
                call.upgraded()
                raise
            return call.fail(error)


class WsgiCall(Call):
    """One call of a WSGI application."""

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Write:
        """Do as start_response (PEP 3333, "The start_response() Callable")."""
        code = _codes[status] if type(status) is str and type(headers) is list else 0
        fields = self.edited(code, headers) if code else None
        known = code if fields is not None else 0
        if fields is None:
            fields = headers  # the server refuses it, and says how
        if exc_info is None:
            self._server_write = self._server(status, fields)
        else:
            self._server_write = self._server(status, fields, exc_info)
        self.status = known
        return self._write

    def _write(self, data: Any) -> None:
        if not isinstance(data, bytes):
            self._server_write(data)  # which refuses it
        elif data := self.changed(data, False):
            self.sent += len(data)
            self._server_write(data)

    def answer(self, answer: Answer, exc_info: Any = None) -> Any:
        """Return the body of an answer of our own, after its head."""
        body = answer.body
        if isinstance(body, FileBody):
            return file_answered(self, answer, body, status_line(answer.status))
        self.start(status_line(answer.status), fields_of(answer), exc_info)
        return whole(self, [] if self.head.method == "HEAD" else [body])

    def fail(self, error: BaseException) -> Iterable[bytes]:
        """Return the answer 500, whose close() raises; raise at once if an answer has begun."""
        self.failed(error)
        if isinstance(error, Exception) and self.exchanges and not self.sent:
            again = (type(error), error, error.__traceback__) if self.status else None
            try:
                answered: Iterable[bytes] = self.answer(FAILED, again)
            except Exception:  # noqa: BLE001 - the first failure is the one to be told
                pass
            else:
                return answered
        self.end()
        raise error

    def upgraded(self) -> None:
        """Tell of a WebSocket that is over: so libraries end a call that have spoken it on the
        connection's socket, where nothing more may be sent."""
        self.status, self.complete = 101, True
        self.end()


class _Codes(dict[str, int]):
    """Statuses as numbers, 0 for what is none; a few are remembered."""

    def __missing__(self, status: str) -> int:
        match = _STATUS(status)
        code = int(match[1]) if match is not None else 0
        if len(self) < _MOST_STATUSES:
            self[status] = code
        return code


_codes = _Codes()


def status_line(status: int) -> str:
    """Return "404 Not Found" for 404."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
