"""A worker in a thread of the test, on each loop and with each parser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bare_serve.app import LoadedApp
from bare_serve.workers.asgi.worker import run_asgi_worker
from bare_serve.workers.options import ServeOptions
from tests.support import RawClient
from tests.support.slots import Unwatched
from tests.workers.life_in_thread import LifeInThread

Scope = dict[str, Any]
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Slot(Unwatched):
    """What the worker told its master."""

    def __init__(self) -> None:
        self.facts: Mapping[str, str] = {}
        self.is_ready = threading.Event()
        self.beats: list[tuple[int, int]] = []

    def ready(self, facts: Mapping[str, str]) -> None:
        self.facts = facts
        self.is_ready.set()

    def failed(self, message: str, details: str = "") -> None:
        raise AssertionError("the worker raises, whoever runs it reports")

    def beat(self, connections: int, requests: int) -> None:
        self.beats.append((connections, requests))

    def report_activity(self, what: str) -> None:
        pass


class Worker:
    """A worker in a thread of its own."""

    def __init__(
        self, app: Any, listener: socket.socket, options: ServeOptions, grace: float = 30.0
    ) -> None:
        self.slot = Slot()
        self.lifecycle = LifeInThread(self.slot, None, grace)
        self.error: BaseException | None = None
        self.address = listener.getsockname()[:2] if listener.family == socket.AF_INET else ""
        loaded = LoadedApp(app, "asgi", "tests:app", "told")
        self.thread = threading.Thread(target=self._run, args=(loaded, listener, options))
        self.thread.start()

    def _run(self, loaded: LoadedApp, listener: socket.socket, options: ServeOptions) -> None:
        try:
            run_asgi_worker(loaded, [listener], self.lifecycle, options)
        except BaseException as error:
            self.error = error
            self.slot.is_ready.set()

    def stop(self, *, hurry: bool = False) -> None:
        self.lifecycle.stop(hurry=hurry)

    def join(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive(), "the worker does not end"

    def client(self) -> RawClient:
        return RawClient(self.address)


@contextmanager
def worker_of(
    app: Any, *, unix: Path | None = None, graceful_shutdown: float = 30.0, **options: Any
) -> Iterator[Worker]:
    listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    listener.bind(str(unix) if unix else ("127.0.0.1", 0))
    listener.listen(100)
    worker = Worker(app, listener, ServeOptions(**options), graceful_shutdown)
    try:
        assert worker.slot.is_ready.wait(20)
        yield worker
    finally:
        worker.stop(hurry=True)
        worker.join()
        listener.close()
    if worker.error is not None:
        raise worker.error


Serve = Callable[..., Any]


@pytest.fixture(params=["asyncio-python", "asyncio-httptools", "uvloop-python", "uvloop-httptools"])
def serve_with(request: pytest.FixtureRequest) -> Serve:
    """`worker_of` on each loop with each parser."""
    loop, parser = request.param.split("-")
    for needed in {loop, parser} & {"uvloop", "httptools"}:
        pytest.importorskip(needed)
    return lambda app, **options: worker_of(app, loop=loop, parser=parser, **options)


@pytest.fixture(params=["asyncio", "uvloop"])
def serve_on(request: pytest.FixtureRequest) -> Serve:
    """`worker_of` on each loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return lambda app, **options: worker_of(app, loop=request.param, **options)


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def echo(scope: Scope, receive: Any, send: Any) -> None:
    """Sends every piece back as it comes."""
    assert scope["type"] == "http"
    await send(start())
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send(body(message["body"], more))


def lifespan_app(events: list[str]) -> Any:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            events.append((await receive())["type"])
            scope["state"]["greeting"] = b"from lifespan"
            await send({"type": "lifespan.startup.complete"})
            events.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send(start())
            await send(body(scope["state"]["greeting"]))

    return app
