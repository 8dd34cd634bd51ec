"""How a connection ends: refused, broken off, late, idle while the worker leaves, or cut.

What lives here: what closes a socket and when, lingering, and the deadlines that the worker's tick
asks for. What must not: requests and their answers (connection.py), which deadlines there are
(http/deadlines.py).

No timer is set: a connection is closed by what it reads and writes, or by `check`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import select
import socket
import struct
from typing import Any

from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.service import Service
from bare_serve.errors import RequestError
from bare_serve.http import BODY, IDLE, LINGER_BYTES, LINGER_SECONDS, Deadlines, RequestHead
from bare_serve.http.log_text import refusal
from bare_serve.http1 import ServerConnection
from bare_serve.net.forwarded import Trust

logger = logging.getLogger("bare_serve.http")


class ClosableConnection(asyncio.Protocol):
    """The part of a connection that ends it; the connection sets the attributes."""

    __slots__ = (
        "_began",
        "_close_by",
        "_deadlines",
        "_discard",
        "_ending",
        "_eof",
        "_idle_at",
        "_last_head",
        "_peer",
        "_reading_paused",
        "_trust",
        "_unsent",
        "_waiting",
        "client",
        "core",
        "current",
        "file_left",
        "lost",
        "service",
        "tls",
        "transport",
    )  # fmt: skip

    client: str
    core: ServerConnection
    current: Exchange | None
    file_left: int
    lost: bool
    service: Service
    tls: dict[str, Any] | None
    transport: asyncio.Transport
    _close_by: float
    _began: float
    _deadlines: Deadlines | None
    _discard: int
    _ending: bool
    _eof: bool
    _idle_at: int
    _last_head: RequestHead | None
    _peer: tuple[str, int | None] | None
    _reading_paused: bool
    _trust: Trust | None
    _unsent: int
    _waiting: bool

    # ------------------------------------------------------------------ an exchange that fails

    def break_off(self) -> None:
        """Close so that the client can tell that its answer is not complete."""
        self._lose_current()
        if self.core.break_off():
            self._close()
        else:
            self._reset()

    def _refuse(self, error: RequestError) -> None:
        """Answer a request that breaks the protocol, if that is still possible, and close."""
        if self.core.response_started:
            self._lose_current()
        answer = self.core.error_response(error)  # then `head` is of this request, or None
        if self._trust is not None and self.core.head is not self._last_head:
            # The proxy's word on this request was not understood, or not read: the client that
            # asked before is not to blame.
            self.client = "" if self._peer is None else self._peer[0]
        if error.status >= 400:
            self.service.noted.refused(error.status)
            logger.info("%s", refusal(self.client, self.core.head or error.asked, error))
        self._lose_current()
        if answer:
            self.transport.write(answer)
            on_answered, head = self.service.on_answered, error.asked
            if error.status < 400:  # a redirection
                head = self.core.head
            if on_answered is not None and head is not None:
                on_answered(self.client, head, self.core, 0.0)
            self._close(linger=True)
        else:
            self._drop()

    def _lose_current(self) -> None:
        if self.current is not None:
            if not self.lost:
                self.current.send_kept()
            self.current.tell_disconnect(gone=True)
            self.current = None

    # ------------------------------------------------------------------ the socket

    def _close(self, *, linger: bool = False) -> None:
        """Flush and close; with `linger` read on for a while, or the kernel would answer what
        the client still sends with a reset, which can destroy the answer on its way."""
        if self.lost:
            return
        self.lost = True
        transport = self.transport
        self._be_patient(self.service.loop.time(), transport.get_write_buffer_size())
        if linger and not self._eof and transport.can_write_eof():
            self._discard = LINGER_BYTES
            transport.write_eof()
            if self._reading_paused:
                transport.resume_reading()
        else:
            transport.close()

    def _be_patient(self, now: float, unsent: int) -> None:
        """Give a closing connection the write timeout to flush, then a moment more."""
        self._unsent = unsent
        write = self.service.options.timeouts.write or math.inf
        self._close_by = now + (write if unsent else LINGER_SECONDS)

    def _drop(self) -> None:
        """Close at once, whatever the client has not been sent or not taken; it can tell."""
        self._lose_current()
        if self.core.break_off():
            self._abort()
        else:
            self._reset()

    def _reset(self) -> None:
        """Close by a reset: the client would take another end for that of its answer."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            with contextlib.suppress(OSError):  # it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._abort()

    def _abort(self) -> None:
        self.lost = True
        self.transport.abort()

    def _discard_data(self, count: int) -> None:
        self._discard -= count
        if self._discard <= 0:
            self.transport.close()

    def fileno(self) -> int:
        """Return the descriptor of the socket; -1 if it is closed."""
        sock = self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    # ------------------------------------------------------------------ the worker's tick

    def check(self, now: float) -> None:
        """Act on deadlines; called at least once a second."""
        unsent = self.transport.get_write_buffer_size() + self.file_left
        if self.lost:
            if unsent != self._unsent:
                self._be_patient(now, unsent)
            elif now >= self._close_by:
                if unsent:
                    self._drop()
                else:
                    self._abort()
            return
        # Nobody is late whose body has not been asked for (RFC 9110, 10.1.1: who waits for our
        # leave to send it does so rightly), or who is not read from.
        current = self.current
        held = self._reading_paused or self._waiting
        held = held or (current is not None and not current.reading)
        deadlines = self._deadlines
        if deadlines is None:
            deadlines = self._deadlines = Deadlines(self.service.options.timeouts, self._began)
        verdict = deadlines.overdue(self.core, now, paused=held and not unsent, unsent=unsent)
        if verdict is None:
            return
        if verdict == "close":
            if self.core.phase != IDLE or not self._can_be_read():
                self._close()
        elif verdict == "abort":
            logger.info("%s: the client takes nothing of its answer; closed.", self.client or "-")
            self._drop()
        elif self.core.phase == BODY and self.core.response_complete:
            self._close()  # answered already: what is late is only the rest of a body
        else:
            self._refuse(verdict)

    # ------------------------------------------------------------------ the worker leaves

    def drain(self) -> None:
        """Make the next answer the last one: the worker is going to stop."""
        self._ending = True
        self.core.close_after = True
        self._idle_at = self._idle_requests()

    def wind_down(self, *, fresh: bool) -> None:
        """While draining: close if it was idle at the last look as well.

        `fresh`: close also connections that have not sent anything yet.
        """
        core = self.core
        if self.lost:
            return
        before, self._idle_at = self._idle_at, self._idle_requests()
        if self._idle_at < 0 or self._idle_at != before:
            return  # something is owed to the client, or it may not have had time to ask
        if (fresh or core.requests) and not self._can_be_read():
            self._say_end()
            self._close()

    def _idle_requests(self) -> int:
        """How many requests it has had, or -1 if it is not idle."""
        core = self.core
        return core.requests if self.current is None and core.phase == IDLE else -1

    def _say_end(self) -> None:
        """Tell an idle client at once, before it asks again: transports close when the loop comes
        round, and callbacks of the application may stand before that."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or self.tls is not None or self.transport.get_write_buffer_size():
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as copy:
            copy.shutdown(socket.SHUT_WR)

    def _can_be_read(self) -> bool:
        """Return whether bytes wait that the loop has not read: uvloop runs timers first."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def cut(self) -> None:
        """Break off what is left: the grace period is over."""
        self._lose_current()
        if not self.lost or self.transport.get_write_buffer_size():
            self._drop()
        elif self._discard:
            self._abort()
