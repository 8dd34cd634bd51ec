"""bare-serve: a server for WSGI and ASGI applications, in plain Python.

The whole public API is here and in `bare_serve.testing`: `run()` serves an application from
Python code, `Server` is a server inside a program, `BareServeError` what both raise, and
`__version__`. Everything else may change between versions. The server is imported only when one of
these is asked for, so that `import bare_serve` costs nothing.
"""

from __future__ import annotations

from bare_serve.version import __version__

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bare_serve.errors import BareServeError
    from bare_serve.server.embedded import Server

__all__ = ["BareServeError", "Server", "__version__", "run"]


def run(target: str | Callable[..., Any] | None = None, **options: Any) -> int:
    """Serve `target` until a signal asks to stop, and return the exit code.

    `target` is "module:attribute" or the application object itself; without one it is looked
    for as on the command line. Options have the names of the command line with underscores:
    run("app:application", host="0.0.0.0", port=8000, workers=4). For a program that does other
    things as well, and in a running event loop, there is `Server`.

    Raises:
        BareServeError: the server cannot run; the message says why.
    """
    from bare_serve.errors import BareServeError
    from bare_serve.server.run import run_from_python

    try:
        return run_from_python(target, options)
    except BareServeError as error:
        from bare_serve.logs.uncaught import say_in_one_line

        # Our own frames say nothing to who has called this.
        raise say_in_one_line(error.with_traceback(None)) from None


def __getattr__(name: str) -> Any:
    if name == "Server":
        from bare_serve.server.embedded import Server

        return Server
    if name == "BareServeError":
        from bare_serve.errors import BareServeError

        return BareServeError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
