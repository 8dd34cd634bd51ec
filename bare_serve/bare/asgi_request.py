"""A request, or the handshake of a WebSocket, out of an ASGI scope.

What lives here: where each fact stands in a scope. What must not: what is made of a fact
(request.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bare_serve.bare.request import Incoming, Request

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App


def path_below(scope: dict[str, Any]) -> str:
    """Return the path of a scope without what the application is mounted at; it begins with "/"."""
    path: str = scope["path"]
    if not (root := scope.get("root_path")):
        return path or "/"
    if path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    return path or "/"


class AsgiFacts(Incoming):
    """The facts of a scope, for `Request` and for WebSockets: see `Incoming`."""

    def __init__(self, scope: dict[str, Any], app: App | None, path_params: dict[str, Any]) -> None:
        """Keep a scope; nothing of it is read yet. A WebSocket may do without `app`."""
        self.scope = scope
        if app is not None:
            self.app = app
        self.path_params = path_params

    @property
    def method(self) -> str:  # type: ignore[override]
        """See `Incoming`; a handshake is a GET."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def path(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        return path_below(self.scope)

    @property
    def root_path(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        root: str = self.scope.get("root_path", "")
        return root

    @property
    def query_string(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        query: bytes = self.scope.get("query_string", b"")
        return query.decode("latin-1")

    @property
    def scheme(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        scheme: str = self.scope.get("scheme", "http")
        return scheme

    @property
    def client(self) -> tuple[str, int] | None:  # type: ignore[override]
        """See `Incoming`."""
        client = self.scope.get("client")
        return (client[0], client[1]) if client else None

    @property
    def state(self) -> dict[str, Any]:  # type: ignore[override]
        """See `Incoming`."""
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state

    @property
    def request_id(self) -> str | None:  # type: ignore[override]
        """The id that a middleware or a proxy has given the request."""
        return self.scope.get("request_id") or self.header("x-request-id") or None

    def _pairs(self) -> list[tuple[str, str]]:
        return [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in self.scope["headers"]
        ]

    def _server(self) -> str:
        server = self.scope.get("server") or ("localhost", None)
        host, port = server[0], server[1]
        usual = port in (None, {"http": 80, "https": 443}.get(self.scheme))
        return host if usual else f"{host}:{port}"


class AsgiRequest(AsgiFacts, Request):
    """A request out of a scope."""
