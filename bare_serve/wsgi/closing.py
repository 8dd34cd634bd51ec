"""How a client's connection ends, so that an answer survives and a loss shows.

What lives here: the ways to an end: lingering behind the last answer, and those by which another
thread ends the exchange of one that is stuck. What must not: which of them is taken (the worker,
service.py), what is to be sent (output.py), TLS's own end (secure.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import Final

from bare_serve.errors import ClientGone
from bare_serve.http import LINGER_BYTES, LINGER_SECONDS
from bare_serve.http1 import ServerConnection
from bare_serve.wsgi.output import RESET_AT_CLOSE, BufferedOutput

READ_BYTES: Final = 1 << 16
"""Bytes that are read from a socket at a time."""


class Closing(BufferedOutput):
    """A socket with its output, and the ways in which it ends."""

    __slots__ = ("linger_left", "linger_until")

    def __init__(self, sock: socket.SocketType, http: ServerConnection) -> None:
        super().__init__(sock, http)
        self.linger_until = 0.0
        """Set while the connection is closing and only read to be discarded."""
        self.linger_left = LINGER_BYTES
        """Bytes that are still discarded then."""

    # ------------------------------------------------------------------ by its owner

    def start_lingering(self) -> bool:
        """End our side of the connection; return False if there is no use in waiting.

        A close while the client still sends would be a reset, which may take the answer from it
        (RFC 9112, 9.6).
        """
        if self.aborted:
            return False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.linger_until = time.monotonic() + LINGER_SECONDS
        return True

    def discard(self) -> bool:
        """Read and forget while lingering; return True when the client is done as well."""
        try:
            for _ in range(16):
                count = len(self.sock.recv(READ_BYTES))
                self.linger_left -= count
                if not count or self.linger_left <= 0:
                    return True
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return False

    # ------------------------------------------------------------------ by another thread

    def hang_up(self) -> None:
        """End both sides of the connection, which wakes the thread that waits for the client."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def mark_given_up(self, why: str) -> None:
        """Have all fail that the thread asks of the client from now on."""
        self.given_up = self.aborted = True
        self.failure = ClientGone(errno.ETIME, why)

    def give_up(self, answer: bytes, *, reset: bool = False) -> None:
        """End the exchange of a call, behind `mark_given_up`.

        `answer` is what the client is told, b"" if it has been told something already; `reset`:
        a clean end would look like that of the answer. The descriptor stays open for the thread
        that serves it, but that thread can send nothing more.
        """
        try:
            if reset:
                self._reset()
                return
            if answer:
                self._send_last(answer)
            self.sock.shutdown(socket.SHUT_WR if answer else socket.SHUT_RDWR)
        except OSError:
            pass  # the client has left by itself

    def _reset(self) -> None:
        """Reset the connection, which only closing its socket does: a dead one takes the place
        of it, under the number that the other thread may be about to use."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        dead, other = socket.socketpair()
        other.close()
        with dead:
            dead.setblocking(False)
            os.dup2(dead.fileno(), self.fd, inheritable=False)

    def _send_last(self, answer: bytes) -> None:
        self.sock.send(answer)
