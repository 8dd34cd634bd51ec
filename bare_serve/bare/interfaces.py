"""What the parts of the framework see of the application that they are parts of.

What lives here: a protocol. What must not: anything that runs. The parts know this and not `Bare`,
which is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from bare_serve.bare.cookies import Signer
    from bare_serve.bare.middleware import MiddlewareList
    from bare_serve.bare.router import Router
    from bare_serve.bare.threads import LoopThread, Threads


Handler = TypeVar("Handler", bound=Callable[..., Any])


class Register(Protocol):
    """A decorator that adds a function and returns it as it was."""

    def __call__(self, handler: Handler, /) -> Handler:
        """Add a function."""


class App(Protocol):
    """See `Bare`, and `Resources` for what is made when it is asked for."""

    debug: bool
    state: dict[str, Any]
    errors: dict[Any, Callable[..., Any]]
    router: Router
    sockets: Router
    middleware: MiddlewareList
    children: list[Any]
    lifespan: Callable[[Any], Any] | None
    lifespan_state: dict[str, Any]
    startup: list[Callable[[], Any]]
    shutdown: list[Callable[[], Any]]

    @property
    def threads(self) -> Threads:
        """Threads of plain handlers on ASGI."""

    @property
    def loop_thread(self) -> LoopThread:
        """The loop of async handlers on WSGI."""

    @property
    def background(self) -> Any:
        """What runs after answers: see `threads.Background`."""

    @property
    def signer(self) -> Signer:
        """What signs cookies."""

    @property
    def wsgi(self) -> Any:
        """The WSGI application."""

    @property
    def has_async_errors(self) -> bool:
        """Whether an error handler is async."""

    @property
    def has_async_life(self) -> bool:
        """Whether anything of the start and the end is async."""

    def url(self, name: str, /, **params: Any) -> str:
        """Return the path of a route."""
