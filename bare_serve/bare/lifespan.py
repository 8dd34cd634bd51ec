"""The life of an application in a process: started before the first request, ended after the last.

What lives here: the order of a start and of an end, for both interfaces. What must not: requests.
What was started is ended even if something fails in between, in the reverse order; a failed start
is a failed start, and a failure at the end is logged and reported, never swallowed.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bare_serve.bare.calls import inline
from bare_serve.bare.failures import log_failure

if TYPE_CHECKING:
    from collections.abc import Iterator


_lock = allocate_lock()
WAIT_SECONDS = 30.0
"""How long background jobs are waited for where no server bounds the end."""


class Life:
    """The life of one application, its mounted ones included."""

    def __init__(self, app: Any) -> None:
        """Start nothing yet."""
        self._app = app
        self._ends: list[Callable[[], Any]] = []
        self.entered = False

    async def start(self) -> dict[str, Any]:
        """Start: the mounted ones, `lifespan`, the functions of `on_startup`; return the state.

        What has started is ended again if a later one fails; its exception is raised.
        """
        app = self._app
        state: dict[str, Any] = {}
        self.entered = True
        try:
            for child in app.children:
                state.update(await child.life.start())
                self._ends.append(child.life.end)
            if app.lifespan is not None:
                yielded = await self._enter(app.lifespan(app))
                if not isinstance(yielded, Mapping | None):
                    raise TypeError(
                        "lifespan yields a mapping for request.state, or nothing, "
                        f"not {type(yielded).__name__}"
                    )
                state.update(yielded or {})
            for function in app.startup:
                await _value(function())
        except BaseException:
            await self.end(after_start=False)
            raise
        app.lifespan_state = state
        return state

    async def _enter(self, manager: Any) -> Any:
        if hasattr(manager, "__aenter__"):
            yielded = await manager.__aenter__()
            self._ends.append(lambda: manager.__aexit__(None, None, None))
        else:
            yielded = manager.__enter__()
            self._ends.append(lambda: manager.__exit__(None, None, None))
        return yielded

    async def end(self, after_start: bool = True) -> None:
        """End: the functions of `on_shutdown`, `lifespan`, the mounted ones; all of them.

        Raises:
            BaseException: the first failure; each one is logged.
        """
        first: BaseException | None = None
        ends = [*self._app.shutdown] if after_start else []
        for function in [*ends, *reversed(self._ends)]:
            try:
                await _value(function())
            except BaseException as error:  # noqa: BLE001 - the others are ended as well
                log_failure(f"The end of the application failed in {function!r}", error)
                first = first or error
        self._ends.clear()
        self.entered = False
        if first is not None:
            raise first


async def _value(given: Any) -> Any:
    return await given if isinstance(given, Awaitable) else given


async def serve_lifespan(app: Any, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the lifespan of ASGI; what `lifespan` yields is the state of requests."""
    await receive()
    try:
        state = await app.life.start()
    except BaseException as error:
        await send(
            {"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"}
        )
        raise
    if "state" in scope:
        scope["state"].update(state)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await app.background.wait_on_loop()
    try:
        await app.life.end()
    except BaseException as error:  # noqa: BLE001 - the server is told, and the log has it
        await send(
            {"type": "lifespan.shutdown.failed", "message": f"{type(error).__name__}: {error}"}
        )
        return
    await send({"type": "lifespan.shutdown.complete"})


@contextmanager
def entered(app: Any) -> Iterator[dict[str, Any]]:
    """Start an application that is served by WSGI, and end it."""
    run = _runner(app)
    state = run(app.life.start())
    try:
        yield state
    finally:
        wait_for_jobs(app)
        run(app.life.end())


def ensure_entered(app: Any) -> None:
    """Start an application before its first request, unless its server has; end it at exit."""
    with _lock:
        if app.life.entered:
            return
        _runner(app)(app.life.start())
        import atexit

        atexit.register(_leave, app)


def wait_for_jobs(app: Any) -> None:
    """Wait for background jobs; not for ever, and log if they are left."""
    if not app.background.wait(WAIT_SECONDS):
        log_failure(f"Background jobs still run after {WAIT_SECONDS:g} seconds", None)


def _leave(app: Any) -> None:
    wait_for_jobs(app)
    if app.life.entered:
        _runner(app)(app.life.end())


def _runner(app: Any) -> Callable[[Any], Any]:
    """Return what runs a coroutine: inline where the whole life is of plain functions."""
    return app.loop_thread.run if app.has_async_life else inline
