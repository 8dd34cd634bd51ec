"""A mount: another application below a prefix, which sees the rest of the path as its own.

What lives here: how scope and environ change on the way into it. What must not: which paths lead to
a mount (router.py). A prefix ends at a slash: `/api` takes `/api` and `/api/x`, never `/apiv2`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bare_serve.bare.router import ANY, Route

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App


def mount(app: App, prefix: str, target: Any, make: type[Any]) -> None:
    """Mount a `Bare`, an ASGI or WSGI application, or a policy that answers, as a static folder.

    `make` is the class `Bare`.

    Raises:
        TypeError: the target is none of these.
        ValueError: the prefix has parameters, does not begin with "/", or is taken.
    """
    if not prefix.startswith("/"):
        raise ValueError(f"a mount begins with '/', not {prefix!r}")
    prefix = prefix.rstrip("/")
    route = Route(ANY, prefix or "/", target, "app.mount()")
    if isinstance(target, make):
        app.children.append(target)
        target.parent = app
        route.asgi, route.wsgi = _asgi_below(prefix, target), _wsgi_below(prefix, _wsgi_of(target))
    elif callable(getattr(target, "begin", None)):
        # Where the policy does not answer there is nothing, as the errors of `app` have it.
        behind = make(debug=app.debug)
        behind.errors, behind.parent = app.errors, app
        behind.add_middleware(target)
        route.asgi, route.wsgi = _asgi_below(prefix, behind), _wsgi_below(prefix, _wsgi_of(behind))
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


def _wsgi_of(app: App) -> Callable[..., Any]:
    """Return what calls an application's `wsgi` as it is then, with middleware that comes later."""
    return lambda environ, start_response: app.wsgi(environ, start_response)


def _refused(prefix: str, interface: str) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        raise RuntimeError(
            f"what is mounted at {prefix or '/'!r} speaks {interface.upper()}, and this "
            f"application is served by {'ASGI' if interface == 'wsgi' else 'WSGI'}: serve "
            f"{'app.wsgi' if interface == 'wsgi' else 'app'}, or mount it elsewhere"
        )

    return call
