"""One call of a WSGI application, as a server makes it (PEP 3333).

What lives here: start_response, write, the iterable and its close. What must not: threads, the
event loop; an answer is made in the thread of the test, piece by piece as the test takes them.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar

from bare_serve.clauses import mistake, misuse
from bare_serve.http import Field
from bare_serve.testing.alarm import Alarm, Interrupted, arm, disarm
from bare_serve.testing.errors import ClientTimeout, IncompleteAnswer
from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Body, Request
from bare_serve.wsgi.environ import Environ
from bare_serve.wsgi.response import ExcInfo, encode_fields, parse_status

MOST_BYTES = 1 << 28
"""Of an answer that is read whole; one that is longer has no end, as a rule."""

FAILED = b"Internal Server Error\n"
PLAIN: Field = (b"content-type", b"text/plain; charset=utf-8")

_NO_BODY = frozenset((204, 304))

_codes: dict[str, int] = {}  # of the statuses of the tests of one process

T = TypeVar("T")
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class PieceReader(io.RawIOBase):
    """A body that comes in pieces, as a file for `wsgi.input`."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


class WsgiCall:
    """A request that a WSGI application answers."""

    early_hints: list[Headers]

    def __init__(
        self,
        app: Application,
        request: Request,
        environ: Environ,
        timeout: float | None,
        *,
        raises: bool,
    ) -> None:
        """Make the call, but do not begin with it.

        Args:
            app: is called with `environ`, to which what belongs to the call is added.
            request: the request.
            environ: what the request says.
            timeout: seconds until the answer is complete, or between two pieces of a stream.
            raises: what the application raises reaches the test, else it is answered with 500.
        """
        self.status = 0
        self.reason = ""
        self.fields: list[Field] = []
        self.trailers: list[Field] = []
        self.early_hints = []
        self.left = False
        self._app = app
        self._request = request
        self._timeout = timeout
        self._raises = raises
        self._sent = False  # the test has what start_response said
        self._pieces: list[bytes] = []  # by write()
        self._iterator: Iterator[bytes] | None = None
        self._close: Callable[[], object] | None = None
        environ["wsgi.input"] = _input(request.body)
        environ["wsgi.early_hints"] = self._hint
        environ["bare_serve.client_disconnected"] = self._has_left
        environ["waitress.client_disconnected"] = self._has_left
        self._environ = environ

    # ------------------------------------------------------------------ for the test

    def fetch(self) -> bytes:
        """Call the application and return the whole content of its answer."""
        content = self._limited(self._read_all)
        if content is None:
            return FAILED
        if self._request.method == "HEAD" or self.status in _NO_BODY:
            return b""
        return content

    def open(self) -> None:
        """Call the application; return when it has said status and headers."""
        try:
            self._limited(self._open)
        except BaseException:
            self._forget()  # nobody will leave what could not be entered
            raise

    def piece(self) -> bytes | None:
        """Return the next piece of the content, None at the end."""
        if self._pieces:
            return self._pieces.pop(0)
        if self._request.method == "HEAD" or self.status in _NO_BODY:
            return None
        return self._limited(self._next)

    def leave(self) -> None:
        """Take no more: the iterable is closed, as a server does it when the client has left."""
        self.left = True
        self._limited(self._finish if self._raises else self._forget)

    # ------------------------------------------------------------------ for the application

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take status and headers; a later call with `exc_info` replaces them until they are sent.

        Raises:
            AssertionError, ResponseError: they cannot be sent, or were said before.
        """
        if exc_info:
            try:
                if self._sent and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status:
            got = "start_response was called a second time without exc_info"
            raise misuse("wsgi-start-twice", got)
        if type(headers) is not list:
            got = f"the headers must be a list, not {type(headers).__name__}"
            raise misuse("wsgi-headers-list", got)
        code = _codes.get(status) if type(status) is str else None
        if code is None:
            code = _codes[status] = parse_status(status)[0]
        self.fields = encode_fields(headers)
        self.status, self.reason = code, status.partition(" ")[2]
        return self.write

    def write(self, data: bytes) -> None:
        """Take a piece of content; a test has it when the application has returned."""
        _check(data)
        if data:
            self._sent = True
            self._pieces.append(data)

    def _hint(self, headers: list[tuple[str, str]]) -> None:
        self.early_hints.append(Headers(encode_fields(headers)))

    def _has_left(self) -> bool:
        return self.left

    # ------------------------------------------------------------------ the call

    def _limited(self, step: Callable[[], T]) -> T | None:
        """Run a step of the application, within the time, and judge how it fails; None if it has
        failed and is answered in its place."""
        alarm = arm(self._timeout)
        try:
            try:
                done = step()
            finally:
                if alarm is not None:
                    alarm.active = False
            if alarm is not None and alarm.place:
                raise self._late(alarm)  # it swallowed the interruption
            return done
        except Interrupted:
            assert alarm is not None
            raise self._late(alarm) from None
        except Exception:
            if alarm is not None and alarm.place:
                raise self._late(alarm) from None  # it became an exception of the application's
            if self._raises:
                raise
            self._fail()
            return None
        finally:
            disarm(alarm)

    def _late(self, alarm: Alarm) -> ClientTimeout:
        done = "did not go on" if self.status else "did not call start_response"
        return ClientTimeout(
            f"{self._request}: the application {done} within {self._timeout:g} s; "
            f"it was at {alarm.place}"
        )

    def _fail(self) -> None:
        """Answer in the place of an application that has raised, as a server does."""
        self._forget()
        if self._sent:
            raise IncompleteAnswer(f"{self._request}: the application failed during its answer")
        self.status, self.reason, self.fields = 500, HTTPStatus(500).phrase, [PLAIN]
        self._pieces = [FAILED]

    def _read_all(self) -> bytes:
        result = self._call()
        if type(result) in (list, tuple):  # these two have no close()
            pieces: Any = result
            for piece in pieces:
                _check(piece)
            self._require_start()
            return b"".join([*self._pieces, *pieces])
        complete = False
        try:
            found, count = self._pieces, 0
            for piece in result:
                _check(piece)
                if piece:
                    self._require_start()
                    self._sent = True
                    found.append(piece)
                    count += len(piece)
                    if count > MOST_BYTES:
                        raise too_long(self._request)
            self._require_start()
            complete = True
        finally:
            self._finish_sent() if complete else self._finish()
        return b"".join(found)

    def _open(self) -> None:
        self._iterator = iter(self._call())
        while not self.status:  # a generator runs when it is asked for its first piece
            piece = self._next()
            if piece:
                self._pieces.append(piece)
            elif piece is None:
                self._require_start()
        self._sent = True

    def _next(self) -> bytes | None:
        """Return a piece that is not empty; an empty one says "not yet" (PEP 3333)."""
        if self._iterator is None:
            return None
        for piece in self._iterator:
            _check(piece)
            if piece:
                self._require_start()
                return piece
        self._finish_sent()
        return None

    def _call(self) -> Iterable[bytes]:
        environ, self._environ = self._environ, {}  # no circle for the garbage collector
        result = self._app(environ, self.start_response)
        self._close = getattr(result, "close", None)
        if type(result).__name__ in ("str", "bytes") or not hasattr(result, "__iter__"):
            got = f"the application returned {type(result).__name__}, not an iterable of bytes"
            raise mistake("wsgi-body-iterable", got)
        return result

    def _finish(self) -> None:
        """Call the iterable's close(), once."""
        close, self._close, self._iterator = self._close, None, None
        if close is not None:
            close()

    def _finish_sent(self) -> None:
        """Do the same for an answer that is complete: close() harms it no more if it fails."""
        (self._finish if self._raises else self._forget)()

    def _forget(self) -> None:
        try:
            self._finish()
        except Exception:  # noqa: BLE001 - the application has failed already
            return

    def _require_start(self) -> None:
        if not self.status:
            got = "the application sent a body without calling start_response"
            raise mistake("wsgi-start-missing", got)


def too_long(request: Request) -> IncompleteAnswer:
    """Return the error for an answer that does not end."""
    return IncompleteAnswer(
        f"{request}: the answer has more than {MOST_BYTES >> 20} MiB; read it with stream()"
    )


def _check(piece: object) -> None:
    if type(piece) is not bytes and not isinstance(piece, bytes):
        got = f"a WSGI body consists of bytes, not {type(piece).__name__}"
        raise mistake("wsgi-body-bytes", got)


def _input(body: Body) -> io.BufferedIOBase:
    if isinstance(body, bytes):
        return io.BytesIO(body)
    if isinstance(body, AsyncIterable):
        raise TypeError("a WSGI application cannot wait for an asynchronous body: give an iterable")
    return io.BufferedReader(PieceReader(body))
