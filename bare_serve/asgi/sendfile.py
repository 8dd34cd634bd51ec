"""A piece of a file to a client by the kernel, through the loop.

What lives here: the way of bytes from a file descriptor to the socket of a transport. What must
not: framing and the application's messages (extensions.py).

uvloop has no `loop.sendfile`, so this is one for every loop: what the transport still holds goes
first, then sendfile takes turns with the loop on a duplicate of the socket's descriptor, which no
loop claims for itself and which cannot become another connection's meanwhile. Where there is no
sendfile, or the transport changes the bytes (TLS), pieces are read and written.
"""

from __future__ import annotations

import asyncio
import errno
import os

from bare_serve.asgi.interfaces import Sink, Writable
from bare_serve.errors import ClientGone, ResponseError

# What one turn of the loop may send: a fast reader must not keep all others waiting.
_TURN = 1 << 21
_PIECE = 1 << 17
SHORTER = "the file became shorter while it was being sent"
# Out of descriptors, as with many connections; to send by hand takes none.
_FULL = frozenset((errno.EMFILE, errno.ENFILE))
_NOT_HERE = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSOCK))


async def send_file(sink: Sink, loop: asyncio.AbstractEventLoop, file: int, start: int) -> None:
    """Send `sink.file_left` bytes of `file` from `start` on; counts `file_left` down.

    Raises:
        ClientGone: the client takes no more.
        ResponseError: the file has become shorter meanwhile.
    """
    _check(sink)  # a transport of uvloop's that is closing takes no limits
    transport = sink.transport
    if hasattr(os, "sendfile") and transport.get_extra_info("ssl_object") is None:
        transport.set_write_buffer_limits(high=0)
        try:
            await drained(sink)
            start += await _by_kernel(sink, loop, file, start)
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits()
    await _by_hand(sink, file, start)


async def _by_kernel(sink: Sink, loop: asyncio.AbstractEventLoop, file: int, start: int) -> int:
    """Return how many bytes were sent: none where the system cannot do it with this file."""
    try:
        out = os.dup(sink.transport.get_extra_info("socket").fileno())
    except OSError as error:
        if error.errno in _FULL:
            return 0
        raise
    sent = 0
    watched = False
    try:
        while sink.file_left:
            try:
                count = os.sendfile(out, file, start + sent, min(sink.file_left, _TURN))
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                if not sent and error.errno in _NOT_HERE:
                    return 0
                raise _gone() from error
            else:
                if not count:
                    raise _shorter()
                sent += count
                sink.file_left -= count
            if sink.file_left:
                # The next turn is when the socket takes more: seldom at once, since it was filled.
                # The same bell rings when the connection is lost.
                if not watched:
                    loop.add_writer(out, sink.drained.wake)
                    watched = True
                await sink.drained.wait()
                _check(sink)
    finally:
        if watched:
            loop.remove_writer(out)
        os.close(out)
    return sent


async def _by_hand(sink: Sink, file: int, start: int) -> None:
    while sink.file_left:
        data = os.pread(file, min(sink.file_left, _PIECE), start)
        if not data:
            raise _shorter()
        start += len(data)
        sink.file_left -= len(data)
        sink.transport.write(data)
        await drained(sink)


async def drained(sink: Writable) -> None:
    """Wait while the client takes less than it is sent.

    Raises:
        ClientGone: it takes no more.
    """
    while sink.write_paused:
        await sink.drained.wait()
    _check(sink)


def _check(sink: Writable) -> None:
    if sink.lost or sink.transport.is_closing():
        raise _gone()


def _gone() -> ClientGone:
    return ClientGone("the client closed the connection before the file was sent")


def _shorter() -> ResponseError:
    return ResponseError(SHORTER)
