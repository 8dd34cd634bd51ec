"""A client's connection that speaks TLS, for a loop that hands itself off.

What lives here: `Connection` with a TLS session between HTTP and the socket. What must not: TLS
itself (tls/session.py), and whatever is the same without it.

The handshake is more reading: the loop reads, the session answers, no thread waits, and the
deadline is that of a connection that says nothing. Output is kept as plaintext and encrypted piece
by piece, as the client takes it. The lock is for the one moment in which two threads want to send:
when a request is given up in the place of its thread.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from bare_serve.errors import TlsError
from bare_serve.http import Timeouts
from bare_serve.http1 import ServerConnection
from bare_serve.tls.certificates import Served
from bare_serve.tls.facts import variables
from bare_serve.tls.session import Session
from bare_serve.wsgi.connection import HIGH_WATER, Connection
from bare_serve.wsgi.file_part import FileError, FilePart

# Bytes encrypted in one step, so that little ciphertext waits for a slow reader.
_PIECE: Final = 1 << 16
# And so much in one turn of the loop, however fast the client: others want handshakes. Beside four
# readers of answers of 10 MB twice as many new clients are served in the same time.
_TURN: Final = 8 * _PIECE

logger = logging.getLogger("bare_serve.tls")


class SecureConnection(Connection):
    """One client that speaks TLS, or should."""

    __slots__ = ("_goodbye_said", "_lock", "_owed", "_sealed", "_session")

    def __init__(
        self, sock: Any, http: ServerConnection, timeouts: Timeouts, environ: dict[str, Any],
        served: Served,
    ) -> None:  # fmt: skip
        super().__init__(sock, http, timeouts, environ)
        environ["wsgi.url_scheme"] = "https"
        self._session = Session(served.context)
        self._sealed: bytes | memoryview = b""
        """Ciphertext that the client has not taken; what follows is encrypted only behind it."""
        self._owed = 0
        """How much TLS itself has added to that since it was last empty."""
        self._goodbye_said = False
        self._lock = threading.Lock()

    def read(self) -> bool | None:
        """See `Connection.read`; also goes on with the handshake."""
        try:
            data = self.sock.recv(self._session.portion)
        except (BlockingIOError, InterruptedError):
            return False
        if data:
            # A handshake that goes on is no idle connection, which a drain would close.
            return self.take(data) or None
        self.http.receive_eof()
        return True

    def take(self, data: bytes) -> bool:
        """Go on with bytes that came from the client, by whichever call they were read.

        True if there is something for HTTP among them.

        Raises:
            OSError: the connection is broken.
        """
        session = self._session
        was_established = session.established
        with self._lock:
            try:
                plain = session.receive(data)
            except TlsError as error:
                self._fail(error)
                return False
            if own := session.take():
                self._owed = self._owed + len(own) if self._sealed else 0
                if self._owed > HIGH_WATER:
                    self._fail(TlsError("the client does not take what TLS answers"))
                self._push(own)
        if session.established and not was_established:
            self.environ.update(variables(session.ssl_object))
        if plain:
            self.http.receive_data(plain)
        if session.ended:
            self.http.receive_eof()
        return bool(plain) or session.ended

    def _fail(self, error: TlsError) -> None:
        """Log why. Send the answer that TLS has for it, and linger; else raise the error."""
        logger.info("%s: no TLS: %s", self.client or "unix", error.reason)
        self._goodbye_said = True
        if self._session.established or not error.answer:
            raise error
        self.sock.send(error.answer)
        super().start_lingering()

    def receive_plain(self) -> bytes:
        """See `upgraded.Carrier`."""
        session = self._session
        if session.ended:
            return b""
        data = self.sock.recv(session.portion)
        if not data:
            return b""
        with self._lock:
            plain = session.receive(data)
            self._push(session.take())
        if not plain and not session.ended:
            raise BlockingIOError
        return plain

    def send_plain(self, data: memoryview) -> int:
        """See `upgraded.Carrier`."""
        with self._lock:
            if not self._push_rest():
                raise BlockingIOError
            self._push(self._session.encrypt(data))
        return len(data)

    def flush_plain(self) -> bool:
        """See `upgraded.Carrier`."""
        with self._lock:
            return self._push_rest()

    # ------------------------------------------------------------------ sending

    def _send(self, output: bytes) -> None:
        if self.unsent or len(output) > _PIECE:
            self._keep(memoryview(output))
            self.flush()
            return
        with self._lock:
            self._push(self._session.encrypt(output))

    def release(self) -> None:
        """See `BufferedOutput.release`."""
        output, self.held = self.held, b""
        if not output or self.given_up:
            return
        try:
            self._send(output)
        except OSError as error:
            raise self._left(error) from error

    def release_last(self) -> None:
        """See `BufferedOutput.release_last`. The end of TLS comes in between."""
        self.release()

    def _push(self, sealed: bytes) -> None:
        """Send ciphertext, and keep what is not taken. With the lock held."""
        if self._sealed:
            self._sealed = bytes(self._sealed) + sealed
            self.unsent += len(sealed)
            return
        try:
            sent = self.sock.send(sealed)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(sealed):
            self._sealed = memoryview(sealed)[sent:]
            self.unsent += len(self._sealed)

    def flush(self) -> None:
        """See `BufferedOutput.flush`."""
        out, sent = self._out, 0
        with self._lock:
            while self._push_rest() and out and sent < _TURN:
                part = self._next_part()
                sealed = self._session.encrypt(part)
                self.unsent -= len(part)
                sent += len(part)
                self._push(sealed)

    def _next_part(self) -> bytes | memoryview:
        """Take off what is encrypted next."""
        out = self._out
        piece = out[0]
        if isinstance(piece, FilePart):
            try:
                block = piece.read(_PIECE)
            except FileError as error:
                raise self._file_failed(error) from error
            piece.offset += len(block)
            if not piece.left:
                self._drop_file(piece)
            return block
        assert isinstance(piece, memoryview)
        part = piece[:_PIECE]
        if len(part) < len(piece):
            out[0] = piece[_PIECE:]
        else:
            out.popleft()
        return part

    def _push_rest(self) -> bool:
        """Return whether no ciphertext waits any more."""
        try:
            while self._sealed:
                sent = self.sock.send(self._sealed)
                self._sealed = self._sealed[sent:]
                self.unsent -= sent
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def transmit_file(self, fd: int, offset: int, count: int) -> None:
        """See `BufferedOutput.transmit_file`: read and encrypted piece by piece."""
        self._keep_file(fd, offset, offset + count)
        try:
            self.flush()
        except OSError as error:
            raise self._left(error) from error

    # ------------------------------------------------------------------ the end

    def start_lingering(self) -> bool:
        """See `Closing.start_lingering`."""
        self._say_goodbye()
        return super().start_lingering()

    def drop_output(self) -> None:
        """See `BufferedOutput.drop_output`."""
        super().drop_output()
        self._sealed = b""

    def close(self) -> None:
        """See `Connection.close`."""
        if not self.aborted:  # else its absence shows the client that something is missing
            self._say_goodbye()
        super().close()

    def _say_goodbye(self) -> None:
        """Send close_notify (RFC 8446, 6.1), as far as the client takes it."""
        if self.upgraded is not None:
            self.upgraded.finish()
        if self._goodbye_said or self.unsent or self.aborted:
            return
        self._goodbye_said = True
        with self._lock:
            try:
                if own := self._session.close():
                    self.sock.send(own)
            except OSError:
                pass

    def _send_last(self, answer: bytes) -> None:
        with self._lock:
            if not self._sealed:
                self.sock.send(self._session.encrypt(answer) + self._session.close())
