"""A client's connection by its parts: what is kept, what is waited for, files, and the end."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import LINGER_BYTES, LINGER_SECONDS, RequestHead, Timeouts
from bare_serve.system import forks
from bare_serve.wsgi.connection import HIGH_WATER, READ_BYTES, Connection
from tests.support import eventually
from tests.wsgi.fakes import request
from tests.wsgi.pairs import Pair, pair

CONTENT = bytes(range(256)) * 40_000  # 10 MB: more than any buffer


@pytest.fixture
def both() -> Iterator[Pair]:
    with pair(Timeouts(write=0.3, body=0.3)) as made:
        yield made


def filled(both: Pair) -> int:
    """Fills the kernel's buffers, as a client does that reads nothing; how much that took."""
    count = 0
    try:
        while True:
            count += both.connection.sock.send(bytes(1 << 16))
    except BlockingIOError:
        return count


class Reader(threading.Thread):
    """Takes all that comes, until there is no more or it has as much as it wants."""

    def __init__(self, client: socket.socket, most: int = 1 << 40) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._most = most
        self.received = bytearray()
        self.start()

    def run(self) -> None:
        while len(self.received) < self._most:
            try:
                data = self._client.recv(min(1 << 20, self._most - len(self.received)))
            except OSError:  # the test is over
                return
            if not data:
                return
            self.received += data


def begun(both: Pair, raw: bytes) -> Connection:
    """The connection once a request's head has been read."""
    both.client.sendall(raw)
    connection = both.connection
    assert connection.read() is True
    assert isinstance(connection.http.next_event(), RequestHead)
    return connection


# ------------------------------------------------------------------------------ reading


def test_reading_tells_if_something_came(both: Pair) -> None:
    connection = both.connection
    assert connection.read() is False
    both.client.sendall(b"G")
    assert connection.read() is True
    assert connection.http.buffered == 1
    both.client.shutdown(socket.SHUT_WR)
    assert connection.read() is True


def test_whether_there_is_something_to_read(both: Pair) -> None:
    connection = both.connection
    assert (connection.can_be_read(), connection.has_word()) == (False, False)
    both.client.sendall(b"G")
    assert (connection.can_be_read(), connection.has_word()) == (True, True)
    assert connection.read() is True, "it is still there"
    assert (connection.can_be_read(), connection.has_word()) == (False, False)
    both.client.shutdown(socket.SHUT_WR)
    assert (connection.can_be_read(), connection.has_word()) == (True, False)


# ------------------------------------------------------------------------------ writing


def test_what_is_not_taken_is_kept_in_its_order(both: Pair) -> None:
    connection = both.connection
    before = filled(both)
    for piece in (b"one", (b"two", b"three"), b""):
        connection.transmit(piece, False)
    assert connection.unsent == 11
    connection.flush()
    assert connection.unsent == 11, "nothing was taken"
    reader = Reader(both.client, before + 11)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received[before:]) == b"onetwothree"


def test_a_piece_that_is_taken_in_part(both: Pair) -> None:
    connection = both.connection
    connection.transmit(CONTENT, True)
    assert connection.held == CONTENT
    connection.release()
    assert connection.held == b""
    assert 0 < connection.unsent < len(CONTENT)
    reader = Reader(both.client, len(CONTENT))
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received) == CONTENT


def test_the_last_piece_behind_others_is_not_held(both: Pair) -> None:
    connection = both.connection
    filled(both)
    connection.transmit(b"one", False)
    connection.transmit(b"two", True)
    assert (connection.held, connection.unsent) == (b"", 6)


@pytest.mark.parametrize("last", [False, True])
def test_as_much_as_may_be_kept_is_not_waited_for(both: Pair, last: bool) -> None:
    filled(both)
    connection = both.connection
    connection.transmit(bytes(HIGH_WATER - 1), False)
    connection.transmit(b"x", False)
    assert connection.unsent == HIGH_WATER
    if last:
        connection.transmit(b"x", True)  # never waited for
        assert connection.unsent == HIGH_WATER + 1
        return
    with pytest.raises(ClientGone, match="does not take its answer") as caught:
        connection.transmit(b"x", False)
    assert caught.value.errno == errno.ETIMEDOUT
    assert connection.failure is caught.value
    started = time.monotonic()
    with pytest.raises(ClientGone) as again:
        connection.transmit(b"x", False)
    assert again.value is caught.value
    assert time.monotonic() - started < 0.25, "it is not waited for a second time"


def test_it_is_waited_until_half_of_that_is_taken(both: Pair) -> None:
    before = filled(both)
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    count = 2_000_000
    result: list[int] = []

    def produce() -> None:
        connection.transmit(bytes(count), False)
        result.append(connection.unsent)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    eventually(lambda: connection.waits_since, "the thread waits")
    # The kernel holds what it held before, so about 350 KB of it cannot have left.
    Reader(both.client, count - 350_000).join(10)
    eventually(lambda: connection.unsent < 500_000 and connection.waits_since, "the rest waits")
    assert thread.is_alive(), "more than half of what may be kept is kept"
    Reader(both.client, before + 350_000)
    thread.join(10)
    assert not connection.waits_since
    assert result[0] <= HIGH_WATER // 2


class Told:
    """What it has heard of a thread that waits, and how often that it still does."""

    def __init__(self, seconds: float = 1.0, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.seconds = seconds
        self.meanwhile = meanwhile
        self.count = 0
        self.heard: list[tuple[str, Connection]] = []

    def begins(self, connection: Connection) -> None:
        self.heard.append(("begins", connection))

    def goes_on(self) -> float:
        self.count += 1
        self.meanwhile()
        return self.seconds

    def ends(self, connection: Connection) -> None:
        self.heard.append(("ends", connection))


def test_since_when_a_client_has_taken_nothing(both: Pair) -> None:
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    connection.client_waits = told = Told()

    def produce() -> None:
        with contextlib.suppress(ClientGone):  # at the end of the test
            connection.transmit(CONTENT, False)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    eventually(lambda: told.count, "the thread waits")
    begun, count = connection.waits_since, told.count
    assert 0 < begun <= time.monotonic()
    eventually(lambda: told.count > count, "it looks again")
    assert connection.waits_since == begun
    Reader(both.client, len(CONTENT) // 2)
    eventually(lambda: connection.waits_since > begun, "the client has taken something")
    connection.hang_up()
    thread.join(10)


def test_what_moves_into_our_own_kernel_is_not_taken(both: Pair) -> None:
    connection = both.connection
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    filled(both)
    connection.transmit(bytes(HIGH_WATER), False)
    now, before = time.monotonic(), connection.unsent
    assert connection.overdue(now) is None
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
    connection.flush()
    assert 0 < connection.unsent < before
    assert connection.overdue(now + 0.4) == "abort"


@pytest.mark.parametrize("how", ["send", "keep", "release"])
def test_a_client_that_is_gone(both: Pair, how: str) -> None:
    connection = both.connection
    if how == "keep":
        filled(both)
        connection.transmit(b"x" * 10, False)
    if how == "release":
        connection.transmit(b"last", True)
    both.client.close()
    action: Callable[[], None] = {
        "send": lambda: connection.transmit(b"x", False),
        "keep": lambda: connection.transmit(b"x", False),
        "release": connection.release,
    }[how]
    with pytest.raises(ClientGone, match="closed the connection") as caught:
        action()
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)
    assert connection.failure is caught.value


def test_a_client_that_leaves_while_it_is_waited_for(both: Pair) -> None:
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    raised: list[BaseException] = []

    def produce() -> None:
        try:
            connection.transmit(CONTENT, False)
        except ClientGone as error:
            raised.append(error)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    eventually(lambda: connection.waits_since, "the thread waits")
    both.client.close()
    thread.join(10)
    assert raised == [connection.failure]
    assert "closed the connection" in str(raised[0])


def test_what_is_dropped_is_not_sent(both: Pair) -> None:
    connection = both.connection
    filled(both)
    connection.transmit(b"x" * 10, False)
    connection.drop_output()
    assert (connection.unsent, connection.held) == (0, b"")
    connection.transmit(b"last", True)
    connection.flush()
    assert connection.unsent == 0


# ------------------------------------------------------------------------------ files


@pytest.fixture
def file() -> Iterator[Any]:
    with tempfile.TemporaryFile() as made:
        made.write(CONTENT)
        made.flush()
        yield made


def descriptors_of(file: Any) -> int:
    """How many descriptors of this process are of this file."""
    wanted, count = os.fstat(file.fileno()), 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.path.samestat(os.fstat(int(name)), wanted)
    return count


def no_sendfile(*arguments: object) -> int:
    raise OSError(errno.EINVAL, "this file system knows none")


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("offset", "count"), [(0, len(CONTENT)), (7, 5_000_000), (11, 5)])
def test_a_part_of_a_file(
    both: Pair, file: Any, known: bool, offset: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(os, "sendfile", no_sendfile)
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    connection.transmit(b"head", False)
    reader = Reader(both.client, 4 + count)
    connection.transmit_file(file.fileno(), offset, count)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received) == b"head" + CONTENT[offset : offset + count]
    assert connection.http.bytes_sent == count


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_has_become_shorter(
    both: Pair, file: Any, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(os, "sendfile", no_sendfile)
    end = len(CONTENT) - 10
    with pytest.raises(OSError, match="become shorter"):
        both.connection.transmit_file(file.fileno(), end, 11)
    # What the client has taken by then is known; where files are read, they are looked at before.
    assert both.connection.http.bytes_sent == (10 if known else 0)
    assert both.connection.unsent == 0
    if known:
        assert both.client.recv(100) == CONTENT[end:]


def test_a_file_that_is_taken_at_once_leaves_nothing_to_wait_for(both: Pair, file: Any) -> None:
    connection = both.connection
    connection.transmit_file(file.fileno(), 0, 5)
    assert (connection.sends_file, connection.unsent) == (False, 0)
    assert both.client.recv(100) == CONTENT[:5]


def breaks_off(connection: Connection) -> bool:
    try:
        connection.flush()
    except ConnectionAbortedError as error:
        return error.errno == errno.EIO and "become shorter" in str(error)
    return False


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_becomes_shorter_while_it_waits(
    both: Pair, file: Any, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(os, "sendfile", no_sendfile)
    connection = both.connection
    connection.transmit_file(file.fileno(), 0, len(CONTENT))
    assert connection.sends_file
    file.truncate(0)
    Reader(both.client)
    eventually(lambda: breaks_off(connection), "it is found out")
    assert connection.aborted is True, "the client must notice"
    assert not connection.sends_file
    assert connection.unsent == 0


def test_a_file_that_fails_is_named_by_its_request(
    both: Pair, file: Any, caplog: pytest.LogCaptureFixture
) -> None:
    connection = begun(both, request("GET", "/film"))
    connection.transmit_file(file.fileno(), 0, len(CONTENT))
    file.truncate(0)
    Reader(both.client)
    eventually(lambda: breaks_off(connection), "it is found out")
    assert [record.getMessage() for record in caplog.records] == [
        "Cannot send the rest of a file: the file has become shorter while it was sent: /film"
    ]


def test_the_end_of_files_is_told_once_and_behind_the_last_one(both: Pair, file: Any) -> None:
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    ends: list[int] = []
    before = filled(both)
    for _ in range(2):
        connection.transmit_file(file.fileno(), 0, 1000)
    connection.at_end = lambda: ends.append(connection.unsent)
    assert connection.sends_file
    assert (connection.unsent, connection.http.bytes_sent) == (2000, 2000), "nothing was taken yet"
    reader = Reader(both.client, before + 2000)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received[before:]) == CONTENT[:1000] * 2
    assert (ends, connection.sends_file, connection.at_end) == ([0], False, None)
    connection.drop_output()
    assert ends == [0]


def test_a_file_that_cannot_be_read(both: Pair) -> None:
    with tempfile.TemporaryFile() as closed:
        fd = closed.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        both.connection.transmit_file(fd, 0, 1)
    assert both.connection.failure is None, "the client is not to blame"


@pytest.mark.parametrize("known", [True, False])
def test_a_client_that_takes_no_file(
    both: Pair, file: Any, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(os, "sendfile", no_sendfile)
    connection = both.connection
    connection.transmit_file(file.fileno(), 0, len(CONTENT))  # nobody waits for it
    assert connection.sends_file
    assert descriptors_of(file) == 2
    assert 0 < connection.unsent <= len(CONTENT)
    assert connection.http.bytes_sent == len(CONTENT)
    now = time.monotonic()
    verdicts = [connection.overdue(now + seconds) for seconds in (0, 0.25, 0.35)]
    assert verdicts == [None, None, "abort"]
    connection.abort()
    assert not connection.sends_file
    assert descriptors_of(file) == 1, "the one of our own is closed"
    assert 0 <= connection.http.bytes_sent < len(CONTENT), "as much as was sent"


def test_a_client_that_leaves_in_a_file(both: Pair, file: Any) -> None:
    both.client.close()
    with pytest.raises(ClientGone, match="closed the connection"):
        both.connection.transmit_file(file.fileno(), 0, 10)


# ------------------------------------------------------------------------------ what is owed


def test_an_answer_is_owed_until_the_client_has_been_given_all_of_it(both: Pair) -> None:
    connection = both.connection
    assert connection.owed is None, "nothing was asked for"
    connection = begun(both, request())
    head = connection.http.head
    assert head is not None
    assert connection.owed is head, "no answer yet"
    connection.http.start_response(200, [])
    connection.transmit(connection.http.send_body(b"one", True), False)
    assert connection.owed is head, "more is to come"
    connection.transmit(connection.http.send_body(b"two", False), True)
    assert connection.held
    assert connection.owed is head, "the last piece is held"
    connection.release()
    assert connection.owed is None


def test_an_answer_is_owed_while_the_end_of_it_waits_for_the_client(both: Pair) -> None:
    connection = begun(both, request())
    before = filled(both)
    connection.http.start_response(200, [])
    connection.transmit(connection.http.send_body(b"x", False), True)
    connection.release()
    assert connection.http.whole
    assert connection.owed is connection.http.head
    Reader(both.client, before + connection.unsent)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    assert connection.owed is None


# ------------------------------------------------------------------------------ bodies


def test_a_body_is_waited_for(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 6"))
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(connection.receive_body()), daemon=True)
    thread.start()
    eventually(lambda: connection.waits_since, "the thread waits")
    both.client.sendall(b"abc")
    thread.join(10)
    assert not connection.waits_since
    both.client.sendall(b"def")
    assert [*got, connection.receive_body(), connection.receive_body()] == [b"abc", b"def", b""]


def test_a_thread_sleeps_until_its_client_sends(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))
    connection.deadlines.timeouts = Timeouts()
    connection.client_waits = told = Told(60.0)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(connection.receive_body()), daemon=True)
    thread.start()
    eventually(lambda: told.count, "the thread waits")
    both.client.sendall(b"abc")
    thread.join(10)
    assert (got, told.count) == ([b"abc"], 1)
    assert told.heard == [("begins", connection), ("ends", connection)]


def test_who_is_given_up_as_its_body_comes_gets_none_of_it(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))

    def meanwhile() -> None:
        both.client.sendall(b"abc")
        connection.condemn()

    connection.client_waits = Told(meanwhile=meanwhile)
    with pytest.raises(ClientGone) as caught:
        connection.receive_body()
    assert caught.value is connection.failure
    assert caught.value.errno == errno.ETIME


def test_who_is_given_up_asks_its_client_for_nothing(both: Pair) -> None:
    raw = request("POST", "/", "Content-Length: 3", "Expect: 100-continue")
    connection = begun(both, raw)
    connection.condemn()
    with pytest.raises(ClientGone, match="--timeout-request"):
        connection.receive_body()
    both.client.settimeout(0)
    with pytest.raises(BlockingIOError):
        both.client.recv(1)


def test_leave_to_send_a_body_is_given_once(both: Pair) -> None:
    raw = request("POST", "/", "Content-Length: 3", "Expect: 100-continue")
    connection = begun(both, raw)
    thread = threading.Thread(target=connection.receive_body, daemon=True)
    thread.start()
    assert both.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    both.client.sendall(b"abc")
    thread.join(10)
    assert connection.receive_body() == b""


def test_no_leave_is_asked_for_where_none_is_wanted(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3") + b"abc")
    assert connection.receive_body() == b"abc"
    connection.http.start_response(200, [])
    connection.transmit(connection.http.send_body(b"", False), False)
    assert both.client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_does_not_come(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))
    with pytest.raises(RequestError) as caught:
        connection.receive_body()
    assert caught.value.status == 408
    assert connection.failure is caught.value
    assert connection.http.keep_alive is False
    both.client.sendall(b"abc")
    with pytest.raises(RequestError) as again:
        connection.receive_body()
    assert again.value is caught.value, "never an end that looks like one"


def test_a_client_that_leaves_in_its_body(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))
    both.client.close()
    with pytest.raises(ClientGone):
        connection.receive_body()
    assert isinstance(connection.failure, ClientGone)
    assert connection.http.keep_alive is False


def test_a_body_behind_the_answer_is_empty(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))
    connection.http.start_response(200, [])
    connection.http.send_body(b"x", False)
    both.client.sendall(b"abc")
    assert connection.receive_body() == b""


def test_who_is_given_up_while_it_waits_for_a_body(both: Pair) -> None:
    connection = begun(both, request("POST", "/", "Content-Length: 3"))
    connection.deadlines.timeouts = Timeouts()
    raised: list[BaseException] = []

    def read() -> None:
        try:
            connection.receive_body()
        except ClientGone as error:
            raised.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    eventually(lambda: connection.waits_since, "the thread waits")
    connection.condemn()
    thread.join(10)
    assert raised == [connection.failure]


@pytest.mark.parametrize("how", ["nothing", "aborted", "failed", "refused", "ended", "closed"])
def test_whether_the_client_has_left(both: Pair, how: str) -> None:
    connection = both.connection
    if how == "aborted":
        connection.aborted = True
    elif how == "failed":
        connection.failure = ClientGone(errno.EPIPE, "the client closed the connection")
    elif how == "refused":
        connection.failure = RequestError(413, "Too large.")
    elif how == "ended":
        both.client.shutdown(socket.SHUT_WR)
    elif how == "closed":
        both.client.close()
    assert connection.client_disconnected() is (how not in ("nothing", "refused"))


# ------------------------------------------------------------------------------ the end


def test_who_is_condemned(both: Pair) -> None:
    connection = both.connection
    connection.transmit(b"last", True)
    connection.condemn()
    assert connection.given_up is True
    assert connection.aborted is True
    assert isinstance(connection.failure, ClientGone)
    assert connection.failure.errno == errno.ETIME
    assert "--timeout-request" in str(connection.failure)
    connection.release()
    assert connection.held == b""
    connection.give_up(b"answer")
    assert both.client.recv(100) == b"answer"
    assert both.client.recv(100) == b"", "and no more"


def test_who_is_given_up_without_an_answer(both: Pair) -> None:
    both.connection.give_up(b"")
    assert both.client.recv(100) == b""
    assert both.connection.sock.recv(100) == b"", "nothing can come any more either"
    both.client.close()
    both.connection.give_up(b"answer")  # no matter


def test_a_close_that_lingers(both: Pair) -> None:
    connection = both.connection
    assert connection.linger_left == LINGER_BYTES
    before = time.monotonic()
    assert connection.start_lingering() is True
    assert before + LINGER_SECONDS <= connection.linger_until
    assert connection.linger_until <= time.monotonic() + LINGER_SECONDS
    assert both.client.recv(1) == b"", "the client is told"
    assert connection.discard() is False, "it may still send"
    both.client.sendall(bytes(1000))
    assert connection.discard() is False
    assert connection.linger_left == LINGER_BYTES - 1000
    both.client.close()
    assert connection.discard() is True


def test_who_floods_a_close_that_lingers(both: Pair) -> None:
    connection = both.connection
    connection.linger_left = 2000
    both.client.sendall(bytes(1999))
    assert connection.discard() is False
    both.client.sendall(b"x")
    assert connection.discard() is True


def test_one_turn_of_the_loop_discards_only_so_much(both: Pair) -> None:
    connection = both.connection
    reads = 0

    class Endless:
        def recv(self, size: int) -> bytes:
            nonlocal reads
            reads += 1
            assert size == READ_BYTES
            return bytes(size)

    real, connection.sock = connection.sock, Endless()  # type: ignore[assignment]
    try:
        assert connection.discard() is False
    finally:
        connection.sock = real
    assert 0 < reads < 100


def test_there_is_no_use_in_lingering(both: Pair) -> None:
    both.connection.sock.close()
    assert both.connection.start_lingering() is False
    assert both.connection.discard() is True, "it is broken"
    with pair() as other:
        other.connection.aborted = True
        assert other.connection.start_lingering() is False
        other.client.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.client.recv(1)


def test_an_abort_is_a_reset() -> None:
    with pair() as both, socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            mine, _ = listener.accept()
            both.connection.sock.close()
            both.connection.sock = mine
            both.connection.transmit(b"held", True)
            both.connection.abort()
            assert both.connection.aborted is True
            assert both.connection.held == b""
            option = mine.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            assert struct.unpack("ii", option) == (1, 0)
            both.connection.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        both.connection.abort()  # a socket that is closed is no matter


@contextlib.contextmanager
def by_tcp() -> Iterator[Pair]:
    """A pair whose client can be reset."""
    with pair() as both, socket.create_server(("127.0.0.1", 0)) as listener:
        both.connection.sock.close()
        both.client.close()
        both.client = socket.create_connection(listener.getsockname(), timeout=10)
        both.connection.sock, _ = listener.accept()
        both.connection.sock.setblocking(False)
        both.connection.fd = both.connection.sock.fileno()
        yield both


def test_a_reset_in_the_place_of_a_thread_that_goes_on() -> None:
    with by_tcp() as both:
        connection = both.connection
        connection.condemn()
        connection.give_up(b"", reset=True)
        with pytest.raises(ConnectionResetError):
            both.client.recv(1)
        assert os.get_inheritable(connection.fd) is False
        assert os.get_blocking(connection.fd) is False
        with pytest.raises(BrokenPipeError):
            connection.sock.send(b"x")  # to nobody


@pytest.mark.parametrize("forked", [False, True])
def test_a_close_is_the_end_also_where_a_copy_is_open(
    forked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "happened", forked)
    with by_tcp() as both, both.connection.sock.dup():
        both.connection.close()
        both.client.settimeout(10 if forked else 0)
        if forked:
            assert both.client.recv(1) == b""
        else:
            with pytest.raises(BlockingIOError):
                both.client.recv(1)


def test_an_abort_is_a_reset_also_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "happened", True)
    with by_tcp() as both:
        both.connection.abort()
        both.connection.close()
        with pytest.raises(ConnectionResetError):
            both.client.recv(1)


def test_what_is_let_go_of_at_the_end(both: Pair) -> None:
    class Gathered:
        closed = 0
        failing: Callable[[], None] | None = None

        def close(self) -> None:
            self.closed += 1
            if self.failing:
                self.failing()

    connection = both.connection
    connection.collected = gathered = Gathered()
    gathered.failing = lambda: os.close(-1)
    connection.close()
    assert gathered.closed == 1
    assert connection.environ == connection.last_environ == {}
    assert both.client.recv(1) == b""


def test_a_file_comes_behind_the_last_byte_that_is_kept(both: Pair, file: Any) -> None:
    before = filled(both)
    connection = both.connection
    connection.deadlines.timeouts = Timeouts()
    connection.transmit(b"x", False)
    assert connection.unsent == 1
    connection.transmit_file(file.fileno(), 0, 1000)
    assert connection.unsent == 1001, "nothing of it before that byte"
    reader = Reader(both.client, before + 1001)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received[before:]) == b"x" + CONTENT[:1000]


def test_a_connection_at_its_beginning(both: Pair) -> None:
    connection = both.connection
    assert (connection.events, connection.unsent, connection.linger_until) == (0, 0, 0.0)
    assert (connection.held, connection.failure, connection.collected) == (b"", None, None)
    assert (connection.last_head, connection.trust) == (None, None)
    assert (connection.waits_since, connection.queued, connection.idle_at) == (0.0, 0.0, -1)
    assert (connection.next_head, connection.at_end) == (None, None)
    for fact in ("busy", "given_up", "aborted", "sends_file"):
        assert getattr(connection, fact) is False, fact
    assert connection.client == "192.0.2.9"
    assert connection.fd == connection.sock.fileno()
    environ = connection.environ
    assert environ["wsgi.early_hints"] is None, "which is what other requests have left"
    for server in ("bare_serve", "waitress"):
        assert environ[f"{server}.client_disconnected"] == connection.client_disconnected
