"""The extensions of the ASGI specification: files, trailers, early hints, debug.

What lives here: which extensions a request is offered, their messages, and what they must look
like. What must not: the ordinary messages (exchange.py), framing (http1), how a file's bytes leave
(sendfile.py).

An extension is offered in `scope["extensions"]` only where it does something: trailers to a
client that takes them, debug if debug messages are logged.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bare_serve.asgi.sendfile import send_file
from bare_serve.asgi.shared import Shared
from bare_serve.asgi.states import HELD, SENDING, START, STREAM, TRAILERS, out_of_order
from bare_serve.errors import ResponseError
from bare_serve.http1 import RequestHead

if TYPE_CHECKING:
    from bare_serve.asgi.exchange import Exchange
    from bare_serve.asgi.scope import Message

logger = logging.getLogger("bare_serve.app")

# A file up to here is read and leaves in one write with its head, as any body does.
_SMALL = 1 << 16

_TRAILERS = "http.response.trailers"
_DEBUG = "http.response.debug"
_NOTHING_MORE = Shared()
_ALWAYS: dict[str, dict[str, Any]] = {
    "http.response.pathsend": _NOTHING_MORE,
    "http.response.zerocopysend": _NOTHING_MORE,
    "http.response.early_hint": _NOTHING_MORE,
}
_WITH_DEBUG: dict[str, dict[str, Any]] = {**_ALWAYS, _DEBUG: _NOTHING_MORE}


def offered() -> dict[str, dict[str, Any]]:
    """What every request is offered; to be copied before an application may write into it."""
    return _WITH_DEBUG if logger.isEnabledFor(logging.DEBUG) else _ALWAYS


def offered_with(
    extensions: dict[str, dict[str, Any]], head: RequestHead
) -> dict[str, dict[str, Any]]:
    """What is offered with this head."""
    return {**extensions, _TRAILERS: _NOTHING_MORE} if _takes_trailers(head) else extensions


def _takes_trailers(head: RequestHead) -> bool:
    """RFC 9110, 6.5.1 and 10.1.4: only who says so is sent trailers."""
    if head.minor == 0:
        return False
    values = [value for name, value in head.headers if name == b"te"]
    return bool(values) and any(
        item.strip() == b"trailers" for item in b",".join(values).lower().split(b",")
    )


async def take(exchange: Exchange, kind: Any, message: Message) -> None:
    """A message that is neither start nor body; ResponseError where it must not come."""
    if kind == "http.response.pathsend" and exchange.state == HELD:
        await _send_path(exchange, message)
    elif kind == "http.response.zerocopysend" and exchange.state in (HELD, STREAM):
        await _send_open_file(exchange, message)
    elif kind == _TRAILERS and exchange.state == TRAILERS:
        _send_trailers(exchange, message)
    elif kind == "http.response.early_hint" and exchange.state in (START, HELD):
        _send_hint(exchange, message)
    elif kind == _DEBUG and exchange.state == START and logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: debug information: %r", exchange, message.get("info"))
    else:
        raise out_of_order(exchange.state, kind)


def _send_hint(exchange: Exchange, message: Message) -> None:
    links = _pairs("'links'", ((b"link", link) for link in _iterable(message, "links")))
    if output := exchange.core.informational(103, links):
        exchange.connection.write(output)


def _send_trailers(exchange: Exchange, message: Message) -> None:
    """Taken also from an application that did not look whether they were offered."""
    assert exchange.trailers is not None
    exchange.trailers += _pairs("'headers'", _iterable(message, "headers"))
    if message.get("more_trailers", False):
        return
    fields = exchange.trailers if _takes_trailers(exchange.head) else ()
    if output := exchange.core.send_trailers(fields):
        exchange.connection.write(output)
    exchange.complete()


def _iterable(message: Message, key: str) -> Iterable[Any]:
    value: Iterable[Any] = message.get(key, ())
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ResponseError(f"{key!r} must be an iterable, not {value!r}")
    return value


def _pairs(what: str, pairs: Iterable[Any]) -> list[tuple[bytes, bytes]]:
    try:
        return [(name, value) for name, value in pairs]
    except (TypeError, ValueError) as error:
        raise ResponseError(f"{what} must be (name, value) pairs of bytes") from error


# ------------------------------------------------------------------------------------- files


async def _send_path(exchange: Exchange, message: Message) -> None:
    path = message.get("path")
    if not isinstance(path, (str, os.PathLike)):
        raise ResponseError(f"'path' must be the path of a file, not {path!r}")
    try:
        # Not blocking: to open a named pipe would wait for its writer.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        # Not raised as it is: an OSError would tell the application that its client has left.
        raise ResponseError(f"cannot open {os.fspath(path)!r}: {error}") from error
    try:
        await _send(exchange, file, 0, _size(file), more=False)
    finally:
        os.close(file)


async def _send_open_file(exchange: Exchange, message: Message) -> None:
    source: Any = message.get("file")
    offset = message.get("offset")
    count, more = message.get("count"), message.get("more_body", False)
    try:
        file = source if isinstance(source, int) else source.fileno()
        size = _size(file)
        start = offset
        if start is None:
            start = source.tell() if hasattr(source, "tell") else os.lseek(file, 0, os.SEEK_CUR)
    except (AttributeError, OSError, ValueError) as error:
        raise ResponseError(f"'file' must be an open file, not {source!r}") from error
    for name, value in (("offset", start), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise ResponseError(f"{name!r} must be a number of bytes, not {value!r}")
    if more is not False and more is not True:
        raise ResponseError(f"'more_body' must be True or False, not {more!r}")
    left = max(size - start, 0)
    count = left if count is None else min(count, left)
    await _send(exchange, file, start, count, more=more)
    if offset is None:  # as a read would have done
        (source.seek if hasattr(source, "seek") else _seeker(file))(start + count)


def _seeker(file: int) -> Any:
    return lambda position: os.lseek(file, position, os.SEEK_SET)


def _size(file: int) -> int:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise ResponseError("only a regular file can be sent")
    return found.st_size


async def _send(exchange: Exchange, file: int, start: int, count: int, *, more: bool) -> None:
    """A piece of body that is in a file."""
    if count <= _SMALL:
        await exchange.send_body(os.pread(file, count, start), more)
        return
    core, connection = exchange.core, exchange.connection
    ends = not more and exchange.trailers is None
    after = b""
    if ends and not core.response_started:
        before, count = core.send_external(count)  # the whole body: its length is known
    else:
        before, count, after = core.external_piece(count)
    exchange.state = SENDING
    connection.file_left = count
    try:
        if before:
            connection.write(before)
        await send_file(connection, exchange.service.loop, file, start)
    except BaseException:
        # Cancelled, too: nobody but the kernel could go on from here.
        core.bytes_sent -= connection.file_left  # announced, and never sent
        exchange.break_off()
        raise
    if after:
        connection.write(after)
    exchange.state = STREAM
    if ends:
        await exchange.send_body(b"", False)
    elif not more:
        exchange.state = TRAILERS
