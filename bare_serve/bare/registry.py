"""The registry: routes with their handlers, and the handlers of errors.

What lives here: registration, which checks all that can be checked before the first request. What
must not: serving (asgi.py, wsgi.py), and what an application has once in a process (app.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from bare_serve.bare.request import Request
from bare_serve.bare.router import WEBSOCKET, Route, Router

Names = str | Iterable[str]
Handler = TypeVar("Handler", bound=Callable[..., Any])


class Register(Protocol):
    """A decorator that adds a function and returns it as it was."""

    def __call__(self, handler: Handler, /) -> Handler:
        """Add a function."""


class Registry:
    """Routes, error handlers, and what runs in the place of providers.

    Attributes:
        max_body: bytes that a request's body may have, unless its route says otherwise.
        errors: error handlers by class or status; `error` adds one.
    """

    def __init__(self, max_body: int) -> None:
        """Begin without a route."""
        self.max_body = max_body
        self.errors: dict[Any, Callable[..., Any]] = {}
        self.router = Router()
        self.overrides: dict[Any, Callable[..., Any]] = {}

    def route(
        self, path: str, methods: Names = "GET", *, name: str = "", max_body: int | None = None
    ) -> Register:
        """Return a decorator that adds a handler.

        Args:
            path: a template such as "/tasks/{id:int}"; see router.py.
            methods: of HTTP; GET answers HEAD as well.
            name: for `url`; the handler's own without one.
            max_body: bytes that a body may have.

        Raises:
            TypeError: the handler needs what nothing provides.
            ValueError: the path is no template, or taken.
        """

        def register(handler: Handler) -> Handler:
            for method in [methods] if isinstance(methods, str) else methods:
                route = self._add(method.upper(), path, handler, name, Request)
                route.max_body = self.max_body if max_body is None else max_body
            return handler

        return register

    def get(self, path: str, **options: Any) -> Register:
        """Add a handler of GET and HEAD: see `route`."""
        return self.route(path, "GET", **options)

    def post(self, path: str, **options: Any) -> Register:
        """Add a handler of POST: see `route`."""
        return self.route(path, "POST", **options)

    def put(self, path: str, **options: Any) -> Register:
        """Add a handler of PUT: see `route`."""
        return self.route(path, "PUT", **options)

    def patch(self, path: str, **options: Any) -> Register:
        """Add a handler of PATCH: see `route`."""
        return self.route(path, "PATCH", **options)

    def delete(self, path: str, **options: Any) -> Register:
        """Add a handler of DELETE: see `route`."""
        return self.route(path, "DELETE", **options)

    def websocket(self, path: str, *, origins: Names = ("same",), name: str = "") -> Register:
        """Return a decorator that adds an async handler of WebSockets.

        `origins`: pages that browsers may connect from: "same" is this host, "*" is any, and others
        are written as "https://example.org". A client that sends no Origin is no browser.

        Raises:
            TypeError: the handler is not async, or needs what nothing provides.
            ValueError: one of `origins` is none.
        """

        def register(handler: Handler) -> Handler:
            from bare_serve.bare.plan import ASYNC, described, kind_of
            from bare_serve.bare.websocket import WebSocket
            from bare_serve.middleware.origins import check_origins

            if kind_of(handler) != ASYNC:
                what = "a handler of WebSockets is async def, and does not yield"
                raise TypeError(f"{described(handler)}: {what}")
            allowed = check_origins(origins)
            self._add(WEBSOCKET, path, handler, name, WebSocket).origins = allowed
            return handler

        return register

    def _add(self, method: str, path: str, handler: Any, name: str, incoming: type) -> Route:
        from bare_serve.bare.plan import Planner, place_of

        route = Route(method, path, place_of(handler))
        route.name = name or getattr(handler, "__name__", "")
        route.replan = lambda overrides: Planner(route.kinds, incoming, overrides).plan(handler)
        route.plan = route.replan(self.overrides)
        self.router.add(route)
        return route

    def error(self, kind: type[Exception] | int) -> Register:
        """Return a decorator that adds a handler `(request, error)` for a class or a status.

        Raises:
            TypeError: `kind` is neither a class of exceptions nor a status from 400 to 599.
        """
        is_class = isinstance(kind, type) and issubclass(kind, Exception)
        if not is_class and kind not in range(400, 600):
            raise TypeError(f"error() takes a class of exceptions or 400 to 599, not {kind!r}")

        def register(handler: Handler) -> Handler:
            self.errors[kind] = handler
            return handler

        return register

    def override(self, provider: Callable[..., Any], other: Callable[..., Any] | None) -> None:
        """Have `other` run in the place of `provider`, as tests want it; None takes that back.

        Raises:
            TypeError: a handler cannot have it; then nothing has changed.
        """
        overrides = {**self.overrides, provider: provider if other is None else other}
        plans = [(route, route.replan(overrides)) for route in self.routes() if route.plan]
        self.overrides = overrides
        for route, plan in plans:
            route.plan, route.asgi, route.wsgi = plan, None, None

    def url(self, name: str, /, **params: Any) -> str:
        """Return the path of the route with this name, quoted; what it is mounted at is not in it.

        Raises:
            LookupError: no route has the name.
            ValueError: a parameter is missing, or does not fit.
        """
        for route in self.routes():
            if route.name == name and route.plan:
                return route.fill(params)
        raise LookupError(f"no route has the name {name!r}")

    def routes(self) -> list[Route]:
        """Return the routes as they were added; see `Route` for what is known of each."""
        return [*self.router.routes]
