"""`Bare`: one registry of routes, and two skins that serve it.

What lives here: registration, which checks all that can be checked before the first request. What
must not: serving (asgi.py, wsgi.py). The object itself is an ASGI application, `app.wsgi` a WSGI
one; both answer the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bare_serve.bare.middleware import MiddlewareList
from bare_serve.bare.request import Request
from bare_serve.bare.resources import Resources
from bare_serve.bare.router import ANY, Route, Router
from bare_serve.bare.templates import fill

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from bare_serve.bare.interfaces import Handler, Register

MAX_BODY = 1 << 20


class Bare(Resources):
    """A web application.

    Attributes:
        state: a dictionary for the program's own use.
        errors: error handlers by class or status; `error` adds one.
    """

    def __init__(
        self,
        *,
        lifespan: Callable[[Bare], Any] | None = None,
        debug: bool = False,
        max_body: int = MAX_BODY,
        secret: str | bytes | list[str | bytes] | None = None,
        threads: int = 40,
    ) -> None:
        """Make an application without routes.

        Args:
            lifespan: called with the application; returns a context manager, plain or async, that
                is entered at the start of a process and left at its end. What it yields, a
                mapping, is in `request.state`.
            debug: show exceptions to clients on this machine; never in production.
            max_body: bytes that a request's body may have, unless its route says otherwise.
            secret: signs cookies; of several the first signs, and all are accepted.
            threads: how many `def` handlers may run at once when served by ASGI.
        """
        self.debug = debug
        self.max_body = max_body
        self.state: dict[str, Any] = {}
        self.errors: dict[Any, Callable[..., Any]] = {}
        self.router = Router()
        self.sockets = Router()
        self.middleware = MiddlewareList()
        self.children: list[Bare] = []
        self.lifespan = lifespan
        self.lifespan_state: dict[str, Any] = {}
        self.startup: list[Callable[[], Any]] = []
        self.shutdown: list[Callable[[], Any]] = []
        self.overrides: dict[Any, Callable[..., Any]] = {}
        self._secret = secret
        self._most_threads = threads
        self._asgi: Any = None

    def route(
        self,
        path: str,
        methods: Iterable[str] = ("GET",),
        *,
        name: str | None = None,
        max_body: int | None = None,
    ) -> Register:
        """Return a decorator that adds a handler.

        Args:
            path: a template such as "/tasks/{id:int}"; see templates.py.
            methods: of HTTP; GET answers HEAD as well.
            name: for `url`; the handler's own without one.
            max_body: bytes that a body may have.

        Raises:
            TypeError: the handler needs what nothing provides.
            ValueError: the path is no template, or taken.
        """

        def register(handler: Handler) -> Handler:
            from bare_serve.bare.functions import local_names

            for method in [methods] if isinstance(methods, str) else methods:
                route = self._planned(method.upper(), path, handler, local_names(handler))
                route.name = name or str(getattr(handler, "__name__", ""))
                route.max_body = self.max_body if max_body is None else max_body
                self.router.add(route)
            return handler

        return register

    def get(self, path: str, **options: Any) -> Register:
        """Add a handler of GET and HEAD: see `route`."""
        return self.route(path, ("GET",), **options)

    def post(self, path: str, **options: Any) -> Register:
        """Add a handler of POST: see `route`."""
        return self.route(path, ("POST",), **options)

    def put(self, path: str, **options: Any) -> Register:
        """Add a handler of PUT: see `route`."""
        return self.route(path, ("PUT",), **options)

    def patch(self, path: str, **options: Any) -> Register:
        """Add a handler of PATCH: see `route`."""
        return self.route(path, ("PATCH",), **options)

    def delete(self, path: str, **options: Any) -> Register:
        """Add a handler of DELETE: see `route`."""
        return self.route(path, ("DELETE",), **options)

    def websocket(
        self, path: str, *, origins: Iterable[str] = ("same",), name: str | None = None
    ) -> Register:
        """Return a decorator that adds an async handler of WebSockets.

        `origins`: pages that browsers may connect from: "same" is this host, "*" is any, and others
        are written as "https://example.org". A client that sends no Origin is no browser.

        Raises:
            TypeError: the handler is not async, or needs what nothing provides.
            ValueError: one of `origins` is none.
        """

        def register(handler: Handler) -> Handler:
            from bare_serve.bare.functions import described, local_names
            from bare_serve.bare.websocket import WebSocket
            from bare_serve.middleware.origins import check_origins

            route = self._planned("WEBSOCKET", path, handler, local_names(handler), WebSocket)
            if not route.plan.runs_on_loop:
                raise TypeError(f"{described(handler)}: a handler of WebSockets is async def")
            route.origins = check_origins(origins)
            route.name = name or str(getattr(handler, "__name__", ""))
            self.sockets.add(route)
            return handler

        return register

    def _planned(
        self,
        method: str,
        path: str,
        handler: Any,
        names: Mapping[str, Any],
        incoming: type | None = None,
    ) -> Route:
        from bare_serve.bare.functions import place_of
        from bare_serve.bare.plan import make_plan

        route = Route(method, path, handler, place_of(handler))
        route.replan = lambda: make_plan(
            handler, route.segments, incoming or Request, self.overrides, names
        )
        try:
            route.plan = route.replan()
        except TypeError as error:
            raise error.with_traceback(None) from None  # it is about the handler, not about us
        return route

    def mount(self, prefix: str, target: Any) -> None:
        """Hand paths below `prefix` to a `Bare`, an ASGI or WSGI application, or a static folder.

        Raises:
            TypeError: the target is no application.
            ValueError: the prefix has parameters, or is taken.
        """
        from bare_serve.bare.mount import mount

        mount(self, prefix, target, Bare)

    def error(self, kind: type[Exception] | int) -> Register:
        """Return a decorator that adds a handler `(request, error)` for a class or a status.

        Raises:
            TypeError: `kind` is neither a class of exceptions nor a status from 400 to 599.
        """
        if isinstance(kind, int) and not isinstance(kind, bool):
            fits = 400 <= kind <= 599
        else:
            fits = isinstance(kind, type) and issubclass(kind, Exception)
        if not fits:
            raise TypeError(f"error() takes a class of exceptions or 400 to 599, not {kind!r}")

        def register(handler: Handler) -> Handler:
            self.errors[kind] = handler
            return handler

        return register

    def add_middleware(self, middleware: Any, **arguments: Any) -> None:
        """Put middleware around the application, the first one outermost: see middleware.py."""
        self.middleware.add(middleware, arguments)
        self._asgi = None
        self.__dict__.pop("wsgi", None)

    def on_startup(self, function: Handler) -> Handler:
        """Have a function, plain or async, called before the first request of a process."""
        self.startup.append(function)
        return function

    def on_shutdown(self, function: Handler) -> Handler:
        """Have a function, plain or async, called after the last request of a process."""
        self.shutdown.append(function)
        return function

    def override(self, provider: Callable[..., Any], other: Callable[..., Any] | None) -> None:
        """Have `other` run in the place of `provider`, as tests want it; None takes that back.

        Raises:
            TypeError: a handler cannot have it; then nothing has changed.
        """
        before = self.overrides
        self.overrides = {key: value for key, value in before.items() if key is not provider}
        if other is not None:
            self.overrides[provider] = other
        routes = [each for each in [*self.router.routes, *self.sockets.routes] if each.plan]
        try:
            plans = [route.replan() for route in routes]
        except TypeError:
            self.overrides = before
            raise
        for route, plan in zip(routes, plans, strict=True):
            route.plan, route.asgi, route.wsgi = plan, None, None

    def url(self, name: str, /, **params: Any) -> str:
        """Return the path of the route with this name, quoted; what it is mounted at is not in it.

        Raises:
            LookupError: no route has the name.
            ValueError: a parameter is missing, or does not fit.
        """
        for route in [*self.router.routes, *self.sockets.routes]:
            if route.name == name and route.method != ANY:
                return fill(route.segments, route.template, params)
        raise LookupError(f"no route has the name {name!r}")

    def routes(self) -> list[dict[str, Any]]:
        """Return method, path, name, parameters and place of each route, as they were added."""
        return [
            {
                "method": route.method,
                "path": route.template,
                "name": route.name,
                "parameters": list(route.names),
                "place": route.place,
            }
            for route in [*self.router.routes, *self.sockets.routes]
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        serve = self._asgi
        if serve is None:
            from bare_serve.bare.asgi import make_asgi

            serve = self._asgi = make_asgi(self)
        await serve(scope, receive, send)

    def run(self, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> int:
        """Serve the application until a signal stops it: see `bare_serve.run`.

        Options have the names of the command line. With `reload` or several `workers` the target is
        the name of this object in the program's file, since workers import it.

        Raises:
            ValueError: the name is needed, and this object is no global of the main program.
        """
        from bare_serve.bare.running import run

        return run(self, host, port, options)
