"""Bodies of requests that are gathered whole, and how much of them the disk holds at once.

What lives here: the temporary file of one body, and the budget of all those of one worker. What
must not: whose body is gathered (caller.py), and how a refusal reaches its client.

A body costs nothing here while it is small enough for memory. One that goes to a file is counted
until the file is closed, whoever closes it. Files that are full grow no more: 503 beyond the
budget, 507 where the disk would have too little left.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from bare_serve.errors import RequestError

# A body is in memory up to here, in a temporary file beyond.
SPOOL_BYTES: Final = 1 << 19
# What is left free on the disk: a twentieth of it, or as much as this.
_LEFT_FREE: Final = 1 << 30
_TWENTIETH: Final = 20
# The disk is looked at again when so much was written: others write as well.
_LOOK_BYTES: Final = 16 << 20
_RETRY: Final = b"Retry-After: 5\r\n"

logger = logging.getLogger("bare_serve.worker")


def free_bytes() -> int:
    """Return what temporary files may take of their disk now.

    Raises:
        OSError: there is no place for temporary files.
    """
    usage = shutil.disk_usage(tempfile.gettempdir())
    return usage.free - min(usage.total // _TWENTIETH, _LEFT_FREE)


class Spool:
    """That of one worker; for all its threads."""

    def __init__(self, limit: int, free: Callable[[], int] = free_bytes) -> None:
        """`limit`: bytes in all files at once."""
        self._limit = limit
        self._free = free
        self._lock = threading.Lock()
        self._told = False  # of this want of room
        self._unseen = 0  # bytes that may be written before the disk is looked at again
        self.held = 0
        """Bytes in files now."""

    def body(self) -> GatheredBody:
        """Return an empty one."""
        return GatheredBody(self)

    def take(self, count: int, size: int) -> None:
        """`count` bytes more, for a file of `size` bytes with them.

        Raises:
            RequestError: 413, 503 or 507.
            OSError: there is no place for temporary files.
        """
        with self._lock:
            self.check(count, size)
            self.held += count
            self._unseen -= count

    def check(self, count: int, size: int) -> None:
        """Do the same, without taking it."""
        if size > self._limit:
            raise RequestError(413, "The request body is too large to be stored.")
        if self.held + count > self._limit:
            self._tell("as much as --limit-spool allows is in temporary files")
            raise RequestError(503, "There is no room for the request body now.", _RETRY)
        if count > self._unseen:
            free = self._free()
            if count > free:
                self._tell(f"the disk of {tempfile.gettempdir()} is nearly full")
                raise RequestError(507, "There is no room for the request body.")
            self._unseen = min(free, max(count, _LOOK_BYTES))

    def give_back(self, count: int) -> None:
        """Note that a file is closed."""
        with self._lock:
            self.held -= count
            self._unseen = 0
            if self.held <= self._limit // 2:
                self._told = False

    def _tell(self, why: str) -> None:
        """Once, until half of the budget is free again."""
        if not self._told:
            self._told = True
            text = (
                "Request bodies are refused: %s. (They take %d of the %d bytes of --limit-spool.)"
            )
            logger.warning(text, why, self.held, self._limit)


class GatheredBody(SpooledTemporaryFile[bytes]):
    """What an application reads its request's body from."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(SPOOL_BYTES)
        self._spool = spool
        self._size = 0
        self._counted = 0

    def expect(self, length: int) -> None:
        """Take the number of bytes that are announced.

        Raises:
            RequestError, OSError: there is no room for them; see `Spool.take`.
        """
        if length > SPOOL_BYTES:
            self._spool.check(length, length)

    def write(self, data: Any) -> int:
        """Store more of the body.

        Raises:
            RequestError, OSError: there is no room for it; see `Spool.take`.
        """
        size = self._size + len(data)
        if size > SPOOL_BYTES:
            self._spool.take(size - self._counted, size)
            self._counted = size
        self._size = size
        return super().write(data)

    def close(self) -> None:
        """Close the file: it is gone, and its room is free."""
        counted, self._counted = self._counted, 0
        try:
            super().close()
        finally:
            if counted:
                self._spool.give_back(counted)

    def __exit__(self, *_: object) -> None:
        self.close()
