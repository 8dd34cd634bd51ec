"""The life of an application in a process: started before the first request, ended after the last.

What lives here: the order of a start and of an end, for both interfaces. What must not: requests.
What was started is ended even if something fails in between, in the reverse order; a failed start
is a failed start, and a failure at the end is logged and reported, never swallowed.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from bare_serve.bare.calls import inline
from bare_serve.bare.failures import log_failure

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App

_lock = allocate_lock()


class Life:
    """The life of one application, its mounted ones included."""

    def __init__(self, app: App) -> None:
        """Start nothing yet."""
        self._app = app
        self.ends: AsyncExitStack | None = None

    async def start(self) -> dict[str, Any]:
        """Start: the mounted ones, `lifespan`, the functions of `on_startup`; return the state.

        What has started is ended again if a later one fails; its exception is raised.
        """
        app, state = self._app, {}
        async with AsyncExitStack() as ends:
            for child in app.children:
                state.update(await child.life.start())
                ends.push_async_callback(child.life.end)
            if app.lifespan is not None:
                manager = app.lifespan(app)
                a = "a" if hasattr(manager, "__aenter__") else ""
                yielded = await _value(getattr(manager, f"__{a}enter__")())
                leave = getattr(manager, f"__{a}exit__")
                ends.push_async_callback(_end, leave, None, None, None)
                if not isinstance(yielded, Mapping | None):
                    kind = type(yielded).__name__
                    raise TypeError(f"lifespan yields a mapping for request.state, not {kind}")
                state.update(yielded or {})
            for function in app.startup:
                await _value(function())
            for function in reversed(app.shutdown):
                ends.push_async_callback(_end, function)
            self.ends = ends.pop_all()
        app.lifespan_state = state
        return state

    async def end(self) -> None:
        """End: the functions of `on_shutdown`, `lifespan`, the mounted ones; all of them.

        Raises:
            BaseException: a failure; each one is logged.
        """
        ends, self.ends = self.ends, None
        if ends is not None:
            await ends.aclose()


async def _value(given: Any) -> Any:
    return await given if isinstance(given, Awaitable) else given


async def _end(function: Callable[..., Any], *args: Any) -> None:
    try:
        await _value(function(*args))
    except BaseException as error:
        log_failure(f"The end of the application failed in {function!r}", error)
        raise


async def serve_lifespan(app: App, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the lifespan of ASGI; what `lifespan` yields is the state of requests."""
    for phase in ("startup", "shutdown"):
        await receive()
        try:
            if phase == "startup":
                scope.get("state", {}).update(await app.life.start())
            else:
                await app.background.wait()
                await app.life.end()
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            await send({"type": f"lifespan.{phase}.failed", "message": message})
            if phase == "startup":
                raise
            return  # the server is told, and the log has it
        await send({"type": f"lifespan.{phase}.complete"})


@contextmanager
def entered(app: App) -> Iterator[dict[str, Any]]:
    """Start an application that is served by WSGI, and end it."""
    # Inline where the whole life is of plain functions.
    run: Callable[[Any], Any] = app.loop_thread.run if app.has_async_life else inline
    try:
        yield run(app.life.start())
    finally:
        if "background" in vars(app):
            app.loop_thread.run(app.background.wait(30))  # where no server bounds the end
        run(app.life.end())


def ensure_entered(app: App) -> None:
    """Start an application before its first request, unless its server has; end it at exit."""
    with _lock:
        if app.life.ends is None:
            import atexit

            life = entered(app)
            life.__enter__()
            atexit.register(life.__exit__, None, None, None)
