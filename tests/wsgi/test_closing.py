"""How a connection ends: lingering, resets, and the end of a call that another thread gives up."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from bare_serve.errors import ClientGone
from bare_serve.http import LINGER_BYTES, LINGER_SECONDS, Timeouts
from bare_serve.system import forks
from bare_serve.wsgi.closing import READ_BYTES
from tests.wsgi.pairs import Pair, pair


@pytest.fixture
def both() -> Iterator[Pair]:
    with pair(Timeouts(write=0.3, body=0.3)) as made:
        yield made


def test_a_call_that_is_marked_as_given_up(both: Pair) -> None:
    connection = both.connection
    connection.transmit(b"last", True)
    connection.mark_given_up("it took too long")
    assert connection.given_up is True
    assert connection.aborted is True
    assert isinstance(connection.failure, ClientGone)
    assert connection.failure.errno == errno.ETIME
    assert "it took too long" in str(connection.failure)
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


def test_a_hang_up_ends_both_sides(both: Pair) -> None:
    both.connection.hang_up()
    assert both.client.recv(100) == b""
    with pytest.raises(BrokenPipeError):
        both.client.send(b"more")
    assert both.connection.sock.recv(100) == b"", "a thread that waits for the client goes on"
    both.connection.sock.close()
    both.connection.hang_up()  # no matter


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
        connection.mark_given_up("it took too long")
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
