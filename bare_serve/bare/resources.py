"""What an application has once in a process, each made when it is first asked for.

What lives here: threads, the loop of WSGI, background jobs, the signer, the skins. What must not:
routes (app.py). An application that needs none of them has none, so a worker of plain functions is
small.
"""

from __future__ import annotations

from functools import cached_property

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bare_serve.bare.cookies import Signer
    from bare_serve.bare.threads import Background, LoopThread, Threads
    from bare_serve.bare.wsgi import Wsgi


class Resources:
    """The resources of a `Bare`."""

    children: list[Any]
    errors: dict[Any, Callable[..., Any]]
    lifespan: Callable[[Any], Any] | None
    startup: list[Callable[[], Any]]
    shutdown: list[Callable[[], Any]]
    _secret: Any
    _most_threads: int
    parent: Any = None

    @cached_property
    def wsgi(self) -> Wsgi:
        """The WSGI application: `bare-serve shop:app.wsgi`."""
        from bare_serve.bare.wsgi import Wsgi

        return Wsgi(self._me)

    @property
    def _me(self) -> Any:
        # What is made here knows the application by a protocol that this class is only a part of.
        return self

    @property
    def asgi(self) -> Any:
        """The ASGI application, which is the object itself."""
        return self

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

        return self.parent.background if self.parent else Background(self._me)

    @cached_property
    def signer(self) -> Signer:
        """What signs cookies.

        Raises:
            RuntimeError: the application was made without `secret`.
        """
        from bare_serve.bare.cookies import Signer

        if self._secret is None:
            raise RuntimeError("signed cookies need a secret: Bare(secret=...)")
        return Signer(self._secret)

    @property
    def has_async_errors(self) -> bool:
        """Whether an error handler is `async def`."""
        from bare_serve.bare.functions import is_async

        return any(map(is_async, self.errors.values()))

    @property
    def has_async_life(self) -> bool:
        """Whether anything of the start and the end is async, in mounted applications too."""
        from bare_serve.bare.functions import is_async

        own = [*self.startup, *self.shutdown, *([self.lifespan] if self.lifespan else [])]
        return any(map(is_async, own)) or any(child.has_async_life for child in self.children)
