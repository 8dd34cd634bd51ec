"""Both pollers, on the sockets of this machine."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest

from bare_serve.workers.poller import (
    READ,
    WRITE,
    EpollPoller,
    Poller,
    SelectorPoller,
    make_poller,
)
from tests.support import eventually

POLLERS = [SelectorPoller, *([EpollPoller] if hasattr(select, "epoll") else [])]


@pytest.fixture(params=POLLERS, ids=lambda kind: kind.name)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    poller: Poller = request.param()
    yield poller
    poller.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        yield here, there


Ends = tuple[socket.socket, socket.socket]


def test_reading(poller: Poller, ends: Ends) -> None:
    here, there = ends
    poller.watch(here.fileno(), READ)
    assert list(poller.poll(0)) == []
    there.send(b"x")
    for _ in range(2):  # level-triggered
        assert [(fd, events & READ) for fd, events in poller.poll(5)] == [(here.fileno(), READ)]


def test_writing_and_changing(poller: Poller, ends: Ends) -> None:
    here, there = ends
    there.send(b"x")
    poller.watch(here.fileno(), WRITE)
    assert [(fd, events & WRITE) for fd, events in poller.poll(5)] == [(here.fileno(), WRITE)]
    poller.change(here.fileno(), READ)
    here.recv(1)
    assert list(poller.poll(0)) == []
    poller.change(here.fileno(), READ | WRITE)
    there.send(b"x")
    assert len(poller.poll(5)) == 1


def test_a_hang_up_is_seen(poller: Poller, ends: Ends) -> None:
    here, there = ends
    poller.watch(here.fileno(), READ)
    there.close()
    assert [fd for fd, _ in poller.poll(5)] == [here.fileno()]


def test_forgetting(poller: Poller, ends: Ends) -> None:
    here, there = ends
    poller.forget(here.fileno())  # was never watched
    poller.watch(here.fileno(), READ)
    there.send(b"x")
    poller.forget(here.fileno())
    assert list(poller.poll(0)) == []
    poller.watch(here.fileno(), READ)
    assert len(poller.poll(5)) == 1
    poller.forget(here.fileno())
    number = here.fileno()
    here.close()
    poller.forget(number)


def test_a_listener(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        poller.listen(listener.fileno())
        with socket.create_connection(listener.getsockname()):
            assert [fd for fd, _ in poller.poll(5)] == [listener.fileno()]


def test_one_thread_watches_while_another_polls(poller: Poller, ends: Ends) -> None:
    here, there = ends
    there.send(b"x")
    found: list[int] = []
    polling = threading.Event()

    def poll() -> None:
        polling.set()
        found.extend(fd for fd, _ in poller.poll(20))

    thread = threading.Thread(target=poll)
    thread.start()
    assert polling.wait(10)
    poller.watch(here.fileno(), READ)
    eventually(lambda: found == [here.fileno()])
    thread.join(10)


def test_the_platforms_best() -> None:
    poller = make_poller()
    assert poller.name == ("epoll" if hasattr(select, "epoll") else "selectors")
    poller.close()
