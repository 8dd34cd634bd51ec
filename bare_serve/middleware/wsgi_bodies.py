"""What a WSGI application returns stays what a server treats well, and tells when it ends.

What lives here: what is returned to the server in the place of the application's iterable
(PEP 3333), and files of policies. What must not: heads (adapter_wsgi.py).

A list stays a list, a `wsgi.file_wrapper` stays one, and a piece is handed on as it comes. The end
is that of the iteration or close(); what has failed before the answer is raised by close().
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from bare_serve.middleware.call import NO_BODY, fields_of
from bare_serve.middleware.files import PIECE, Part, Pieces
from bare_serve.middleware.policy import Answer, FileBody, Head

_JOIN_BYTES = 1 << 16


class WsgiCall(Protocol):
    """What a body asks of its call."""

    head: Head
    bodies: list[Callable[[bytes, bool], bytes]] | None
    wants_end: bool
    complete: bool
    error: BaseException | None
    sent: int

    def start(self, status: str, headers: Any, /) -> object:
        """Do as start_response."""

    def changed(self, data: bytes, last: bool, /) -> bytes:
        """Return a piece as the policies make it."""

    def fail(self, error: BaseException, /) -> Iterable[bytes]:
        """Return the answer to a failure, or raise it."""

    def end(self) -> None:
        """Tell the policies of the end."""


def returned(call: WsgiCall, result: Any) -> Any:
    """Return what the application has returned, in a form whose end is noticed."""
    kind = type(result)
    if kind is list or kind is tuple:
        # The server treats a list best, and no policy wants to know its end.
        return whole(call, result) if call.wants_end or call.bodies is not None else result
    wrapper: Any = call.head.raw.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(result, wrapper) and call.bodies is None:
        file: Any = result
        with suppress(AttributeError):
            file.close = _Closing(call, getattr(result, "close", None))
            call.complete = True
            return result
    no_body = result is None or kind is str or kind is bytes
    if no_body or not (hasattr(result, "__iter__") or hasattr(result, "__getitem__")):
        call.end()  # no body: the server says so
        return result
    return ChangedPieces(call, result)


def whole(call: WsgiCall, pieces: Any) -> Iterable[bytes]:
    """Return a body that is complete, as a list."""
    try:
        if call.bodies is not None:
            pieces = [call.changed(b"".join(pieces), True)]
        elif len(pieces) > 1 and sum(map(len, pieces)) <= _JOIN_BYTES:
            pieces = [b"".join(pieces)]
        call.sent += sum(map(len, pieces))
        call.complete = True
    except TypeError:
        pass  # there are no bytes in it: the server refuses it
    if call.wants_end or call.error is not None:
        return WholeBody(call, pieces)
    return pieces  # type: ignore[no-any-return]


def file_answered(call: WsgiCall, answer: Answer, body: FileBody, status: str) -> Any:
    """Return the file of a policy's answer, after its head; its descriptor is closed at the end."""
    pieces = Pieces(body)
    try:
        call.start(status, fields_of(answer))
        if call.head.method == "HEAD" or answer.status in NO_BODY:
            pieces.close()
            return whole(call, [])
        wrapper: Any = call.head.raw.get("wsgi.file_wrapper")
        if not isinstance(wrapper, type) or call.bodies is not None or not body.length:
            return returned(call, pieces)
    except BaseException:
        pieces.close()
        raise
    part = Part(body)
    wrapped: Any = wrapper(part, PIECE)
    if hasattr(wrapped, "remaining"):  # bare-serve's own, which asks what sendfile may take
        wrapped.remaining = part.remaining
    return returned(call, wrapped)


class WholeBody(list[bytes]):
    """A complete body."""

    __slots__ = ("_call",)

    def __init__(self, call: WsgiCall, pieces: Iterable[bytes]) -> None:
        """Take the pieces; `call` wants to learn of the end."""
        super().__init__(pieces)
        self._call = call

    def close(self) -> None:
        """Note the end; raise what the application has raised before its answer."""
        call = self._call
        call.end()
        if call.error is not None:
            raise call.error


class _Closing:
    """The close() of a file wrapper."""

    __slots__ = ("_call", "_close")

    def __init__(self, call: WsgiCall, close: Callable[[], object] | None) -> None:
        """`close`: what the application's own has done."""
        self._call = call
        self._close = close

    def __call__(self) -> None:
        try:
            if self._close is not None:
                self._close()
        finally:
            self._call.end()


class ChangedPieces:
    """A body that comes in pieces."""

    __slots__ = ("_call", "_ended", "_iterator", "_result")

    def __init__(self, call: WsgiCall, result: Iterable[bytes]) -> None:
        """Take what the application has returned."""
        self._call = call
        self._result = result
        self._iterator: Iterator[bytes] | None = None
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next piece as the policies make it."""
        call = self._call
        if self._ended:
            raise StopIteration
        try:
            if self._iterator is None:
                self._iterator = iter(self._result)
            piece = next(self._iterator)
        except StopIteration:
            self._ended = call.complete = True
            if call.bodies is not None and (rest := call.changed(b"", True)):
                call.sent += len(rest)
                return rest
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised again there, or by close
            self._ended = True
            for piece in call.fail(error):
                return piece
            raise StopIteration from None
        if isinstance(piece, bytes):  # any other one the server refuses, and says how
            if call.bodies is not None:
                piece = call.changed(piece, False)
            call.sent += len(piece)
        return piece

    def close(self) -> None:
        """Close the application's iterable, and note the end."""
        call = self._call
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            call.end()
        if call.error is not None and call.complete:
            raise call.error
