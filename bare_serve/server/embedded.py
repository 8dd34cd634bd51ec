"""A server inside a program: `bare_serve.Server`, the same workers without a process of their own.

What lives here: which settings such a server has, and its starts and stops, in a loop of the
program's or in a thread. What must not: how a worker serves (workers/), the server that is a whole
process (run.py).

The process is the program's. So nothing is changed that a process has once: handlers of signals
(unless asked for), logging, the umask, the current directory, the environment, sys.path (unless
`app_dir` is given), the collector, hooks of forks. Errors are raised, never printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from bare_serve.app import LoadedApp
from bare_serve.config import sources
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.logs import error_log
from bare_serve.server.application import application_given, find_application, surrounded
from bare_serve.server.compose import check_installed, check_middleware, worker_options
from bare_serve.server.embedded_run import MARGIN, Run
from bare_serve.server.listeners import Listeners, check_tls, listening, read_certificates
from bare_serve.server.logs import embedded_access_log
from bare_serve.supervision import Handover
from bare_serve.workers.service_life import ServiceLife

logger = logging.getLogger("bare_serve.embedded")

_NO_WORKERS = "it is for worker processes, and an embedded server has none"
_NOT_OURS = "it changes the process, which is the program's own"
_NO_MASTER = "it is about a master and its workers, and an embedded server has neither"
_OWN_LOGS = "the program says itself, by logging, what becomes of the logger 'bare_serve'"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("workers", "preload", "max_requests", "max_requests_jitter", "max_memory", "max_lifetime",
         "timeout_worker"), _NO_WORKERS,
    ),
    **dict.fromkeys(("user", "group", "umask", "pid", "capture_output", "env_file"), _NOT_OURS),
    **dict.fromkeys(
        ("ops", "ops_control", "ops_token_file", "ops_host", "drain_delay", "counts"), _NO_MASTER
    ),
    **dict.fromkeys(("error_log", "log_level", "log_config"), _OWN_LOGS),
    "hooks": "they are called by a master; call functions before and after the server instead",
    "config": "an embedded server reads no file; give the settings as arguments",
}  # fmt: skip
"""Settings that an embedded server cannot have, and why."""

_STOPPERS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """A server for one application, ASGI or WSGI, inside a program.

    `await server.serve()` serves in the running loop, `async with server:` while the block runs,
    `with server:` in a thread, with a loop of its own. WSGI applications are called in threads in
    any case. A server may be started again after its end, and several run side by side.
    """

    def __init__(
        self,
        target: str | Callable[..., Any] | None = None,
        *,
        signals: bool = False,
        **settings: Any,
    ) -> None:
        """Check the settings; nothing is imported, bound or started yet.

        Args:
            target: "module:attribute", or the application object itself.
            signals: have SIGINT and SIGTERM stop the server while it runs, a second one at once.
                For the main thread.
            settings: those of the command line with underscores; no file and no variable is read.

        Raises:
            UsageError: a setting is wrong, or is one that an embedded server cannot have.
        """
        asked, app = application_given(target, settings, "Server")
        for name in asked:
            if name in REFUSED and not (name == "workers" and asked[name] == 0):
                raise UsageError(f"Server({name}=...): {REFUSED[name]}")
        if target is None and not (asked.get("app") or asked.get("demo")):
            raise UsageError("Server() needs an application: an object, or its module:attribute")
        self._settings = sources.of_arguments(asked, sources.current_directory(), "Server")
        self._application = find_application(self._settings, app, "Server()")
        check_installed(self._settings)
        check_middleware(self._settings)
        worker_options(self._settings)
        check_tls(self._settings, self._settings.addresses)
        self._signals = signals
        self._run: Run | None = None
        self._stack: contextlib.ExitStack | None = None

    @property
    def addresses(self) -> list[tuple[str, int] | str]:
        """Where the server accepts connections: (host, port), or the path of a unix socket.

        Empty before it accepts and after its end.
        """
        run = self._run
        return run.addresses if run is not None and run.serves else []

    @property
    def urls(self) -> list[str]:
        """The same as URLs, such as http://127.0.0.1:8000 or unix:/run/app.sock."""
        run = self._run
        return run.urls if run is not None and run.serves else []

    def stop(self, grace: float | None = None) -> None:
        """Ask the server to stop, from any thread, and return at once; again, it does no harm.

        `grace`: seconds that requests have to finish, in the place of
        `timeout_graceful_shutdown`; 0 cancels them at once, also during a stop.
        """
        run = self._run
        if run is not None:
            if grace is not None and not run.life.stopping:
                run.life.grace = grace
            run.life.stop(hurry=grace == 0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in a `with` block until the server has stopped; False after `timeout` seconds."""
        run = self._run
        return run is None or run.thread is None or run.join(timeout)

    # ------------------------------------------------------------------ in a loop

    async def serve(self) -> None:
        """Serve in the running loop until `stop`; cancelled, stop at once, and cancel requests.

        Raises:
            BareServeError: the server cannot run; the message says why.
        """
        async with self:
            await self.stopped()

    async def stopped(self) -> None:
        """Wait in an `async with` block until the server has stopped, or has failed."""
        run = self._run
        if run is not None and run.task is not None:
            await asyncio.wait((run.task,))

    async def __aenter__(self) -> Self:
        stack, run = self._begin()
        try:
            run.task = asyncio.get_running_loop().create_task(run.in_loop(), name="bare-serve")
            await run.until_ready()
        except BaseException:
            run.life.stop(hurry=True)
            await run.settle()
            self._end(stack)
            raise
        self._stack = stack
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        run, stack = self._run, self._stack
        assert run is not None
        assert stack is not None
        assert run.task is not None
        try:
            run.life.stop(hurry=isinstance(error, asyncio.CancelledError))
            await run.settle()
        finally:
            self._end(stack)
        run.raise_failure(beside=error)

    # ------------------------------------------------------------------ in a thread

    def __enter__(self) -> Self:
        stack, run = self._begin()
        try:
            run.start_thread()
            run.wait_until_ready()
        except BaseException:
            run.life.stop(hurry=True)
            run.join(MARGIN)
            self._end(stack)
            raise
        self._stack = stack
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run, stack = self._run, self._stack
        assert run is not None
        assert stack is not None
        try:
            run.life.stop()
            ended = run.join(run.life.grace + MARGIN)
        finally:
            self._end(stack)
        if not ended:
            run.failure = BareServeError(
                f"the server did not end within {run.life.grace:g} s: the application holds its "
                "thread, which is left behind"
            )
        run.raise_failure(beside=error)

    # ------------------------------------------------------------------ both

    def _begin(self) -> tuple[contextlib.ExitStack, Run]:
        """Load the application, and open all that a start needs; it is closed by the stack."""
        if self._run is not None:
            raise BareServeError("the server runs already; for another one make another Server")
        settings = self._settings
        with contextlib.ExitStack() as stack:
            loaded = self._load()
            certificates = read_certificates(settings)
            bound = stack.enter_context(listening(settings, settings.addresses, Handover(), None))
            access_log = embedded_access_log(settings)
            if access_log is not None:
                stack.callback(access_log.join)
                stack.callback(access_log.close)
            options = worker_options(settings)._replace(access_log=access_log, counts=False)
            options = Listeners(bound, certificates).complete(options)
            run = Run(
                loaded,
                bound,
                options,
                settings.timeout_graceful_shutdown,
                settings.timeout_boot,
            )
            if self._signals:
                stack.enter_context(_stopped_by_signals(run.life))
            self._run = run
            return stack.pop_all(), run
        raise AssertionError("unreachable")

    def _end(self, stack: contextlib.ExitStack) -> None:
        self._run = self._stack = None
        stack.close()

    def _load(self) -> LoadedApp:
        settings = self._settings
        try:
            loaded = self._application.load(settings, on_path="app_dir" in settings.sources)
            return surrounded(loaded, settings)
        except AppLoadError as error:
            error.tell_details()
            raise
        finally:
            error_log.revive_logging()


@contextlib.contextmanager
def _stopped_by_signals(life: ServiceLife) -> Iterator[None]:
    """Have signals stop the server, and give them back.

    Raises:
        UsageError: this is not the main thread, which alone may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("Server(signals=True): only the main thread can handle signals")

    def stop(*_: object) -> None:
        life.stop(hurry=life.stopping)

    before = {signum: signal.signal(signum, stop) for signum in _STOPPERS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            # None: the handler was not installed from Python and cannot be put back from here.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
