"""Each body that a WSGI server gets tells the call when it ends, by exhaustion or by close().

What lives here: what is returned to the server in the place of the application's iterable
(PEP 3333). What must not: heads, and which body is which (adapter_wsgi.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol


class WsgiCall(Protocol):
    """What a body asks of its call."""

    complete: bool
    error: BaseException | None
    sent: int

    @property
    def changes(self) -> bool:
        """Whether a policy changes the body."""

    def changed(self, data: bytes, last: bool) -> bytes:
        """Return a piece as the policies make it."""

    def fail(self, error: BaseException) -> Iterable[bytes]:
        """Return the answer to a failure, or raise it."""

    def end(self) -> None:
        """Tell the policies of the end."""


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


class ClosingFile:
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
            if call.changes and (rest := call.changed(b"", True)):
                call.sent += len(rest)
                return rest
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised again there, or by close
            self._ended = True
            for piece in call.fail(error):
                return piece
            raise StopIteration from None
        if isinstance(piece, bytes):  # any other one the server refuses, and says how
            if call.changes:
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
