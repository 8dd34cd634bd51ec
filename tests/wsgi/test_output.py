"""What a client does not take at once: it is kept in its order, files among it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone
from bare_serve.http import Timeouts
from bare_serve.wsgi.connection import Connection
from tests.support import eventually
from tests.wsgi.fakes import request
from tests.wsgi.pairs import CONTENT, Pair, Reader, begun, filled, pair


@pytest.fixture
def both() -> Iterator[Pair]:
    with pair(Timeouts(write=0.3, body=0.3)) as made:
        yield made


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
    connection._timeouts = Timeouts()
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
    connection._timeouts = Timeouts()
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


def test_a_file_comes_behind_the_last_byte_that_is_kept(both: Pair, file: Any) -> None:
    before = filled(both)
    connection = both.connection
    connection._timeouts = Timeouts()
    connection.transmit(b"x", False)
    assert connection.unsent == 1
    connection.transmit_file(file.fileno(), 0, 1000)
    assert connection.unsent == 1001, "nothing of it before that byte"
    reader = Reader(both.client, before + 1001)
    eventually(lambda: connection.flush() or connection.unsent == 0, "all is taken")
    reader.join(10)
    assert bytes(reader.received[before:]) == b"x" + CONTENT[:1000]


def test_the_end_goes_along_with_the_last_answer() -> None:
    """Before the socket is closed; and nothing is said to a client in whose place another thread
    has ended it, or that has left."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    ask = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    with pair() as both:
        both.serve(app, ask)
        both.connection.release_last()
        received = b""
        while data := both.client.recv(1 << 16):
            received += data
        assert received.endswith(b"\r\n\r\nhello")
    with pair() as both:
        both.serve(app, ask)
        both.connection.given_up = True
        both.connection.release_last()
        assert both.finish() == b""
    with pair() as both:
        both.serve(app, ask, leaves="closes")
        with pytest.raises(ClientGone):
            both.connection.release_last()
