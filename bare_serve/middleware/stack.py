"""`wrap`: policies and classic middleware around an application, the first one outermost.

What lives here: which adapter, and that neighbours among policies are one layer. What must not:
how an adapter works, texts of the command line (the folder server/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bare_serve.app.detect import detect
from bare_serve.errors import UsageError
from bare_serve.middleware.policy import Policy


def wrap(app: Callable[..., Any], *around: object, interface: str = "auto") -> Callable[..., Any]:
    """Return `app` with middleware around it; `app` itself if there is none.

    Args:
        app: a WSGI or an ASGI application.
        around: policies, classes of policies that need no arguments, or callables that take an
            application and return one. The first is outermost. Neighbours among policies are one
            layer.
        interface: "wsgi" or "asgi" if detection is not to decide.

    Raises:
        AppLoadError: it cannot be detected which interface `app` has.
        UsageError: something in `around` is no middleware.
    """
    if interface == "auto":
        interface = detect(app).interface
    layer: list[Policy] = []
    for each in reversed(around):
        made = made_policy(each)
        if made is not None:
            layer.insert(0, made)
            continue
        if not callable(each):
            raise UsageError(
                f"{each!r} is no middleware: neither a policy, which has begin(), nor a callable "
                "that takes an application"
            )
        app = each(_layer(app, layer, interface))
        layer = []
    return _layer(app, layer, interface)


def made_policy(each: Any) -> Policy | None:
    """Return a policy, made if it is a class of policies; None if it is something else."""
    if not callable(getattr(each, "begin", None)):
        return None
    policy: Policy = each() if isinstance(each, type) else each
    return policy


def _layer(app: Callable[..., Any], policies: list[Policy], interface: str) -> Callable[..., Any]:
    if not policies:
        return app
    if interface == "wsgi":
        from bare_serve.middleware.adapter_wsgi import WsgiStack

        return WsgiStack(app, policies)
    if interface == "asgi2":
        raise UsageError("an ASGI 2 application has to be made ASGI 3 before it can be wrapped")
    from bare_serve.middleware.adapter_asgi import AsgiStack

    return AsgiStack(app, policies)
