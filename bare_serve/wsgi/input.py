"""`wsgi.input` for every kind of body.

What lives here: file-like objects over a body. What must not: sockets; a body that is still
arriving is asked for through a function.

No body: `NO_INPUT`, shared. A small or spooled body: a plain BytesIO or temporary file, made by
the loop. A large one: `StreamInput`, an io.BufferedReader, so that read, readline, readlines
and iteration behave as on any file. All of them give b"" at the end of the body, for ever.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1 << 16


class NoInput:
    """The body of a request that has none. Stateless, so one object serves all requests."""

    __slots__ = ()

    def read(self, size: int = -1) -> bytes:
        """Nothing."""
        return b""

    def readline(self, size: int = -1) -> bytes:
        """Nothing."""
        return b""

    def readlines(self, hint: int = -1) -> list[bytes]:
        """No lines."""
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Nothing to close; the object stays usable for the next request."""


NO_INPUT = NoInput()


class _Raw(io.RawIOBase):
    """Adapts `receive` to the raw layer of Python's own buffered files."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._piece = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        piece = self._piece or self._receive()
        target = memoryview(buffer).cast("B")
        count = min(len(piece), len(target))
        target[:count] = piece[:count]
        self._piece = piece[count:]
        return count


class StreamInput(io.BufferedReader):
    """A body read from the client while the application asks for it.

    `receive` waits for the next piece and gives b"" at the end; what it raises (a client gone,
    a malformed chunk) comes out of the application's `read`, never a short body that looks whole.
    """

    def __init__(self, receive: Callable[[], bytes]) -> None:
        super().__init__(_Raw(receive), _BUFFER_BYTES)
