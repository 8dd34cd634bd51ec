"""A WSGI worker in a thread of the test, on each poller and with few and many threads."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bare_serve.app import LoadedApp
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import SelectorPoller, make_poller
from bare_serve.workers.wsgi.worker import WsgiWorker
from tests.support import RawClient
from tests.support.slots import Unwatched
from tests.workers.life_in_thread import LifeInThread

Environ = dict[str, Any]
PLAIN = ("Content-Type", "text/plain")
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
PREFIX = "bare-serve-"


def get(path: str, *lines: str, method: str = "GET", minor: int = 1) -> bytes:
    head = [f"{method} {path} HTTP/1.{minor}", "Host: test", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


def serving_threads() -> list[threading.Thread]:
    """The threads that lead, are late or stand by, of all workers of this process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(PREFIX)]


class Everywhere(dict[int, str]):
    """Roles of listeners: whatever the listener, it speaks TLS."""

    def get(self, key: int, default: Any = None) -> Any:
        return "tls"


class Slot(Unwatched):
    """What the worker told its master."""

    def __init__(self) -> None:
        self.facts: Mapping[str, str] = {}
        self.is_ready = threading.Event()
        self.beats: list[tuple[int, int]] = []
        self.told: list[str] = []

    def ready(self, facts: Mapping[str, str]) -> None:
        self.facts = facts
        self.is_ready.set()

    def failed(self, message: str, details: str = "") -> None:
        raise AssertionError("the worker raises, whoever runs it reports")

    def beat(self, connections: int, requests: int) -> None:
        self.beats.append((connections, requests))

    def report_activity(self, what: str) -> None:
        self.told.append(what)

    def master_is_gone(self) -> bool:
        return False


class Running:
    """A worker that serves."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        options: ServeOptions,
        poller: str,
        look: float | None,
        grace: float,
    ) -> None:
        self.slot = Slot()
        self.lifecycle = LifeInThread(self.slot, None, grace)
        self.error: BaseException | None = None
        self.address = listener.getsockname()
        if listener.family != socket.AF_UNIX:
            self.address = self.address[:2]
        loaded = LoadedApp(app, "wsgi", "tests:app", "told")
        made = SelectorPoller() if poller == "selectors" else make_poller()
        self.worker = WsgiWorker(loaded, [listener], self.lifecycle, options, made)
        self.shared = self.worker.shared
        if look is not None and self.shared.leadership is not None:
            self.shared.leadership._look = look
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error
            self.slot.is_ready.set()

    @property
    def requests(self) -> int:
        return sum(call.requests for call in self.shared.calls)

    def stop(self, *, hurry: bool = False) -> None:
        self.lifecycle.stop(hurry=hurry)

    def join(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive(), "the worker does not end"

    def client(self) -> RawClient:
        return RawClient(self.address)


def listen(where: str | Path = "127.0.0.1") -> socket.socket:
    if isinstance(where, Path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(where))
        listener.listen(1024)
    else:
        family = socket.AF_INET6 if ":" in where else socket.AF_INET
        listener = socket.create_server((where, 0), family=family, backlog=1024)
    listener.setblocking(False)
    return listener


@contextmanager
def running(
    app: Any,
    *,
    where: str | Path = "127.0.0.1",
    poller: str = "",
    look: float | None = None,
    graceful_shutdown: float = 30.0,
    **options: Any,
) -> Iterator[Running]:
    """A worker for `app`; by default with 8 threads. Its own errors come out at the end."""
    listener = listen(where)
    worker = Running(app, listener, ServeOptions(**options), poller, look, graceful_shutdown)
    try:
        assert worker.slot.is_ready.wait(20)
        yield worker
    finally:
        worker.stop(hurry=True)
        worker.join()
        listener.close()
    if worker.error is not None:
        raise worker.error


Serve = Callable[..., contextlib.AbstractContextManager[Running]]


@pytest.fixture(params=["1-epoll", "8-epoll", "2-selectors"])
def serve_on(request: pytest.FixtureRequest) -> Serve:
    """`running` with one thread and with several, on each poller."""
    threads, poller = request.param.split("-")
    return lambda app, **options: running(
        app, **{"threads": int(threads), "poller": poller, **options}
    )


@pytest.fixture(params=["8-epoll", "2-epoll", "8-selectors"])
def serve_threaded(request: pytest.FixtureRequest) -> Serve:
    """`running` with several threads, on each poller."""
    threads, poller = request.param.split("-")
    return lambda app, **options: running(
        app, **{"threads": int(threads), "poller": poller, **options}
    )


def hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def echo(environ: Environ, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN, ("X-Length", environ.get("CONTENT_LENGTH", "none"))])
    return [body]
