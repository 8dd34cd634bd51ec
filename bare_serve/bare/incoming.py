"""What comes in is what it says: facts of a scope or an environ, each read when it is asked for.

What lives here: where the two interfaces have each fact, and what a request and the handshake of a
WebSocket have in common (`Incoming`). What must not: bodies (request.py). A request is distrusted:
what cannot be decoded is a 400.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs, quote

from bare_serve.bare.errors import BadRequest
from bare_serve.bare.fields import Headers, parse_cookies

MOST_QUERY_FIELDS = 1000
_PORTS = {"http": "80", "https": "443"}


def path_below(scope: dict[str, Any]) -> str:
    """Return the path of a scope without what the application is mounted at; it begins with "/"."""
    path: str = scope["path"]
    if (root := scope.get("root_path")) and path.startswith(root):
        if path[len(root) : len(root) + 1] in ("", "/"):
            path = path[len(root) :]
    return path or "/"


def path_info(environ: dict[str, Any], key: str = "PATH_INFO") -> str:
    """Return a path that PEP 3333 has as Latin-1; bytes that are not UTF-8 become U+FFFD."""
    text: str = environ.get(key, "")
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def _query(scope: dict[str, Any]) -> str:
    return scope.get("query_string", b"").decode("latin-1")  # type: ignore[no-any-return]


def _client_of_scope(scope: dict[str, Any]) -> tuple[str, int] | None:
    return (*scope["client"],) if scope.get("client") else None


def _client(environ: dict[str, Any]) -> tuple[str, int] | None:
    host = environ.get("REMOTE_ADDR")
    return (host, int(environ.get("REMOTE_PORT") or 0)) if host else None


def _server(environ: dict[str, Any]) -> tuple[Any, Any]:
    return environ.get("SERVER_NAME"), environ.get("SERVER_PORT")


def _fields_of_scope(scope: dict[str, Any]) -> Headers:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Headers((name.lower(), value) for name, value in pairs)


def _fields_of_environ(environ: dict[str, Any]) -> Headers:
    typed = [key for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)]
    keys = [*typed, *(key for key in environ if key.startswith("HTTP_"))]
    return Headers(
        (key.removeprefix("HTTP_").replace("_", "-").lower(), environ[key]) for key in keys
    )


def _or(key: str, default: Any) -> Callable[[Any], Any]:
    return lambda raw: raw.get(key) or default


class _Fact:
    """An attribute out of a scope or an environ, read when it is first asked for, and then kept."""

    def __init__(self, of_scope: Callable[[Any], Any], of_environ: Callable[[Any], Any]) -> None:
        self._of_scope, self._of_environ = of_scope, of_environ

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, incoming: Incoming, owner: type) -> Any:
        read = self._of_scope if "type" in incoming.raw else self._of_environ
        value = vars(incoming)[self._name] = read(incoming.raw)
        return value


Fact: Any = _Fact  # for attributes whose types are said


class Incoming:
    """What a request and the handshake of a WebSocket have in common.

    Attributes:
        raw: the scope or the environ.
        app: the `Bare` that serves it.
        path_params: what the route found in the path, converted.
        method: such as "GET".
        path: decoded, without what the application is mounted at.
        root_path: what it is mounted at, such as "/api", or "".
        query_string: as it was sent.
        scheme: "http" or "https" ("ws" or "wss").
        client: address and port of the client; None where there is none, as on a unix socket.
        server: host and port for requests that name none.
        headers: the fields, by name in any case.
        provided: what providers have given.
    """

    method: str = Fact(_or("method", "GET"), itemgetter("REQUEST_METHOD"))
    path: str = Fact(path_below, lambda environ: path_info(environ) or "/")
    root_path: str = Fact(_or("root_path", ""), lambda environ: path_info(environ, "SCRIPT_NAME"))
    query_string: str = Fact(_query, _or("QUERY_STRING", ""))
    scheme: str = Fact(_or("scheme", "http"), _or("wsgi.url_scheme", "http"))
    client: tuple[str, int] | None = Fact(
        lambda scope: scope.get("client") and (*scope["client"],), _client
    )
    server: tuple[str, Any] = Fact(_or("server", ("localhost", "")), _server)
    headers: Headers = Fact(_fields_of_scope, _fields_of_environ)
    provided: dict[Any, Any]

    def __init__(self, raw: dict[str, Any], app: Any, path_params: dict[str, Any]) -> None:
        """Keep a scope or an environ; nothing of it is read yet."""
        self.raw = raw
        self.app: Any = app
        self.path_params = path_params

    def header(self, name: str, default: str = "") -> str:
        """Return the value of a field, or `default` without one."""
        return str(self.headers.get(name, default))

    @property
    def content_type(self) -> str:
        """The Content-Type field, or ""."""
        return self.header("content-type")

    @property
    def request_id(self) -> str | None:
        """The id that a middleware, or a proxy, has given it."""
        return self.raw.get("request_id") or self.header("x-request-id") or None

    @property
    def state(self) -> dict[str, Any]:
        """A dictionary of this request; it begins with what the lifespan has yielded."""
        if "type" in self.raw:
            return self.raw.setdefault("state", {})  # type: ignore[no-any-return]
        return self.raw.setdefault("bare.state", {**self.app.lifespan_state})  # type: ignore[no-any-return]

    @cached_property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, as they were sent: see `signed_cookie` for those of your own."""
        return parse_cookies(self.header("cookie"))

    def signed_cookie(self, name: str, *, max_age: float | None = None) -> str | None:
        """Return the text of a cookie that `Response.set_cookie(..., signed=app.signer)` has set.

        None if there is none, if it is forged, or older than `max_age` seconds.

        Raises:
            RuntimeError: the application was made without `secret`.
        """
        given, signer = self.cookies.get(name), self.app.signer
        return None if given is None else signer.read(name, given, max_age=max_age)

    @cached_property
    def query_params(self) -> dict[str, list[str]]:
        """The values of each name in the query.

        Raises:
            BadRequest: it is no UTF-8, or has more than 1,000 fields.
        """
        text, most = self.query_string, MOST_QUERY_FIELDS
        try:
            return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=most)
        except ValueError:
            raise BadRequest("The query cannot be decoded.", where="query") from None

    def query(self, name: str, default: str = "") -> str:
        """Return the first value of `name` in the query, or `default`."""
        return self.query_params.get(name, [default])[0]

    @property
    def host(self) -> str:
        """The host that was asked, with its port if it is not the usual one."""
        name, port = self.server
        usual = str(port or "") in ("", _PORTS.get(self.scheme))
        return self.header("host") or (name if usual else f"{name}:{port}")

    @property
    def url(self) -> str:
        """The whole URL, quoted (RFC 3986): mount, path and query included."""
        query = f"?{self.query_string}" if self.query_string else ""
        return f"{self.scheme}://{self.host}{quote(self.root_path + self.path)}{query}"
