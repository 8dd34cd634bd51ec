"""A request out of a WSGI environ (PEP 3333).

What lives here: where each fact stands in an environ, and reading the body. What must not: what is
made of a fact (request.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bare_serve.bare.body import Body, declared_length
from bare_serve.bare.errors import BadRequest, ClientLeft
from bare_serve.bare.request import Request
from bare_serve.bare.sources import FORM

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App

_PIECE = 64 * 1024
_TYPED = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


def text_of(value: str) -> str:
    """Return text that PEP 3333 has as bytes in Latin-1; bytes that are not UTF-8 become U+FFFD."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


class WsgiRequest(Request):
    """The facts of an environ: see `Incoming`."""

    def __init__(self, environ: dict[str, Any], app: App, path_params: dict[str, Any]) -> None:
        """Keep an environ; nothing of it is read yet."""
        self.environ = environ
        self.app = app
        self.path_params = path_params

    @property
    def method(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        method: str = self.environ["REQUEST_METHOD"]
        return method

    @property
    def path(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        return text_of(self.environ.get("PATH_INFO", "")) or "/"

    @property
    def root_path(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        return text_of(self.environ.get("SCRIPT_NAME", ""))

    @property
    def query_string(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        query: str = self.environ.get("QUERY_STRING", "")
        return query

    @property
    def scheme(self) -> str:  # type: ignore[override]
        """See `Incoming`."""
        scheme: str = self.environ.get("wsgi.url_scheme", "http")
        return scheme

    @property
    def client(self) -> tuple[str, int] | None:  # type: ignore[override]
        """See `Incoming`."""
        host = self.environ.get("REMOTE_ADDR")
        return (host, int(self.environ.get("REMOTE_PORT") or 0)) if host else None

    @property
    def state(self) -> dict[str, Any]:  # type: ignore[override]
        """See `Incoming`."""
        state: dict[str, Any] | None = self.environ.get("bare.state")
        if state is None:
            state = self.environ["bare.state"] = {**self.app.lifespan_state}
        return state

    @property
    def request_id(self) -> str | None:  # type: ignore[override]
        """See `Incoming`."""
        return self.environ.get("request_id") or self.header("x-request-id") or None

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = [
            (key[5:].replace("_", "-").lower(), value)
            for key, value in self.environ.items()
            if key.startswith("HTTP_")
        ]
        pairs += [
            (name, self.environ[key]) for key, name in _TYPED.items() if self.environ.get(key)
        ]
        return pairs

    def _server(self) -> str:
        host, port = self.environ.get("SERVER_NAME", "localhost"), self.environ.get("SERVER_PORT")
        usual = port in (None, "", {"http": "80", "https": "443"}.get(self.scheme))
        return host if usual else f"{host}:{port}"


def read_body(request: WsgiRequest, need: int, limit: int) -> None:
    """Read what a call needs of the body: by its length, or to its end where the server marks one.

    Raises:
        ClientLeft: reading failed; its cause is the server's own exception.
        HTTPError: it is too large, broken off, or no form where one is needed.
    """
    environ = request.environ
    length = declared_length(environ.get("CONTENT_LENGTH") or "")
    if length is None and not environ.get("wsgi.input_terminated"):
        length = 0
    if (
        not length
        and need != FORM
        and request.method in ("GET", "HEAD", "OPTIONS")
        and "CONTENT_TYPE" not in environ
    ):
        return
    body = Body(request, need, limit, length)
    left = limit + 1 if length is None else length
    read = environ["wsgi.input"].read
    while left:
        try:
            piece = read(min(left, _PIECE))
        except OSError as error:
            raise ClientLeft from error
        if not piece:
            break
        left -= len(piece)
        body.feed(piece)
    if left and length is not None:
        raise BadRequest("The body is shorter than its Content-Length.", where="body")
    body.finish()
