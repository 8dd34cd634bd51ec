"""Streams of WSGI: what an application has made arrives, though it makes nothing more for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import eventually
from tests.workers.wsgi.threads import GET, PLAIN, Environ, Serve, running, serve_on

__all__ = ["serve_on"]

EVENTS = 12


def chunk(number: int, piece: int) -> bytes:
    return b"data: %d.%d\n\n" % (number, piece)


@pytest.mark.parametrize("pieces", [1, 3], ids=["alone", "bursts"])
@pytest.mark.parametrize("way", ["generator", "write"])
def test_what_is_made_arrives_before_the_next_is(serve_on: Serve, pieces: int, way: str) -> None:
    seen = threading.Semaphore(0)

    def events() -> Iterator[bytes]:
        for number in range(EVENTS):
            for piece in range(pieces):
                yield chunk(number, piece)
            assert seen.acquire(timeout=20)

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN])
        if way == "generator":
            return events()
        for data in events():
            write(data)
        return []

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        for number in range(EVENTS):
            client.read_until(chunk(number, pieces - 1))
            seen.release()
        client.read_until(b"0\r\n\r\n")
        client.send(GET)  # and the connection goes on
        client.read_until(chunk(0, pieces - 1))
        for _ in range(EVENTS):
            seen.release()


def test_a_monitor_that_sleeps_is_woken_for_a_burst() -> None:
    """Only late calls are left, so that it has nothing else to look at."""
    seen = threading.Semaphore(0)

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"first"
        for number in range(3):
            assert seen.acquire(timeout=20)
            for piece in range(5):
                yield chunk(number, piece)
        assert seen.acquire(timeout=20)

    with running(app) as worker, worker.client() as client:
        leadership = worker.shared.leadership
        assert leadership is not None
        client.send(GET)
        client.read_until(b"first")
        for number in range(3):
            eventually(lambda: leadership._asleep, "the monitor sleeps")
            seen.release()
            client.read_until(chunk(number, 4))
        seen.release()
        client.read_until(b"0\r\n\r\n")


def test_a_stop_in_the_middle_of_a_burst_lets_the_answer_end(serve_on: Serve) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        for number in range(1000):
            yield b"%04d" % number
            if number == 500:
                begun.set()
                assert go_on.wait(20)

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        assert begun.wait(20)
        worker.stop()
        go_on.set()
        assert client.response().body == b"".join(b"%04d" % number for number in range(1000))
        worker.join()


def test_a_leader_whose_stream_goes_on_is_overtaken() -> None:
    """Its bursts are no reason for the monitor to look away."""
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        if environ["PATH_INFO"] == "/quick":
            yield b"quick"
            return
        while not go_on.is_set():
            yield b"piece"

    with running(app) as worker, worker.client() as stream, worker.client() as other:
        stream.send(GET)
        stream.read_until(b"piece")
        reader = threading.Thread(target=stream.read_until, args=(b"0\r\n\r\n",))
        reader.start()
        other.send(GET.replace(b"/ ", b"/quick "))
        assert other.response().body == b"quick"
        go_on.set()
        reader.join(20)
        assert not reader.is_alive()
