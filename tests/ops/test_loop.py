"""The loop by itself: an answer that fails, and the end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bare_serve.http import RequestHead
from bare_serve.ops.guard import Peer
from bare_serve.ops.serving import Answer, Later, Loop
from tests.support import RawClient

Address = tuple[str, int]


class Failing:
    """An answer that is never there."""

    closed = 0

    def look(self) -> Answer | None:
        raise RuntimeError("not today")

    def close(self) -> None:
        Failing.closed += 1


def respond(head: RequestHead, _peer: Peer) -> Answer | Later:
    if head.target == b"/fails":
        raise RuntimeError("a bug")
    if head.target == b"/later":
        return Failing()
    size = 8 << 20 if head.target == b"/large" else 2
    return 200, b"text/plain", b"x" * size


@contextmanager
def running(farewell: float = 5) -> Iterator[tuple[Address, socket.socket]]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    address = listener.getsockname()
    ours, theirs = socket.socketpair()

    def serve() -> None:
        loop = Loop(listener, respond)
        loop.watch(theirs.fileno(), lambda: bool(theirs.recv(100)))
        loop.run()
        loop.finish(farewell)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address, ours
    finally:
        ours.close()
        thread.join()
        theirs.close()
        listener.close()


@pytest.mark.parametrize("target", ["/fails", "/later"])
def test_a_bug_is_one_answer_and_not_the_end(
    target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = Failing.closed
    with running() as (address, _):
        with RawClient(address) as client:
            assert client.request("GET", target).status == 500
        with RawClient(address) as client:
            assert client.request().status == 200
    assert "RuntimeError: " in capfd.readouterr().err
    assert Failing.closed - before == (target == "/later")


def test_who_is_being_answered_at_the_end_has_all_of_it() -> None:
    with running() as (address, master), RawClient(address) as client, RawClient(address) as idle:
        idle.request()
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"\r\n\r\n")
        master.close()
        assert client.read(8 << 20) == b"x" * (8 << 20)
        assert client.is_closed()
        assert idle.is_closed()


@pytest.mark.parametrize("begun", [b"", b"GET / HTT"])
def test_who_has_connected_before_the_end_is_answered(begun: bytes) -> None:
    with running() as (address, master), RawClient(address) as client, RawClient(address) as idle:
        client.send(begun)
        idle.request()  # came later: both are accepted
        master.close()
        assert idle.is_closed()  # the end has begun
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[len(begun) :])
        assert client.response().status == 200
        assert client.is_closed()


def test_who_asks_nothing_does_not_put_off_the_end_for_longer() -> None:
    with running(farewell=0.05) as (address, master), RawClient(address) as client:
        with RawClient(address) as other:
            other.request()
        master.close()
        assert client.is_closed()


def test_who_takes_nothing_holds_up_nobody() -> None:
    with running() as (address, _), RawClient(address) as slow:
        slow.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        slow.read_until(b"\r\n\r\n")
        for _ in range(3):
            with RawClient(address) as client:
                assert client.request().status == 200
