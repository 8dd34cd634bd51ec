"""Other shapes of ASGI application, made into the present one.

ASGI 2 applications are double callables: `app(scope)` gives an instance, and
`await instance(receive, send)` runs it. Their scope says version 2.0, so that an application that
speaks both knows how it was called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bare_serve.asgi.types import App, Receive, Scope, Send

Asgi2App = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]


def asgi2_to_asgi3(app: Asgi2App) -> App:
    """Wrap the double callable `app` into a single one."""

    async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
        # Not in place: the connection's requests share this dict.
        scope["asgi"] = {**scope["asgi"], "version": "2.0"}
        await app(scope)(receive, send)

    return asgi3
