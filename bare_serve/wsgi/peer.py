"""What the kernel knows of the other end of a connection, without reading or writing.

What lives here: whether the client has left, and what it has not taken yet of what was sent. What
must not: HTTP, TLS, deadlines.
"""

from __future__ import annotations

import array
import select
import socket
from typing import Final

try:
    import fcntl
    import termios
except ImportError:  # a platform without it
    _UNTAKEN = 0
else:
    _UNTAKEN = getattr(termios, "TIOCOUTQ", 0)

# Linux alone reports the client's end before what came before it is read.
_END: Final = getattr(select, "POLLRDHUP", 0)


def has_left(sock: socket.SocketType) -> bool:
    """Return whether the client has closed, reset, or ended its side of the connection.

    A client that has only ended its side looks the same: TCP sends the same FIN for both. Bytes
    that wait to be read, such as the next request, are left where they are, and do not hide it.
    """
    fd = sock.fileno()
    if fd < 0:
        return True
    if not _END:
        return _ends_here(sock)
    poll = select.poll()
    poll.register(fd, _END)
    return bool(poll.poll(0))


def _ends_here(sock: socket.SocketType) -> bool:
    """Return whether the client's end has come, by reading: bytes that wait hide the end."""
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True


def untaken(fd: int) -> int:
    """Return the sent bytes that the client's kernel has not acknowledged; 0 if unknown."""
    if not _UNTAKEN:
        return 0
    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, _UNTAKEN, count)
    except OSError:
        return 0
    return count[0]
