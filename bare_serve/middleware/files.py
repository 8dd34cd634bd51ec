"""A part of a file as pieces, where the server cannot send it by itself.

What lives here: reading, and closing in every case. What must not: which file, which part.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Final

from bare_serve.middleware.policy import FileBody

PIECE: Final = 1 << 16
SHORTER: Final = "the file has become shorter while it was sent"


class ShorterFile(OSError):
    """The file has become shorter while it was sent, so the answer cannot be completed."""


class Part(io.FileIO):
    """A `FileBody` as a file for `wsgi.file_wrapper`, which reads no further than the part goes."""

    def __init__(self, body: FileBody) -> None:
        """Own the descriptor."""
        super().__init__(body.fd)
        self.seek(body.offset)
        self._end = body.offset + body.length

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` of the next bytes; nothing behind the end of the part.

        Raises:
            ShorterFile: the file ends before the part does.
        """
        left = max(self._end - self.tell(), 0)
        wanted = left if size is None or size < 0 else min(size, left)
        piece = super().read(wanted)
        if wanted and not piece:
            raise ShorterFile(SHORTER)
        return piece

    def remaining(self) -> tuple[int, int, int] | None:
        """Return descriptor, offset and bytes of what is left: what a server sends by itself."""
        offset = self.tell()
        return (self.fileno(), offset, self._end - offset) if offset < self._end else None


class Pieces:
    """The pieces of a `FileBody`; owns its descriptor."""

    def __init__(self, body: FileBody) -> None:
        self._fd = body.fd
        self._offset = body.offset
        self.left = body.length
        """Bytes that are still to be read."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next piece.

        Raises:
            ShorterFile: the file ends before the part does.
        """
        if not self.left:
            raise StopIteration
        piece = os.pread(self._fd, min(PIECE, self.left), self._offset)
        if not piece:
            raise ShorterFile(SHORTER)
        self._offset += len(piece)
        self.left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
