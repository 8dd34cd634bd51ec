"""The life of an application in a process: started before the first request, ended after the last.

What lives here: the order of a start and of an end, for both interfaces. What must not: requests.
What was started is ended even if something fails in between, in the reverse order; a failed start
is a failed start, and a failure at the end is reported, never swallowed.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from bare_serve.bare.calls import inline
from bare_serve.bare.failures import log_failure

_lock = allocate_lock()
_entered: set[Any] = set()
"""Those that have started: WSGI starts them with the first request if nothing else has."""


@asynccontextmanager
async def life(app: Any) -> AsyncIterator[dict[str, Any]]:
    """Start the mounted ones, `lifespan`, the functions of `on_startup`, and give the state.

    The end: the functions of `on_shutdown`, `lifespan`, the mounted ones; all of them, whatever
    fails. Nothing is told to them of a failure, so a `lifespan` needs no `finally`.
    """
    state = app.lifespan_state = {}
    async with AsyncExitStack() as ends:
        _entered.add(app)
        ends.callback(_entered.discard, app)
        for child in app.children:
            state.update(await ends.enter_async_context(life(child)))
        if app.lifespan is not None:
            manager = app.lifespan(app)
            a = "a" if hasattr(manager, "__aenter__") else ""
            yielded = await _call(getattr(manager, f"__{a}enter__"))
            ends.push_async_callback(_call, getattr(manager, f"__{a}exit__"), None, None, None)
            if not isinstance(yielded, Mapping | None):
                kind = type(yielded).__name__
                raise TypeError(f"lifespan yields a mapping for request.state, not {kind}")
            state.update(yielded or {})
        for function in app.startup:
            await _call(function)
        for function in reversed(app.shutdown):
            ends.push_async_callback(_call, function)
        yield state


async def _call(function: Callable[..., Any], *args: Any) -> Any:
    value = function(*args)
    return await value if hasattr(value, "__await__") else value


async def serve_lifespan(app: Any, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the lifespan of ASGI; what `lifespan` yields is the state of requests."""
    phase = "startup"
    await receive()
    try:
        async with life(app) as state:
            scope.get("state", {}).update(state)
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
            await app.runner.wait()
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        await send({"type": f"lifespan.{phase}.failed", "message": message})
        if phase == "startup":
            raise
        log_failure("The end of the application failed", error)
    else:
        await send({"type": "lifespan.shutdown.complete"})


@contextmanager
def entered(app: Any) -> Iterator[dict[str, Any]]:
    """Start an application that is served by WSGI, and end it."""
    # Inline where the whole life is of plain functions.
    run: Callable[[Any], Any] = app.runner.run if app.has_async_life else inline
    alive = life(app)
    state = run(alive.__aenter__())
    try:
        yield state
    finally:
        if "runner" in vars(app):
            app.runner.run(app.runner.wait(30))  # where no server bounds the end
        run(alive.__aexit__(None, None, None))


def ensure_entered(app: Any) -> None:
    """Start an application before its first request, unless its server has; end it at exit."""
    with _lock:
        if app not in _entered:
            import atexit

            alive = entered(app)
            alive.__enter__()
            atexit.register(alive.__exit__, None, None, None)
