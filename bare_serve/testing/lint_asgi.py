"""The lint of ASGI: one call of an application, whatever its scope.

What lives here: which checks a scope gets. What must not: the checks of each protocol
(lint_http.py, lint_websocket.py, lint_lifespan.py), what scopes and events hold (lint_scope.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bare_serve.asgi.held_loop import Steps
from bare_serve.asgi.types import Receive, Scope, Send
from bare_serve.testing.lint_call import Call
from bare_serve.testing.lint_http import HttpCall
from bare_serve.testing.lint_lifespan import LifespanCall
from bare_serve.testing.lint_scope import check_scope
from bare_serve.testing.lint_websocket import WebSocketCall
from bare_serve.testing.verdicts import Advise, SpecError

_CALLS: dict[str, Callable[[Scope, Receive, Send, Advise], Call]] = {
    "http": HttpCall,
    "websocket": WebSocketCall,
    "lifespan": LifespanCall,
}


class AsgiLint:
    """An ASGI application that is checked; other attributes are those of the application."""

    def __init__(self, app: Callable[..., Any], advise: Advise, *, timed: bool) -> None:
        """Check `app`; if `timed`, watch whether it holds the loop."""
        self.app = app
        self._advise = advise
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application.

        Raises:
            SpecError: a clause is broken, on either side.
        """
        kind = check_scope(scope)
        make_call = _CALLS.get(kind)
        if make_call is None:  # a protocol that nothing is known of
            await self.app(scope, receive, send)
            return
        call = make_call(scope, receive, send, self._advise)
        running = self.app(scope, call.receive, call.send)
        if not inspect.isawaitable(running):
            got = f"the application returned {type(running).__name__}, which is no awaitable"
            raise SpecError("asgi-app-awaitable", got)
        await (Steps(running, self._advise) if self._timed else running)
        if call.broken is not None:
            raise call.broken
        call.returned()

    def __getattr__(self, name: str) -> Any:
        if name == "app":  # not there before __init__, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.app, name)
