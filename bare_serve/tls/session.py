"""One TLS session as its server sees it, without a socket.

What lives here: ciphertext in, plaintext out, and the other way; the handshake is only more of it.
What must not: sockets, loops, threads, HTTP beyond one sentence for a client that speaks it here.

All that has come is decrypted at once: nothing stays here that readiness of a socket would not
show. Memory instead of a socket of OpenSSL's own also means one recv and one send for a request, as
without TLS; OpenSSL would read each record's header by itself.
Not thread-safe: one caller at a time.
"""

from __future__ import annotations

import errno
import ssl
from typing import Final

from bare_serve.errors import TlsError

_HANDSHAKE: Final = 22  # RFC 8446, 5.1: ContentType
# RFC 8446, 5.1: no record holds more than this, so no read leaves a part of one behind.
_RECORD: Final = 1 << 14
# Bytes of an established client that are neither data nor what a record of data may cost beside it:
# a record that is still coming in, and more. A KeyUpdate (RFC 8446, 4.6.3) has 27 bytes and costs
# 40 us, so a flood ends after 50 ms.
_MOST_SILENT: Final = 1 << 15
_RECORD_COSTS: Final = 96
# So much is best given to `receive` at a time: more of a client that sends data, and little of one
# that does not.
_LARGE: Final = 1 << 16
_SMALL: Final = 1 << 13

_HINT = b"This is an HTTPS port: use https:// in the address.\n"
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_HINT), _HINT)
)


class Session:
    """One per connection."""

    __slots__ = (
        "_context",
        "_incoming",
        "_object",
        "_outgoing",
        "_records",
        "_silent",
        "ended",
        "established",
        "portion",
    )

    _object: ssl.SSLObject

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context: ssl.SSLContext | None = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._silent = 0  # bytes that have come and were no data
        self._records = 0  # of data, in what has come last
        self.established = False
        """The handshake is over: there are facts, and data may be sent."""
        self.portion = _SMALL
        """How many bytes are best received at a time: a flood of small records takes long."""
        self.ended = False
        """The client has said that it sends no more (close_notify)."""

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """For facts about the session; there once it is established."""
        return self._object

    def receive(self, data: bytes) -> bytes:
        """Take what has come; the plaintext in it. Afterwards `take` what is to be sent.

        Raises:
            TlsError: it is no TLS, none that we can agree on, or TLS for its own sake.
        """
        try:
            if self.established:
                self._incoming.write(data)
            elif not self._shake_hands(data):
                return b""
            plain = self._decrypted()
        except ssl.SSLError as error:
            raise TlsError(_reason(error), self._outgoing.read()) from None
        size = len(data)
        more = size - len(plain)
        if more > _RECORD_COSTS or self._silent or size >= _SMALL:
            self._weigh(more, size)
        return plain

    def _weigh(self, more: int, size: int) -> None:
        """Count bytes that were no data: `more` of `size`. Most requests never get here."""
        self._silent = max(0, self._silent + more - self._records * _RECORD_COSTS)
        self.portion = _LARGE if more * 2 <= size else _SMALL
        if self._silent > _MOST_SILENT:
            raise TlsError("the client sends too much that is no data")

    def take(self) -> bytes:
        """Return the bytes that TLS itself has for the client; send them at once.

        Tickets could wait for the first answer, but what carries them also acknowledges the end of
        the handshake, without which Nagle's algorithm keeps the client's request for 40 ms.
        """
        return self._outgoing.read() if self._outgoing.pending else b""

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """Return what to send for `data`.

        Raises:
            TlsError: nothing can be sent any more.
        """
        write = self._object.write
        try:
            # Into memory all of it goes at once, whatever the number of records.
            done = write(data) if data else 0
            while done < len(data):
                done += write(memoryview(data)[done:])
        except ssl.SSLError as error:
            raise TlsError(_reason(error)) from None
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return what to send as the last thing: close_notify (RFC 8446, 6.1)."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass  # the client has not said the same, which is not waited for
        return self._outgoing.read()

    def _shake_hands(self, data: bytes) -> bool:
        """Take bytes of the handshake; return True when it is over."""
        if self._context is not None:
            _check_first(data[0])
            self._object = self._context.wrap_bio(self._incoming, self._outgoing, True)
            self._context = None
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def _decrypted(self) -> bytes:
        incoming, read = self._incoming, self._object.read
        pieces: list[bytes] = []
        try:
            while True:
                piece = read(_RECORD)
                if not piece:
                    self.ended = True
                    break
                if not incoming.pending and not pieces:
                    self._records = 1
                    return piece
                pieces.append(piece)
                if not incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        self._records = len(pieces)
        return b"".join(pieces)


def _check_first(byte: int) -> None:
    """No session is made for what cannot be a hello: scanners come often."""
    if byte == _HANDSHAKE:
        return
    if 65 <= byte <= 90:  # a method's letter
        raise TlsError("the client speaks plain HTTP", _PLAIN_HTTP)
    raise TlsError("the client does not speak TLS")


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    reason = error.reason or errno.errorcode.get(error.errno or 0, "no reason")
    return reason.replace("_", " ").lower()
