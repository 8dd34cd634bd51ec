"""`Bare`: one registry of routes, and two skins that serve it.

What lives here: the life, middleware, mounts, and what an application has once in a process, made
when it is first asked for. What must not: registration (registry.py), serving (asgi.py, wsgi.py).
The object itself is an ASGI application, `app.wsgi` a WSGI one; both answer the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from bare_serve.bare.fields import Signer
from bare_serve.bare.registry import Handler, Registry
from bare_serve.bare.router import ANY, Route

if TYPE_CHECKING:
    from bare_serve.bare.threads import Runner
    from bare_serve.bare.wsgi import Wsgi

MAX_BODY = 1 << 20


class Bare(Registry):
    """A web application.

    Attributes:
        state: a dictionary for the program's own use.
    """

    parent: Bare | None = None

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
        super().__init__(max_body)
        self.debug = debug
        self.state: dict[str, Any] = {}
        self.middleware: list[Any] = []
        self.children: list[Bare] = []
        self.lifespan = lifespan
        self.lifespan_state: dict[str, Any] = {}
        self.startup: list[Callable[[], Any]] = []
        self.shutdown: list[Callable[[], Any]] = []
        self._secret, self._most_threads = secret, threads
        self._asgi: Any = None

    def mount(self, prefix: str, target: Any) -> None:
        """Hand paths below `prefix` to a `Bare`, an ASGI or WSGI application, or a static folder.

        A prefix ends at a slash: `/api` takes `/api` and `/api/x`, never `/apiv2`. The application
        sees the rest of the path as its own.

        Raises:
            TypeError: the target is no application.
            ValueError: the prefix has parameters, does not begin with "/", or is taken.
        """
        route = Route(ANY, prefix.rstrip("/") or prefix, "app.mount()")
        if callable(getattr(target, "begin", None)):
            # Where the policy does not answer there is nothing, as the errors of `self` have it.
            policy, target = target, Bare(debug=self.debug)
            target.errors = self.errors
            target.add_middleware(policy)
        is_bare = isinstance(target, Bare)
        asgi, wsgi = (target, target.wsgi) if is_bare else _by_interface(target, prefix)
        prefix = prefix.rstrip("/")
        encoded = prefix.encode("utf-8").decode("latin-1")

        async def call_asgi(scope: dict[str, Any], receive: Any, send: Any, params: Any) -> None:
            # The path stays whole: an application takes root_path off it (ASGI, HTTP scope).
            await asgi({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)

        def call_wsgi(environ: dict[str, Any], start_response: Any, params: Any) -> Any:
            root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
            below = {"SCRIPT_NAME": root + encoded, "PATH_INFO": path[len(encoded) :]}
            return wsgi({**environ, **below}, start_response)

        route.asgi, route.wsgi = call_asgi, call_wsgi
        self.router.add(route)
        if is_bare and target not in self.children:
            target.parent = self
            self.children.append(target)

    def add_middleware(self, middleware: Any, **arguments: Any) -> None:
        """Put middleware around the application, the first one outermost.

        Args:
            middleware: a policy, a class of policies, or what takes an application and returns one,
                such as a class of Starlette's.
            arguments: for the class, or for the call beside the application.

        Raises:
            TypeError: it is none of these, or a policy that is already made gets arguments.
        """
        is_policy = callable(getattr(middleware, "begin", None))
        if is_policy and isinstance(middleware, type):
            middleware = middleware(**arguments)
        elif arguments and callable(middleware) and not is_policy:
            middleware = partial(middleware, **arguments)
        elif arguments or not (is_policy or callable(middleware)):
            raise TypeError(
                f"{middleware!r} is no middleware that takes {arguments}: what does is a class of "
                "policies, or a callable that takes an application"
            )
        self.middleware.append(middleware)
        self._asgi = None
        if "wsgi" in vars(self):
            self.wsgi.serve = None

    def around(self, serve: Any, interface: str) -> Any:
        """Return an application of `interface`, "asgi" or "wsgi", with the middleware around it."""
        if not self.middleware:
            return serve
        from bare_serve.middleware.stack import wrap

        return wrap(serve, *self.middleware, interface=interface)

    def on_startup(self, function: Handler) -> Handler:
        """Have a function, plain or async, called before the first request of a process."""
        self.startup.append(function)
        return function

    def on_shutdown(self, function: Handler) -> Handler:
        """Have a function, plain or async, called after the last request of a process."""
        self.shutdown.append(function)
        return function

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        if self._asgi is None:
            from bare_serve.bare.asgi import make_asgi

            self._asgi = make_asgi(self)
        await self._asgi(scope, receive, send)

    def run(self, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> int:
        """Serve the application until a signal stops it: see `bare_serve.run`.

        Options have the names of the command line. With `reload` or several `workers` the target is
        the name of this object in the program's file, since workers import it.

        Raises:
            ValueError: the name is needed, and this object is no global of the main program.
        """
        from bare_serve import run

        by_name = options.get("reload") or options.get("workers", 1) != 1
        return run(import_string(self) if by_name else self, host=host, port=port, **options)

    @property
    def asgi(self) -> Bare:
        """The ASGI application, which is the object itself."""
        return self

    @cached_property
    def wsgi(self) -> Wsgi:
        """The WSGI application: `bare-serve shop:app.wsgi`."""
        from bare_serve.bare.wsgi import Wsgi

        return Wsgi(self)

    @cached_property
    def runner(self) -> Runner:
        """Threads, WSGI's event loop, and what runs after answers; mounted ones have ours."""
        from bare_serve.bare.threads import Runner

        if self.parent:
            return self.parent.runner
        # Of two threads that ask first both get the same one.
        return vars(self).setdefault("runner", Runner(self._most_threads))  # type: ignore[no-any-return]

    @cached_property
    def signer(self) -> Signer:
        """What signs cookies.

        Raises:
            RuntimeError: the application was made without `secret`.
        """
        if self._secret is None:
            raise RuntimeError("signed cookies need a secret: Bare(secret=...)")
        return Signer(self._secret)

    @property
    def has_async_life(self) -> bool:
        """Whether anything of the start and the end is async, in mounted applications too."""
        from bare_serve.bare.plan import is_async

        own = [*self.startup, *self.shutdown, *([self.lifespan] if self.lifespan else [])]
        return any(map(is_async, own)) or any(child.has_async_life for child in self.children)


def _by_interface(target: Any, prefix: str) -> tuple[Any, Any]:
    """Return what is called by ASGI and by WSGI; one of the two only says that it cannot be."""
    from bare_serve.app.detect import detect
    from bare_serve.errors import AppLoadError

    try:
        interface = detect(target, f"what is mounted at {prefix!r}").interface
    except AppLoadError as error:
        raise TypeError(str(error)) from None

    def refused(*given: Any) -> Any:
        ours, other = ("app.wsgi", "ASGI") if interface == "wsgi" else ("app", "WSGI")
        raise RuntimeError(
            f"what is mounted at {prefix!r} speaks {interface.upper()}, and this application is "
            f"served by {other}: serve {ours}, or mount it elsewhere"
        )

    return (refused, target) if interface == "wsgi" else (target, refused)


def import_string(app: Any) -> str:
    """Return "path/to/file.py:name" for a global of the main program.

    Raises:
        ValueError: it is none.
    """
    main = sys.modules["__main__"]
    for name, value in vars(main).items():
        if value is app and hasattr(main, "__file__"):
            return f"{main.__file__}:{name}"
    raise ValueError("reload and workers need a name to import the application by: make it global")
