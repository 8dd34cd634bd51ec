"""A part of a file as pieces, where the server cannot send it by itself.

What lives here: reading, and closing in every case. What must not: which file, which part.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from bare_serve.middleware.policy import FileBody

PIECE: Final = 1 << 16


class ShorterFile(OSError):
    """The file has become shorter while it was sent, so the answer cannot be completed."""


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
            raise ShorterFile("the file has become shorter while it was sent")
        self._offset += len(piece)
        self.left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
