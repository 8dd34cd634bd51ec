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
        if callable(getattr(middleware, "begin", None)):
            if isinstance(middleware, type):
                middleware = middleware(**arguments)
            elif arguments:
                raise TypeError(f"{middleware!r} is made already, and takes no arguments any more")
        elif not callable(middleware):
            raise TypeError(
                f"{middleware!r} is no middleware: neither a policy, which has begin(), nor a "
                "callable that takes an application"
            )
        elif arguments:
            middleware = partial(middleware, **arguments)
        self._added.append(middleware)

    def around(self, app: Any, interface: str) -> Callable[..., Any]:
        """Return an application of `interface`, "asgi" or "wsgi", with the middleware around it."""
        if not self._added:
            return app  # type: ignore[no-any-return]
        from bare_serve.middleware.stack import wrap

        return wrap(app, *self._added, interface=interface)
