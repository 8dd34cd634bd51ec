"""A WSGI connection that speaks TLS, on one end of a socket pair: nothing runs by itself."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from bare_serve.errors import TlsError
from bare_serve.http import Limits, RequestHead, Timeouts
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from bare_serve.wsgi import secure
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.secure import SecureConnection
from benchmarks.hostile.key_updates import KeyUpdater
from tests.support import eventually
from tests.wsgi.fakes import request

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB: more than the kernel takes


class Ends:
    """The server's connection, and a client without a socket of its own thread."""

    def __init__(self, pki: SimpleNamespace) -> None:
        mine, self.wire = socket.socketpair()
        mine.setblocking(False)
        self.wire.settimeout(10)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = pki.ca.client()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        served = Certificates(TlsOptions(certfile=str(pki.chain), keyfile=str(pki.key))).served
        base = server_environ(multithread=False, multiprocess=False, file_wrapper=FileWrapper)
        http = ServerConnection(select_parser("python").make(), Limits())
        environ = connection_environ(base, ("192.0.2.1", 443), ("192.0.2.9", 1))
        self.connection = SecureConnection(mine, http, Timeouts(), environ, served)

    def shake(self) -> None:
        """The handshake, to its end on both sides."""
        for _ in range(10):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.say()
                assert self.connection.read() in (None, False)
                self.incoming.write(self.wire.recv(1 << 16))
            else:
                break
        self.say()
        assert self.connection.read() is None

    def say(self, data: bytes = b"") -> None:
        """What the client has to send."""
        if data:
            self.tls.write(data)
        if self.outgoing.pending:
            self.wire.sendall(self.outgoing.read())

    def hear(self, count: int) -> bytes:
        """So many bytes of plaintext, while the server's loop flushes."""
        got = b""
        while len(got) < count:
            try:
                got += self.tls.read(count - len(got))
            except ssl.SSLWantReadError:
                self.connection.flush()
                self.incoming.write(self.wire.recv(1 << 20))
        return got

    def end(self) -> str:
        """How it ends for the client: by TLS's own word, or without."""
        try:
            while True:
                try:
                    data = self.tls.read(1 << 16)
                except ssl.SSLWantReadError:
                    try:
                        data = self.wire.recv(1 << 20)
                    except ConnectionResetError:
                        data = b""
                    if data:
                        self.incoming.write(data)
                    else:
                        self.incoming.write_eof()
                    continue
                if not data:
                    return "close_notify"
        except ssl.SSLZeroReturnError:
            return "close_notify"
        except ssl.SSLEOFError:
            return "cut"


@pytest.fixture
def ends(pki: SimpleNamespace) -> Iterator[Ends]:
    made = Ends(pki)
    try:
        yield made
    finally:
        made.wire.close()
        made.connection.close()


def fill(ends: Ends) -> int:
    """Sends what nobody reads, until some of it has to be kept."""
    count = 0
    while not ends.connection.unsent:
        ends.connection.transmit(CONTENT[: 1 << 16], False)
        count += 1 << 16
    return count


# ------------------------------------------------------------------------------ reading


def test_a_handshake_is_nothing_for_http(ends: Ends) -> None:
    connection = ends.connection
    assert connection.environ["wsgi.url_scheme"] == "https"
    assert connection.read() is False
    assert "HTTPS" not in connection.environ
    ends.shake()
    assert connection.environ["HTTPS"] == "on"
    assert connection.environ["SSL_PROTOCOL"] == "TLSv1.3"
    assert connection.http.buffered == 0


def test_a_request_in_pieces_of_ciphertext(ends: Ends) -> None:
    ends.shake()
    ends.tls.write(request())
    sealed = ends.outgoing.read()
    ends.wire.sendall(sealed[:20])
    assert ends.connection.read() is None, "half a record"
    ends.wire.sendall(sealed[20:])
    assert ends.connection.read() is True
    assert isinstance(ends.connection.http.next_event(), RequestHead)


@pytest.mark.parametrize("politely", [True, False])
def test_the_end_of_what_the_client_says(ends: Ends, politely: bool) -> None:
    ends.shake()
    if politely:
        with pytest.raises(ssl.SSLWantReadError):
            ends.tls.unwrap()
        ends.say()
    else:
        ends.wire.shutdown(socket.SHUT_WR)
    assert ends.connection.read() is True
    assert ends.connection.http.next_event().name == "MUST_CLOSE"  # type: ignore[union-attr]


def test_plain_http_is_answered_so(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bare_serve")
    ends.wire.sendall(request())
    assert ends.connection.read() is None
    answer = ends.wire.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert ends.wire.recv(1000) == b"", "and that is all"
    assert "192.0.2.9: no TLS: the client speaks plain HTTP" in caplog.text
    assert ends.connection.linger_until > 0


def test_noise_is_broken_off(ends: Ends) -> None:
    ends.wire.sendall(b"\x00" * 100)
    with pytest.raises(TlsError):
        ends.connection.read()


def test_a_damaged_record_breaks_off(ends: Ends) -> None:
    ends.shake()
    ends.tls.write(request())
    sealed = bytearray(ends.outgoing.read())
    sealed[-1] ^= 1
    ends.wire.sendall(sealed)
    with pytest.raises(TlsError):
        ends.connection.read()
    ends.connection.close()
    assert ends.end() != "close_notify"


def test_what_tls_answers_is_kept_up_to_a_limit_only(
    pki: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyUpdates ask for answers (RFC 8446, 4.6.3), which a client that takes nothing leaves."""
    monkeypatch.setattr(secure, "HIGH_WATER", 300)
    ends = Ends(pki)
    ends.wire.close()
    ends.connection.sock.close()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        shaking = pool.submit(KeyUpdater, listener.getsockname(), pki.ca.client())
        ends.connection.sock, _ = listener.accept()
        while "HTTPS" not in ends.connection.environ:
            ends.connection.read()  # blocking as yet
        client = shaking.result()
    with client.socket, ends.connection.sock as sock:

        def answer(times: int) -> None:
            """So many answers of TLS; each with a byte of data, since those alone are refused."""
            sock.setblocking(True)
            for _ in range(times):
                client.socket.sendall(client.key_update() + client.data(b"x"))
                while ends.connection.read() is not True:
                    pass
            sock.setblocking(False)

        answer(30)
        fill(ends)
        kept = ends.connection.unsent
        with pytest.raises(TlsError, match="does not take what TLS answers"):
            answer(30)
        assert 200 < ends.connection.unsent - kept <= 300


# ------------------------------------------------------------------------------ writing


def test_small_answers_are_sent_at_once(ends: Ends) -> None:
    ends.shake()
    connection = ends.connection
    connection.transmit(b"one", False)
    connection.transmit(b"two", True)
    assert connection.held == b"two"
    connection.release()
    assert connection.unsent == 0
    assert ends.hear(6) == b"onetwo"


def test_a_large_answer_leaves_as_it_is_taken(ends: Ends) -> None:
    ends.shake()
    ends.connection.transmit(CONTENT, True)
    ends.connection.release()
    assert ends.connection.unsent > 0
    assert ends.hear(len(CONTENT)) == CONTENT
    ends.connection.flush()
    assert ends.connection.unsent == 0


def test_what_is_kept_keeps_its_order(ends: Ends) -> None:
    ends.shake()
    count = fill(ends)
    kept = ends.connection.unsent
    ends.connection.transmit(b"small", False)
    assert ends.connection.unsent == kept + 5, "not sent past what waits"
    heard = ends.hear(count + 5)
    assert heard == CONTENT[: 1 << 16] * (count >> 16) + b"small"
    ends.connection.flush()
    assert ends.connection.unsent == 0


def test_one_turn_encrypts_only_so_much(ends: Ends) -> None:
    """However fast the client: others want handshakes."""
    ends.shake()
    taken = 0

    class Greedy:
        def send(self, data: bytes) -> int:
            nonlocal taken
            taken += len(data)
            return len(data)

    connection = ends.connection
    real, connection.sock = connection.sock, Greedy()  # type: ignore[assignment]
    try:
        connection.transmit(bytes(4 << 20), True)
        connection.release()
        assert 8 << 16 <= taken < 9 << 16
        assert connection.unsent == (4 << 20) - (8 << 16)
        for _ in range(7):
            connection.flush()
        assert connection.unsent == 0
    finally:
        connection.sock = real


@pytest.mark.parametrize(("offset", "count"), [(0, len(CONTENT)), (300, 70_000)])
def test_a_file(ends: Ends, offset: int, count: int) -> None:
    ends.shake()
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        ends.connection.transmit_file(file.fileno(), offset, count)
    assert ends.connection.unsent or count < len(CONTENT)  # the loop sends it, as it is taken
    assert ends.hear(count) == CONTENT[offset : offset + count]
    assert ends.connection.unsent == 0
    assert ends.connection.http.bytes_sent == count


# ------------------------------------------------------------------------------ the end


def test_a_close_says_so(ends: Ends) -> None:
    ends.shake()
    ends.connection.close()
    assert ends.end() == "close_notify"


def test_a_close_that_lingers_says_so_once(ends: Ends) -> None:
    ends.shake()
    assert ends.connection.start_lingering() is True
    ends.connection.close()
    assert ends.end() == "close_notify"


def test_an_abort_says_nothing(ends: Ends) -> None:
    """Its absence tells the client that something is missing."""
    ends.shake()
    ends.connection.transmit(b"part", False)
    ends.connection.abort()
    assert ends.connection.start_lingering() is False
    ends.connection.close()
    assert ends.end() == "cut"


def test_who_has_not_taken_all_is_not_told_that_it_was_all(ends: Ends) -> None:
    ends.shake()
    fill(ends)
    ends.connection.close()
    assert ends.end() == "cut"


def test_what_is_dropped_is_gone(ends: Ends) -> None:
    ends.shake()
    fill(ends)
    ends.connection.drop_output()
    assert ends.connection.unsent == 0
    ends.connection.flush()
    assert ends.connection.unsent == 0


def test_the_last_words_for_a_call_that_is_given_up(ends: Ends) -> None:
    ends.shake()
    ends.connection.mark_given_up("too long")
    ends.connection.give_up(b"late")
    assert ends.hear(4) == b"late"
    assert ends.end() == "close_notify"


def test_no_last_words_in_the_middle_of_others(ends: Ends) -> None:
    ends.shake()
    fill(ends)
    ends.connection.mark_given_up("too long")
    ends.connection.give_up(b"late")
    assert ends.end() == "cut"


def test_a_client_that_has_left_before_the_goodbye(ends: Ends) -> None:
    ends.shake()
    ends.wire.close()
    ends.connection.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends.connection.fd)
    eventually(lambda: ends.connection.sock.fileno() == -1, "closed")


def test_ciphertext_behind_ciphertext_that_waits(ends: Ends) -> None:
    """As TLS's own words may come while an answer waits for its client."""
    before = 0
    try:
        while True:
            before += ends.connection.sock.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    ends.connection._push(b"one")
    ends.connection._push(b"two")
    assert ends.connection.unsent == 6
    got = b""
    while len(got) < before + 6:
        got += ends.wire.recv(1 << 20)
        ends.connection.flush()
    assert got[before:] == b"onetwo"
    assert ends.connection.unsent == 0
