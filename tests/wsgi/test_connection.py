"""A client's connection: reading, and waiting for a client that takes or sends nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import Timeouts
from bare_serve.wsgi.connection import HIGH_WATER, Connection
from tests.support import eventually
from tests.wsgi.fakes import request
from tests.wsgi.pairs import CONTENT, Pair, Reader, begun, filled, pair


@pytest.fixture
def both() -> Iterator[Pair]:
    with pair(Timeouts(write=0.3, body=0.3)) as made:
        yield made


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


# ------------------------------------------------------------------------------ slow readers


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
    connection._timeouts = Timeouts()
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
    connection._timeouts = Timeouts()
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


def test_a_client_that_leaves_while_it_is_waited_for(both: Pair) -> None:
    connection = both.connection
    connection._timeouts = Timeouts()
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
    connection._timeouts = Timeouts()
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
        connection.mark_given_up("too long")

    connection.client_waits = Told(meanwhile=meanwhile)
    with pytest.raises(ClientGone) as caught:
        connection.receive_body()
    assert caught.value is connection.failure
    assert caught.value.errno == errno.ETIME


def test_who_is_given_up_asks_its_client_for_nothing(both: Pair) -> None:
    raw = request("POST", "/", "Content-Length: 3", "Expect: 100-continue")
    connection = begun(both, raw)
    connection.mark_given_up("too long")
    with pytest.raises(ClientGone, match="too long"):
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
    connection._timeouts = Timeouts()
    raised: list[BaseException] = []

    def read() -> None:
        try:
            connection.receive_body()
        except ClientGone as error:
            raised.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    eventually(lambda: connection.waits_since, "the thread waits")
    connection.mark_given_up("too long")
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
