"""The extensions of the ASGI specification: files, trailers, early hints, debug.

What lives here: the messages of extensions, and what they must look like. What must not: which
extensions a request is offered (offers.py), the ordinary messages (exchange.py), framing (http1),
how a file's bytes leave (sendfile.py).
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from typing import Any

from bare_serve.asgi import offers
from bare_serve.asgi.interfaces import Answer
from bare_serve.asgi.sendfile import SHORTER, drained
from bare_serve.asgi.states import HELD, SENDING, START, STREAM, TRAILERS, out_of_order
from bare_serve.asgi.types import Message
from bare_serve.clauses import mistake
from bare_serve.errors import ResponseError

logger = logging.getLogger("bare_serve.app")

# A file up to here is read and leaves in one write with its head, as any body does.
_SMALL = 1 << 16

_CLAUSES = {"links": "asgi-early-hint-links", "headers": "asgi-headers-pairs"}


async def take(answer: Answer, kind: Any, message: Message) -> None:
    """Handle a message that is neither start nor body; ResponseError where it must not come."""
    if kind == offers.PATHSEND and answer.state == HELD:
        await _send_path(answer, message)
    elif kind == offers.ZEROCOPYSEND and answer.state in (HELD, STREAM):
        await _send_open_file(answer, message)
    elif kind == offers.TRAILERS and answer.state == TRAILERS:
        _send_trailers(answer, message)
    elif kind == offers.EARLY_HINT and answer.state in (START, HELD):
        _send_hint(answer, message)
    elif kind == offers.DEBUG and answer.state == START and logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: debug information: %r", answer, message.get("info"))
    else:
        raise out_of_order(answer.state, kind)


def _send_hint(answer: Answer, message: Message) -> None:
    links = [(b"link", link) for link in _iterable(message, "links")]
    if wrong := [link for _, link in links if type(link) is not bytes]:
        raise mistake("asgi-early-hint-links", f"a link must be bytes, not {wrong[0]!r}")
    if output := answer.core.informational(103, links):
        answer.connection.write(output)


def _send_trailers(answer: Answer, message: Message) -> None:
    """Send trailers; accept, and drop, those that were not offered."""
    assert answer.trailers is not None
    answer.trailers += _pairs(_iterable(message, "headers"))
    if message.get("more_trailers", False):
        return
    fields = answer.trailers if offers.takes_trailers(answer.head) else ()
    if output := answer.core.send_trailers(fields):
        answer.connection.write(output)
    answer.complete()


def _iterable(message: Message, key: str) -> Iterable[Any]:
    value: Iterable[Any] = message.get(key, ())
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise mistake(_CLAUSES[key], f"{key!r} must be an iterable, not {value!r}")
    return value


def _pairs(pairs: Iterable[Any]) -> list[tuple[bytes, bytes]]:
    try:
        return [(name, value) for name, value in pairs]
    except (TypeError, ValueError) as error:
        raise mistake(
            "asgi-headers-pairs", "'headers' must be (name, value) pairs of bytes"
        ) from error


# ------------------------------------------------------------------------------------- files


async def _send_path(answer: Answer, message: Message) -> None:
    path = message.get("path")
    if not isinstance(path, (str, os.PathLike)):
        raise mistake("asgi-pathsend-path", f"'path' must be the path of a file, not {path!r}")
    try:
        # Not blocking: to open a named pipe would wait for its writer.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        # Not raised as it is: an OSError would tell the application that its client has left.
        raise mistake("asgi-pathsend-path", f"cannot open {os.fspath(path)!r}: {error}") from error
    try:
        await _send(answer, file, 0, _size(file, "asgi-pathsend-path"), more=False)
    finally:
        os.close(file)


async def _send_open_file(answer: Answer, message: Message) -> None:
    source: Any = message.get("file")
    offset = message.get("offset")
    count, more = message.get("count"), message.get("more_body", False)
    try:
        file = source if isinstance(source, int) else source.fileno()
        size = _size(file, "asgi-zerocopysend-file")
        start = offset
        if start is None:
            start = source.tell() if hasattr(source, "tell") else os.lseek(file, 0, os.SEEK_CUR)
    except (AttributeError, OSError, ValueError) as error:
        raise mistake(
            "asgi-zerocopysend-file", f"'file' must be an open file, not {source!r}"
        ) from error
    for name, value in (("offset", start), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise mistake(
                "asgi-zerocopysend-numbers", f"{name!r} must be a number of bytes, not {value!r}"
            )
    if more is not False and more is not True:
        raise mistake("asgi-http-more-body", f"'more_body' must be True or False, not {more!r}")
    left = max(size - start, 0)
    count = left if count is None else min(count, left)
    await _send(answer, file, start, count, more=more)
    if offset is None:  # as a read would have done
        (source.seek if hasattr(source, "seek") else _seeker(file))(start + count)


def _seeker(file: int) -> Any:
    return lambda position: os.lseek(file, position, os.SEEK_SET)


def _size(file: int, clause: str) -> int:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise mistake(clause, "only a regular file can be sent")
    return found.st_size


async def _send(answer: Answer, file: int, start: int, count: int, *, more: bool) -> None:
    """Send a piece of body that is in a file."""
    if count <= _SMALL:
        await answer.send_body(os.pread(file, count, start), more)
        return
    last = not more and answer.trailers is None
    answer.state = SENDING
    try:
        if answer.core.raw_files:
            await answer.connection.send_file(file, start, count, last=last)
        else:
            await _send_pieces(answer, file, start, count)
    except BaseException:
        # Cancelled, too: nobody could go on from here.
        answer.break_off()
        raise
    answer.begin_stream()
    if last:
        await answer.send_body(b"", False)
    elif not more:
        answer.state = TRAILERS


async def _send_pieces(answer: Answer, file: int, start: int, count: int) -> None:
    """Where each piece of a body has a frame: a file is read, and sent as any body is."""
    core, client = answer.core, answer.connection
    while count:
        piece = os.pread(file, min(count, _SMALL), start)
        if not piece:
            raise ResponseError(SHORTER)
        start += len(piece)
        count -= len(piece)
        client.write(core.send_body(piece, True))
        await drained(client)
        if core.overrun or answer.head.method == "HEAD":
            return  # what follows would not be sent (RFC 9110, 9.3.2)
