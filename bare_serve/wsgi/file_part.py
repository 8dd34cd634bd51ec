"""A part of a file that waits for its client, so that no thread has to.

What lives here: a descriptor of our own, and how far it was sent. What must not: when to send,
TLS, HTTP.
"""

from __future__ import annotations

import errno
import os
from typing import Final

# So much at a time, however fast the client: a disk holds up the loop for no longer.
TURN_BYTES: Final = 1 << 21
_BLOCK: Final = 1 << 16
_NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class FileError(Exception):
    """The file is at fault, not the client."""


class FilePart:
    """`end - offset` bytes of a regular file; owns its descriptor."""

    __slots__ = ("_fd", "_plain", "end", "offset")

    def __init__(self, fd: int, offset: int, end: int) -> None:
        """`fd` belongs to this object from now on."""
        self._fd = fd
        self.offset = offset
        self.end = end
        self._plain = False
        """By reading, since sendfile does not take this file."""

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""
        return self.end - self.offset

    def send_to(self, sock_fd: int) -> int:
        """Send some of it by sendfile(2); return how many bytes the client took.

        Raises:
            BlockingIOError: it takes nothing now.
            OSError: the connection is broken.
            FileError: the file cannot be read, or has become shorter.
        """
        count = min(self.left, TURN_BYTES)
        sent = -1
        if not self._plain:
            sent = send_file(sock_fd, self._fd, self.offset, count)
            self._plain = sent < 0
        if self._plain:
            sent = os.write(sock_fd, self.read(_BLOCK))
        self.offset += sent
        return sent

    def read(self, count: int) -> bytes:
        """Return at most `count` of the next bytes, which stay to be sent: see `offset`.

        Raises:
            FileError: the file cannot be read, or has become shorter.
        """
        try:
            block = os.pread(self._fd, min(count, self.left), self.offset)
        except OSError as error:
            raise FileError(str(error)) from error
        if not block:
            raise FileError(SHORTER)
        return block

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


SHORTER: Final = "the file has become shorter while it was sent"


def send_file(sock_fd: int, fd: int, offset: int, count: int) -> int:
    """Send by sendfile(2); return how many bytes were sent, -1 where it does not work.

    Raises:
        BlockingIOError, ConnectionError: as of `send`.
        FileError: the file cannot be read, or has become shorter.
    """
    try:
        sent = os.sendfile(sock_fd, fd, offset, count)
    except (BlockingIOError, InterruptedError, ConnectionError):
        raise
    except OSError as error:
        if error.errno in _NO_SENDFILE:
            return -1
        raise FileError(str(error)) from error
    if not sent:
        raise FileError(SHORTER)
    return sent
