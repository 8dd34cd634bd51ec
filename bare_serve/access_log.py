"""One line for each answered request, written in batches so that it costs next to nothing.

`record` only appends a tuple. `flush`, called by the worker's loop, makes the text and writes
it; it never raises and never waits: what the output does not take now is kept, within a bound,
for the next flush, and what does not fit is dropped, counted and reported on the logger
once the output works again. Everything a client chose is escaped, so that a line is a line.

What a line says is its format's business (access_format.py). Of a WebSocket it says the close code,
the bytes sent, how long it was open, and messages/bytes of each direction.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import stat
import time
from collections.abc import Callable

from bare_serve.access_format import Fields, Format, Record, text_format

# PIPE_BUF: a pipe takes a piece of this size whole or not at all, and never mixed with the
# pieces of another worker (pipe(7)).
_PIECE = 4096
_KEPT = 1 << 18
_BLOCKED = "nobody reads the output"
_logger = logging.getLogger("bare_serve.access")


class AccessLog:
    """Gathers what was served and writes it to a file descriptor.

    `path` is the file it belongs to, if it is one that may be reopened.
    """

    __slots__ = (
        "_dropped",
        "_fd",
        "_path",
        "_records",
        "_render",
        "_rest",
        "_send",
        "wants_fields",
    )

    def __init__(
        self,
        fd: int = 1,
        *,
        colour: bool = False,
        format: Format | None = None,  # noqa: A002 (what it is called everywhere else)
        path: str = "",
    ) -> None:
        chosen = format or text_format(colour=colour)
        self.wants_fields = chosen.wants_fields
        """Whether `record` is to be given the header fields."""
        self._render = chosen.render
        self._fd = fd
        self._path = path
        self._records: list[Record] = []
        self._rest = b""
        self._dropped = 0
        self._send = _sender(fd)

    def record(
        self,
        client: str,
        method: str,
        target: bytes,
        minor: int,
        status: int,
        size: int,
        seconds: float,
        note: str = "",
        fields: Fields | None = None,
    ) -> None:
        """Remember one answered request; its line is made when it is written.

        `note` ends the line, as it is; `fields` are those of the request and the lines of the
        answer, if the format wants them.
        """
        self._records.append((client, method, target, minor, status, size, seconds, note, fields))

    @property
    def pending(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._records or self._rest)

    def flush(self) -> None:
        """Write what has been recorded, as far as the output takes it without waiting."""
        # Another thread may be recording: take what is there and leave what comes meanwhile.
        records = self._records[:]
        del self._records[: len(records)]
        if len(self._rest) > _KEPT:
            self._drop(len(records), _BLOCKED)
        else:
            self._rest += self._text(records)
        if not self._rest:
            return
        try:
            while self._rest:
                self._rest = self._rest[self._send(self._rest) :]
        except BlockingIOError:
            return
        except OSError as error:
            # A closed pipe or a full disk: keeping the lines would only fill the memory.
            self._drop(self._rest.count(b"\n"), error.strerror or "cannot write")
            self._rest = b""
            return
        self._report("works again")

    def give_to(self, uid: int, gid: int) -> None:
        """Let that user append to the file, and so reopen it."""
        if self._path:
            with contextlib.suppress(OSError):
                os.fchown(self._fd, uid, gid)

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one has been moved away.

        Not for a signal handler. What is pending still belongs to the old file.
        """
        if not self._path:
            return
        self.flush()
        try:
            fresh = open_log(self._path)
        except OSError as error:
            _logger.error("Cannot reopen the access log %s: %s.", self._path, error.strerror)
            return
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)
        self._send = _sender(self._fd)

    def close(self) -> None:
        """Write what can still be written, and say how much was lost."""
        self.flush()
        self._drop(self._rest.count(b"\n"), _BLOCKED)
        self._rest = b""
        self._report("did not work again")

    def _report(self, state: str) -> None:
        if self._dropped:
            lines = "line was" if self._dropped == 1 else "lines were"
            _logger.warning("The access log %s; %d %s dropped.", state, self._dropped, lines)
            self._dropped = 0

    def _drop(self, lines: int, reason: str) -> None:
        if lines and not self._dropped:
            _logger.warning("The access log drops lines until it works again: %s.", reason)
        self._dropped += lines

    def _text(self, records: list[Record]) -> bytes:
        return self._render(records, time.time()).encode("ascii", "replace") if records else b""


def open_log(path: str) -> int:
    """A descriptor that appends to the file, which is made if need be; raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _sender(fd: int) -> Callable[[bytes], int]:
    """Return what writes to `fd` without ever waiting: BlockingIOError means "not now".

    O_NONBLOCK on the descriptor itself would also hit everybody who shares it: the application's
    print(), the shell. A pipe or terminal opened anew has a flag of its own.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        mode = 0  # closed: each write will say so
    if stat.S_ISSOCK(mode):
        return lambda data: _send(fd, data)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return lambda data: os.write(fd, data)
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        # The pipe belongs to another user, as in a container: look before each piece instead.
        return lambda data: _write_if_ready(fd, data)
    return lambda data: os.write(own, _piece(data))


def _send(fd: int, data: bytes) -> int:
    borrowed = socket.socket(fileno=fd)
    try:
        return borrowed.send(data, socket.MSG_DONTWAIT)
    finally:
        borrowed.detach()


def _write_if_ready(fd: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, _piece(data))


def _piece(data: bytes) -> bytes:
    """Return as many whole lines as a pipe takes at once, or the start of a longer line."""
    if len(data) <= _PIECE:
        return data
    end = data.rfind(b"\n", 0, _PIECE) + 1
    return data[:end] if end else data[:_PIECE]
