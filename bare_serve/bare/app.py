"""`Bare`: one registry of routes, and two skins that serve it.

What lives here: the life, middleware, and what an application has once in a process, each made when
it is first asked for. What must not: registration (registry.py), serving (asgi.py, wsgi.py). The
object itself is an ASGI application, `app.wsgi` a WSGI one; both answer the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from bare_serve.bare.cookies import Signer
from bare_serve.bare.registry import Handler, Registry

if TYPE_CHECKING:
    from bare_serve.bare.threads import Background, LoopThread, Threads
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

        Raises:
            TypeError: the target is no application.
            ValueError: the prefix has parameters, or is taken.
        """
        from bare_serve.bare.mount import mount

        mount(self, prefix, target, Bare)

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
        if not is_policy and not callable(middleware):
            what = "is no middleware: neither a policy nor a callable that takes an application"
            raise TypeError(f"{middleware!r} {what}")
        if is_policy and isinstance(middleware, type):
            middleware = middleware(**arguments)
        elif arguments and is_policy:
            raise TypeError(f"{middleware!r} is made already, and takes no arguments any more")
        elif arguments:
            middleware = partial(middleware, **arguments)
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
        from bare_serve.bare.running import run

        return run(self, host, port, options)

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
    def threads(self) -> Threads:
        """The threads of `def` handlers that are served by ASGI, and of background jobs."""
        from bare_serve.bare.threads import Threads

        return self.parent.threads if self.parent else Threads(self._most_threads)

    @cached_property
    def loop_thread(self) -> LoopThread:
        """The event loop of `async def` handlers that are served by WSGI."""
        from bare_serve.bare.threads import LoopThread

        return self.parent.loop_thread if self.parent else LoopThread()

    @cached_property
    def background(self) -> Background:
        """What runs after answers."""
        from bare_serve.bare.threads import Background

        return self.parent.background if self.parent else Background(self)

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
        from bare_serve.bare.functions import is_async

        own = [*self.startup, *self.shutdown, *([self.lifespan] if self.lifespan else [])]
        return any(map(is_async, own)) or any(child.has_async_life for child in self.children)
