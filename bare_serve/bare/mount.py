"""A mount: another application below a prefix, which sees the rest of the path as its own.

What lives here: how scope and environ change on the way into it. What must not: which paths lead to
a mount (router.py). A prefix ends at a slash: `/api` takes `/api` and `/api/x`, never `/apiv2`.
"""

from __future__ import annotations

from typing import Any

from bare_serve.app.detect import detect
from bare_serve.bare.router import ANY, Route
from bare_serve.errors import AppLoadError


def mount(app: Any, prefix: str, target: Any, make: type[Any]) -> None:
    """Mount a `Bare`, an ASGI or WSGI application, or a policy that answers, as a static folder.

    `make` is the class `Bare`.

    Raises:
        TypeError: the target is none of these.
        ValueError: the prefix has parameters, does not begin with "/", or is taken.
    """
    route = Route(ANY, prefix.rstrip("/") or prefix, "app.mount()")
    if callable(getattr(target, "begin", None)):
        # Where the policy does not answer there is nothing, as the errors of `app` have it.
        policy, target = target, make(debug=app.debug)
        target.errors = app.errors
        target.add_middleware(policy)
    if isinstance(target, make):
        asgi, wsgi = target, target.wsgi
    else:
        asgi, wsgi = _by_interface(target, prefix)
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
    app.router.add(route)
    if isinstance(target, make) and target not in app.children:
        target.parent = app
        app.children.append(target)


def _by_interface(target: Any, prefix: str) -> tuple[Any, Any]:
    """Return what is called by ASGI and by WSGI; one of the two only says that it cannot be."""
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
