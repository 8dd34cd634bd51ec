"""One start of a server inside a program, up to its end: in a loop of the program's, or a thread.

What lives here: where the worker runs, how the program hears that it is ready or has failed, and
the wait for its end. What must not: settings, sockets and logs, opened and closed by embedded.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from socket import AF_INET, AF_INET6, socket
from typing import Any

from bare_serve.app import LoadedApp
from bare_serve.errors import AppLoadError, BareServeError
from bare_serve.net.bind_address import path_of, url_of
from bare_serve.server.embedded_slot import EmbeddedSlot
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.shutdown import ServersThread

logger = logging.getLogger("bare_serve.embedded")

MARGIN = 5.0
"""Seconds beyond the grace after which a thread of the server is given up."""


class Run:
    """One start of a server, to its end."""

    def __init__(
        self,
        loaded: LoadedApp,
        bound: Mapping[socket, str],
        options: ServeOptions,
        grace: float,
        boot: float,
    ) -> None:
        """`grace` and `boot`: seconds for requests to finish, and for the application to start."""
        self.life = ServiceLife(EmbeddedSlot(self._is_ready), grace)
        self.addresses = [_address(sock) for sock in bound]
        self.urls = [url_of(sock, role) for sock, role in bound.items()]
        self.ready = threading.Event()
        """Set once connections are accepted."""
        self.task: asyncio.Task[None] | None = None
        self.thread: threading.Thread | None = None
        self._loaded = loaded
        self._listeners = tuple(bound)
        self._options = options
        self._boot = boot
        self._news = threading.Event()
        """Set once the server is ready, or has ended."""
        self._tell: Callable[[], None] = lambda: None
        self.failure: BaseException | None = None
        """What ended the server, in a thread or a loop."""
        self._has_ended = False

    @property
    def serves(self) -> bool:
        """Whether connections are accepted."""
        over = self._has_ended or (self.task is not None and self.task.done())
        return self.ready.is_set() and not over

    def _is_ready(self, facts: Mapping[str, str]) -> None:
        self.ready.set()
        self._has_news()
        logger.info("Serving %s on %s.", self._loaded.target, ", ".join(self.urls))

    def _has_news(self) -> None:
        self._news.set()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._tell()

    def _too_late(self) -> AppLoadError:
        return AppLoadError(
            f"the application was not ready within {self._boot:g} s (timeout_boot)"
            + "".join(f": {line}" for line in self.life.in_progress())
        )

    # ------------------------------------------------------------------ in a loop

    async def in_loop(self) -> None:
        """Serve in the running loop, or for WSGI beside it, until the end."""
        loop = asyncio.get_running_loop()
        if self._loaded.interface != "wsgi":
            from bare_serve.workers.asgi.worker import AsgiWorker

            worker = AsgiWorker(self._loaded, self.life, self._options, loop)
            try:
                await worker.run(self._listeners, type(loop).__module__.partition(".")[0])
            except AppLoadError as error:
                error.tell_details()
                raise
            return
        over = asyncio.Event()
        self._tell_by(loop, over.set)
        self.start_thread()
        cancelled: asyncio.CancelledError | None = None
        while not self._has_ended:
            try:
                await over.wait()
                over.clear()
            except asyncio.CancelledError as error:
                cancelled = error
                self.life.stop(hurry=True)
        self.join(MARGIN)
        if cancelled is not None:
            raise cancelled
        self.raise_failure()

    def _tell_by(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        before = self._tell

        def tell() -> None:
            before()
            loop.call_soon_threadsafe(then)

        self._tell = tell

    async def until_ready(self) -> None:
        """Return once connections are accepted.

        Raises:
            BareServeError: they never will be.
        """
        assert self.task is not None
        news = asyncio.Event()
        self._tell_by(asyncio.get_running_loop(), news.set)
        waits: list[asyncio.Task[Any]] = [self.task, _own(news.wait())]
        try:
            await asyncio.wait(
                waits, timeout=self._boot or None, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waits[1].cancel()
            await asyncio.wait(waits[1:])
        if self.task.done():
            self.task.result()
        elif not self.ready.is_set():
            raise self._too_late()

    async def settle(self) -> None:
        """Wait for the end, which comes at once if this is cancelled; the task has its outcome."""
        assert self.task is not None
        cancelled: asyncio.CancelledError | None = None
        while not self.task.done():
            try:
                await asyncio.wait((self.task,))
            except asyncio.CancelledError as error:
                cancelled = error
                self.life.stop(hurry=True)
        if not self.task.cancelled():
            self.failure = self.failure or self.task.exception()
        if cancelled is not None:
            raise cancelled

    # ------------------------------------------------------------------ in a thread

    def start_thread(self) -> None:
        """Serve in a thread, ASGI with a loop of its own."""
        self.thread = ServersThread(target=self._work, name="bare-serve")
        try:
            self.thread.start()
        except RuntimeError:
            raise BareServeError("the system gives no thread to serve with") from None

    def _work(self) -> None:
        kind = "wsgi" if self._loaded.interface == "wsgi" else "asgi"
        try:
            module = import_module(f"bare_serve.workers.{kind}.worker")
            serve: Callable[..., None] = getattr(module, f"run_{kind}_worker")
            serve(self._loaded, self._listeners, self.life, self._options)
        except BaseException as error:  # noqa: BLE001 (raised where the program waits)
            self.failure = error
            if isinstance(error, AppLoadError):
                error.tell_details()
        finally:
            self.life.restore()
            self._has_ended = True
            self._has_news()

    def wait_until_ready(self) -> None:
        """Return once connections are accepted; see `until_ready`."""
        self._news.wait(self._boot or None)
        if self._has_ended:
            self.raise_failure()
        elif not self.ready.is_set():
            raise self._too_late()

    def join(self, timeout: float | None) -> bool:
        """Wait for the end of the thread; return False if there is none within `timeout`."""
        if self.thread is not None and self.thread.ident is not None:
            self.thread.join(timeout)
            return not self.thread.is_alive()
        return True

    def raise_failure(self, beside: BaseException | None = None) -> None:
        """Raise what ended the server, if anything did; log it if it comes `beside` an error."""
        failure = self.failure
        if failure is None:
            return
        if beside is None:
            raise failure
        if failure is not beside:
            logger.error("The server failed: %s", failure, exc_info=failure)


def _own(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(coroutine, name="bare-serve")


def _address(sock: socket) -> tuple[str, int] | str:
    if sock.family in (AF_INET, AF_INET6):
        host, port = sock.getsockname()[:2]
        return host, port
    return path_of(sock)
