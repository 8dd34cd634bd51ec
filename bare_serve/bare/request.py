"""A request is what it says: facts of an environ or a scope, read when they are asked for.

What lives here: what handlers see of a request (`Request`), and what it shares with the handshake
of a WebSocket (`Incoming`). What must not: where the facts come from (asgi.py, wsgi.py), and how
long a body may be (body.py). A request is distrusted: what cannot be decoded is a 400.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, quote

from bare_serve.bare.cookies import parse_cookies
from bare_serve.bare.errors import BadRequest, UnsupportedMediaType
from bare_serve.bare.fields import Headers

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from bare_serve.bare.interfaces import App

MOST_QUERY_FIELDS = 1000


class Incoming:
    """What a request and the handshake of a WebSocket have in common.

    Attributes:
        app: the `Bare` that serves it.
        path_params: what the route found in the path, converted.
        method: such as "GET".
        path: decoded, without what the application is mounted at.
        root_path: what it is mounted at, such as "/api", or "".
        query_string: as it was sent.
        scheme: "http" or "https" ("ws" or "wss").
        client: address and port of the client; None where there is none, as on a unix socket.
        state: a dictionary of this request; it begins with what the lifespan has yielded.
        request_id: the id that a middleware, or a proxy, has given it.
    """

    app: App
    path_params: dict[str, Any]
    method: str
    path: str
    root_path: str
    query_string: str
    scheme: str
    client: tuple[str, int] | None
    state: dict[str, Any]
    request_id: str | None
    _headers: Headers | None = None
    _query: dict[str, list[str]] | None = None
    _cookies: dict[str, str] | None = None

    def _pairs(self) -> list[tuple[str, str]]:
        """Return the names, in lower case, and the values of all fields."""
        raise NotImplementedError

    def _server(self) -> str:
        """Return host and port for requests that name none."""
        raise NotImplementedError

    @property
    def headers(self) -> Headers:
        """The fields, by name in any case."""
        if self._headers is None:
            self._headers = Headers(self._pairs())
        return self._headers

    def header(self, name: str, default: str = "") -> str:
        """Return the value of a field, or `default` without one."""
        return self.headers.get(name, default)

    @property
    def content_type(self) -> str:
        """The Content-Type field, or ""."""
        return self.header("content-type")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, as they were sent: see `signed_cookie` for those of your own."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.header("cookie"))
        return self._cookies

    def signed_cookie(self, name: str, *, max_age: float | None = None) -> str | None:
        """Return the text of a cookie that `Response.set_cookie(..., signed=app.signer)` has set.

        None if there is none, if it is forged, or older than `max_age` seconds.

        Raises:
            RuntimeError: the application was made without `secret`.
        """
        given = self.cookies.get(name)
        signer = self.app.signer
        return None if given is None else signer.read(name, given, max_age=max_age)

    @property
    def query_params(self) -> dict[str, list[str]]:
        """The values of each name in the query.

        Raises:
            BadRequest: it is no UTF-8, or has more than 1,000 fields.
        """
        if self._query is None:
            try:
                self._query = parse_qs(
                    self.query_string,
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=MOST_QUERY_FIELDS,
                )
            except ValueError:
                raise BadRequest("The query cannot be decoded.", where="query") from None
        return self._query

    def query(self, name: str, default: str = "") -> str:
        """Return the first value of `name` in the query, or `default`."""
        values = self.query_params.get(name)
        return values[0] if values else default

    @property
    def host(self) -> str:
        """The host that was asked, with its port if it is not the usual one."""
        return self.header("host") or self._server()

    @property
    def url(self) -> str:
        """The whole URL, quoted (RFC 3986): mount, path and query included."""
        query = f"?{self.query_string}" if self.query_string else ""
        return f"{self.scheme}://{self.host}{quote(self.root_path + self.path)}{query}"

    def __repr__(self) -> str:
        name = type(self).__name__.removeprefix("Asgi").removeprefix("Wsgi")
        return f"<{name} {self.method} {self.path}>"


class Request(Incoming):
    """One request, as a handler gets it by a parameter annotated `Request` or named `request`.

    Attributes:
        content: the body, whole; the framework has read it before the call, up to `max_body`.
        form: the form in the place of the body, if the handler declares one.
        later: what `background` was asked for.
        has_end: whether something follows the answer.
    """

    content: bytes = b""
    form: Any = None
    later: list[Callable[[], Any]] | None = None
    has_end: bool = False

    async def body(self) -> bytes:
        """Return `content`; this and the next two are awaited where `content` is not."""
        return self.content

    async def text(self) -> str:
        """Return the body as text; BadRequest if it is no UTF-8."""
        return decode_text(self.content)

    async def json(self) -> Any:
        """Return the body's JSON; BadRequest if it is none."""
        return decode_json(self.content)

    def background(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `function` after the answer is sent: `def` in a thread, `async def` on the loop.

        The server waits for it when it stops, within its grace; an exception is logged. A request
        that fails starts nothing.
        """
        from functools import partial

        if self.later is None:
            self.later = []
            self.has_end = True
        self.later.append(partial(function, *args, **kwargs))


def decode_text(content: bytes) -> str:
    """Return a body as text; BadRequest if it is no UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The body is not UTF-8: byte {error.start} cannot be decoded.", where="body"
        ) from None


def decode_json(content: bytes) -> Any:
    """Return the value of a JSON body; BadRequest if it is none (RFC 8259)."""
    text = decode_text(content)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}", where="body") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON (RFC 8259, 6)")


def check_json_type(content_type: str) -> None:
    """Raise UnsupportedMediaType unless a Content-Type is JSON's (application/json, .../x+json)."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise UnsupportedMediaType(
            f"The body must be application/json, not {kind or 'of no type'}.", where="content-type"
        )
