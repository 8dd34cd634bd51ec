"""Where no route is: the answer says what there is instead.

What lives here: 404, 405 with Allow, OPTIONS, and the redirect to the same path with or without its
last slash. What must not: how routes are found (router.py). A redirect never leaves this host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from bare_serve.bare.errors import HTTPError, NotFound
from bare_serve.bare.failures import answer_failure
from bare_serve.bare.response import RedirectResponse, Response

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App
    from bare_serve.bare.request import Request

_QUERY = "/?:@!$&'()*+,;=%~[]"
"""What stands in a query as it is."""


async def missed(app: App, request: Request) -> Response:
    """Return the response to a request without a route; it waits for async error handlers only."""
    method, path = request.method, request.path
    allowed = app.router.allowed(path)
    if allowed:
        allow = ", ".join(sorted({*allowed, "OPTIONS"}))
        if method == "OPTIONS":
            return Response(None, 204, {"allow": allow})
        error: HTTPError = HTTPError(405, headers={"allow": allow})
    elif (other := _other_slash(app, method, path)) is not None:
        # A query may hold what no redirect may, such as a backslash.
        query = "?" + quote(request.query_string, _QUERY, "latin-1") if request.query_string else ""
        return RedirectResponse(quote(request.root_path + other) + query, 308)
    else:
        error = NotFound()
    answer = answer_failure(app, request, error)
    return answer if isinstance(answer, Response) else await answer


def _other_slash(app: App, method: str, path: str) -> str | None:
    """Return the path with a slash more or less at its end, if a route has that one.

    A path that begins with two slashes would be taken for another host (RFC 3986, 4.2).
    """
    other = path[:-1] if path.endswith("/") else path + "/"
    if other.startswith("//") or not other:
        return None
    found = app.router.find(method, other)
    return other if found is not None and found[0].method != "*" else None
