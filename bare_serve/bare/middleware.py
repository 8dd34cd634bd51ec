"""Middleware of an application: its failures are answered inside, so each answer passes through.

What lives here: the list of middleware, and how it is put around a skin. What must not: what a
policy is (the folder middleware/). The first one added is outermost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any


class MiddlewareList:
    """What `app.add_middleware` has gathered."""

    def __init__(self) -> None:
        """Begin with none."""
        self._added: list[Any] = []

    def add(self, middleware: Any, arguments: dict[str, Any]) -> None:
        """Add one.

        Args:
            middleware: a policy, a class of policies, or what takes an application and returns one,
                such as a class of Starlette's.
            arguments: for the class, or for the call beside the application.

        Raises:
            TypeError: it is none of these, or a policy that is already made gets arguments.
        """
        is_policy = callable(getattr(middleware, "begin", None))
        if is_policy and isinstance(middleware, type):
            self._added.append(middleware(**arguments))
        elif is_policy and arguments:
            raise TypeError(f"{middleware!r} is made already, and takes no arguments any more")
        elif callable(middleware) and not is_policy:
            self._added.append(partial(middleware, **arguments) if arguments else middleware)
        elif is_policy:
            self._added.append(middleware)
        else:
            raise TypeError(
                f"{middleware!r} is no middleware: neither a policy, which has begin(), nor a "
                "callable that takes an application"
            )

    def around_asgi(self, app: Any) -> Callable[..., Any]:
        """Return an ASGI application with the middleware around it."""
        return self._around(app, "asgi")

    def around_wsgi(self, app: Any) -> Callable[..., Any]:
        """Return a WSGI application with the middleware around it."""
        return self._around(app, "wsgi")

    def _around(self, app: Any, interface: str) -> Callable[..., Any]:
        if not self._added:
            return app  # type: ignore[no-any-return]
        from bare_serve.middleware.stack import wrap

        return wrap(app, *self._added, interface=interface)
