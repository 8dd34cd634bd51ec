"""A mount: another application below a prefix, which sees the rest of the path as its own.

What lives here: how scope and environ change on the way into it. What must not: which paths lead to
a mount (router.py). A prefix ends at a slash: `/api` takes `/api` and `/api/x`, never `/apiv2`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bare_serve.bare.router import ANY, Route

if TYPE_CHECKING:
    from bare_serve.bare.app import Bare


def mount(app: Bare, prefix: str, target: Any) -> None:
    """Mount a `Bare`, an ASGI or WSGI application, or a policy that answers, as a static folder.

    Raises:
        TypeError: the target is none of these.
        ValueError: the prefix has parameters, does not begin with "/", or is taken.
    """
    from bare_serve.bare.app import Bare

    if not prefix.startswith("/"):
        raise ValueError(f"a mount begins with '/', not {prefix!r}")
    prefix = prefix.rstrip("/")
    route = Route(ANY, prefix or "/", target, "app.mount()")
    if isinstance(target, Bare):
        app.children.append(target)
        target.parent = app
        route.asgi, route.wsgi = _asgi_below(prefix, target), _wsgi_below(prefix, target.wsgi)
    elif callable(getattr(target, "begin", None)):
        # Where the policy does not answer there is nothing, as the errors of `app` have it.
        behind = Bare(debug=app.debug)
        behind.errors, behind.parent = app.errors, app
        behind.add_middleware(target)
        route.asgi, route.wsgi = _asgi_below(prefix, behind), _wsgi_below(prefix, behind.wsgi)
    else:
        from bare_serve.app.detect import detect
        from bare_serve.errors import AppLoadError

        try:
            interface = detect(target, f"what is mounted at {prefix or '/'!r}").interface
        except AppLoadError as error:
            raise TypeError(str(error)) from None
        route.asgi = route.wsgi = _refused(prefix, interface)
        if interface == "wsgi":
            route.wsgi = _wsgi_below(prefix, target)
        else:
            route.asgi = _asgi_below(prefix, target)
    app.router.mount(route)
    app.sockets.mount(route)


def _asgi_below(prefix: str, target: Any) -> Callable[..., Any]:
    if not prefix:
        return lambda scope, receive, send, params: target({**scope}, receive, send)

    async def call(scope: dict[str, Any], receive: Any, send: Any, params: Any) -> None:
        # The path stays whole: an application takes root_path off it (ASGI, HTTP scope).
        await target({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)

    return call


def _wsgi_below(prefix: str, target: Any) -> Callable[..., Any]:
    encoded = prefix.encode("utf-8").decode("latin-1")

    def call(environ: dict[str, Any], start_response: Any, params: Any) -> Any:
        below = {
            **environ,
            "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + encoded,
            "PATH_INFO": environ.get("PATH_INFO", "")[len(encoded) :],
        }
        return target(below, start_response)

    return call


def _refused(prefix: str, interface: str) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        raise RuntimeError(
            f"what is mounted at {prefix or '/'!r} speaks {interface.upper()}, and this "
            f"application is served by {'ASGI' if interface == 'wsgi' else 'WSGI'}: serve "
            f"{'app.wsgi' if interface == 'wsgi' else 'app'}, or mount it elsewhere"
        )

    return call
