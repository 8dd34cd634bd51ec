"""The lint of WSGI: one call of an application, from `environ` to `close()` (PEP 3333).

What lives here: the order and the shape of start_response, write and the iterable. What must not:
the environ and its streams (lint_environ.py), what HTTP says of an answer (lint_answer.py).

A list or a tuple is complete when it is returned, so it is checked then, and returned itself. So
is a `wsgi.file_wrapper`, which a server may send by other means. All else is looked at piece by
piece, on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bare_serve.errors import ResponseError
from bare_serve.http1.remarks import status_remarks
from bare_serve.testing.lint_answer import Body, CheckedHead, check_head
from bare_serve.testing.lint_environ import Input, check_environ, check_streams
from bare_serve.testing.verdicts import Advise, SpecError, spec_error
from bare_serve.wsgi.response import encode_fields, parse_status

Environ = dict[str, Any]

_HOP_BY_HOP = "wsgi-headers-hop-by-hop"
_MEMO_ENTRIES = 256

_sound: dict[tuple[str, tuple[tuple[str, str], ...]], CheckedHead] = {}
"""Heads that gave no reason for a word."""


class WsgiLint:
    """A WSGI application that is checked; other attributes are those of the application."""

    def __init__(self, app: Callable[..., Any], advise: Advise) -> None:
        self.app = app
        self._advise = advise

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        """Call the application.

        Raises:
            SpecError: a clause is broken, on either side.
        """
        call = _Call(environ, start_response, self._advise)
        return call.checked(self.app(environ, call.start_response))

    def __getattr__(self, name: str) -> Any:
        if name == "app":  # not there before __init__, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.app, name)


class _Call:
    """One call of the application."""

    __slots__ = (
        *("_outer", "_write", "advise", "body", "broken", "environ", "iterating", "over"),
        "within",
    )

    def __init__(self, environ: Environ, outer: Callable[..., Any], advise: Advise) -> None:
        self.advise = advise
        self.broken: SpecError | None = None  # raised into the application already
        check_environ(environ, advise)
        if not callable(outer):
            raise SpecError("wsgi-start-callable", f"start_response is {outer!r}")
        self.environ = environ
        self.iterating = False  # the application's own iterable is at work
        self.over = False  # the answer is complete, or closed
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        self.body = Body(is_head=is_head, clauses="wsgi", advise=advise)
        self._outer = outer
        self._write: Any = None
        stream = environ["wsgi.input"]
        self.within: Input | None = stream if type(stream) is Input else None
        check_streams(environ, self.breach)

    def breach(self, clause: str, got: str) -> SpecError:
        """Return the error to raise into the application; it is kept, lest it be swallowed."""
        return self.keep(SpecError(clause, got))

    def keep(self, error: SpecError) -> SpecError:
        """Keep the first error, and return it as it is."""
        self.broken = self.broken or error
        return error

    # ------------------------------------------------------------------ to the application

    def start_response(self, *given: Any, **named: Any) -> Callable[[bytes], None]:
        """Check the arguments, and call the outer start_response."""
        status, headers, exc_info = _arguments(*given, **named)
        if named:
            got = f"start_response was called with {', '.join(named)} by keyword"
            self.advise("wsgi-start-positional", got)
        try:
            if self.over:
                raise self.breach("wsgi-start-over", "start_response was called after the answer")
            if exc_info is not None and not (isinstance(exc_info, tuple) and len(exc_info) == 3):
                raise self.breach("wsgi-start-exc-info", f"exc_info is {exc_info!r}")
            if not exc_info and self.body.head is not None:
                got = "start_response was called a second time without exc_info"
                raise self.breach("wsgi-start-twice", got)
            if exc_info and exc_info[1] is None and self.body.sent:
                raise self.breach("http-answer-once", "the response has already started")
            head = self._head(status, headers)
            if exc_info is None:
                write = self._outer(status, headers)
            else:
                write = self._outer(status, headers, exc_info)
        finally:
            exc_info, given = None, ()  # breaks the reference cycle, as the PEP asks
            named.clear()
        self.body.head = head
        self._write = write
        return self.write

    def _head(self, status: Any, headers: Any) -> CheckedHead:
        key: tuple[Any, Any] | None
        try:
            key = (status, tuple(headers))
            known = _sound.get(key) if type(headers) is list else None
        except TypeError:  # one is no sequence, or not hashable
            key = known = None
        if known is not None:
            return known
        said: list[str] = []

        def advise(clause: str, got: str) -> None:
            said.append(clause)
            self.advise(clause, got)

        try:
            code, reason = parse_status(status)
            if type(headers) is not list:
                got = f"the headers must be a list, not {type(headers).__name__}"
                raise self.breach("wsgi-headers-list", got)
            fields = encode_fields(headers)
            head = check_head(code, reason, fields, _HOP_BY_HOP, advise)
        except ResponseError as error:
            raise self.keep(spec_error(error)) from None
        except SpecError as error:
            raise self.keep(error) from None
        for remark in status_remarks(status, fields):
            advise(*remark)
        if not said and key is not None:
            if len(_sound) >= _MEMO_ENTRIES:
                _sound.clear()
            _sound[key] = head
        return head

    def write(self, data: bytes) -> None:
        """Check a piece, and send it by the outer `write`."""
        if self.over:
            raise self.breach("wsgi-start-over", "write was called after the answer")
        if self.iterating:
            got = "write was called while the returned iterable is iterated over"
            raise self.breach("wsgi-write-iterating", got)
        if not callable(self._write):  # asgiref's, for one, gives none: only who writes minds
            got = f"write was called, and start_response had returned {self._write!r}"
            raise SpecError("wsgi-start-returns", got)
        self.advise("wsgi-write-used", "the application calls write")
        self.piece(data)
        self._write(data)

    # ------------------------------------------------------------------ what it returns

    def piece(self, data: Any) -> None:
        """Check a piece of body."""
        if type(data) is not bytes and not isinstance(data, bytes):
            got = f"a WSGI body consists of bytes, not {type(data).__name__}"
            raise self.breach("wsgi-body-bytes", got)
        if data:
            self.require_start()
            try:
                self.body.add(len(data))
            except SpecError as error:
                raise self.keep(error) from None

    def require_start(self) -> None:
        """Raise SpecError if start_response has not been called."""
        if self.body.head is None:
            got = "the application sent a body without calling start_response"
            raise self.broken or self.breach("wsgi-start-missing", got)

    def end(self) -> None:
        """Judge the answer, of which all pieces have come."""
        if self.broken is not None:
            raise self.broken
        self.require_start()
        self.body.end()

    def checked(self, result: Any) -> Any:
        """Return what the application has returned: itself, or with checks around it."""
        kind = type(result)
        if kind is list or kind is tuple:
            for data in result:
                self.piece(data)
            self.end()
            self.over = True
            self.require_closed()
            return result
        if result is None or isinstance(result, str | bytes) or not _is_iterable(kind):
            got = f"the application returned {kind.__name__}, no iterable of bytes"
            raise self.broken or self.breach("wsgi-body-iterable", got)
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(result, wrapper):
            if self.broken is not None:
                raise self.broken
            self.require_start()
            return result
        made = (_CountedPieces if hasattr(kind, "__len__") else _Pieces)(self, result)
        if self.within is not None:
            self.within.made.append(made)
        return made

    def forget(self, made: _Pieces) -> None:
        """Let go of what has been closed."""
        if self.within is not None and made in self.within.made:
            self.within.made.remove(made)

    def require_closed(self) -> None:
        """Raise SpecError if a middleware has left open what the application in it returned.

        The lint around the middleware asks, at its end; the one inside has noted what it made.
        """
        if self.within is None:
            stream = self.environ.get("wsgi.input")
            made = stream.made if type(stream) is Input else []
            left_open = [pieces.left_open for pieces in made if pieces.is_open]
            made.clear()
            if left_open:
                raise SpecError("wsgi-close-missing", left_open[0])


class _Pieces:
    """The iterable that an application has returned, checked piece by piece."""

    __slots__ = ("_call", "_closed", "_iterator", "_result", "count")

    def __init__(self, call: _Call, result: Any) -> None:
        self._call = call
        self._result = result
        self._iterator: Iterator[Any] | None = None
        self._closed = False
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        call = self._call
        if self._closed:
            raise SpecError("wsgi-close-read", "a piece was asked for after close()")
        call.iterating = True
        try:
            if self._iterator is None:
                self._iterator = iter(self._result)
            data: bytes = next(self._iterator)
        except StopIteration:
            self._at_end()
            call.over = True
            raise
        finally:
            call.iterating = False
        self.count += 1
        call.piece(data)
        return data

    def _at_end(self) -> None:
        self._call.end()

    def close(self) -> None:
        """Close what the application has returned; raise what it has swallowed."""
        self._closed = True
        self._call.over = True
        self._call.forget(self)
        close = getattr(self._result, "close", None)
        if close is not None:
            close()
        if self._call.broken is not None:
            raise self._call.broken
        self._call.require_closed()

    @property
    def is_open(self) -> bool:
        """Whether there is a close() that was not called."""
        return not self._closed and hasattr(self._result, "close")

    @property
    def left_open(self) -> str:
        """What to say of that."""
        return f"close() of a {type(self._result).__name__} was never called"

    def __del__(self) -> None:
        if self.is_open:
            self._call.advise("wsgi-close-caller", self.left_open)


class _CountedPieces(_Pieces):
    """Pieces whose number is told beforehand."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)

    def _at_end(self) -> None:
        if self.count != len(self._result):
            got = f"len() of the body is {len(self._result)}, and it has {self.count} pieces"
            raise self._call.breach("wsgi-body-count", got)
        super()._at_end()


def _arguments(status: Any, headers: Any, exc_info: Any = None) -> tuple[Any, Any, Any]:
    """Have Python refuse what start_response cannot be called with."""
    return status, headers, exc_info


def _is_iterable(kind: type) -> bool:
    return hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
