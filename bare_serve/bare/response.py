"""A response is a status, fields and a body, sound from the moment it is made; it sends itself.

What lives here: the response classes, how each is sent by ASGI and by WSGI, and the JSON of an
answer, which is always JSON: UTF-8, no NaN, and values of the standard library as text. What must
not: which thread or loop that runs on (asgi.py, wsgi.py). A field that would split the response is
refused where it is set, in the handler that sets it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from bare_serve.bare.errors import phrase
from bare_serve.bare.fields import Signer, checked, format_cookie

Body = str | bytes | None
Pairs = list[tuple[str, str]]
Fields = Mapping[str, str] | Iterable[tuple[str, str]] | None

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
BODILESS = frozenset((204, 205, 304))


class Response:
    """A body that is known as a whole. `response.status` may be changed until it is sent."""

    is_stream = is_async = False
    after: Any = None
    """What runs the rest of the providers behind a stream."""

    def __init__(
        self, body: Body = None, status: int = 200, headers: Fields = None, content_type: str = TEXT
    ) -> None:
        """Make a response; `headers` is a mapping, or pairs where a name repeats.

        Raises:
            TypeError: the body is neither text nor bytes.
            ValueError: the status is none, or a field may not be sent.
        """
        if not isinstance(body, (str, bytes)) and body is not None:
            raise TypeError(f"a body is str or bytes, not {type(body).__name__}: JSONResponse?")
        if not (isinstance(status, int) and 200 <= status <= 599):
            raise ValueError(f"a status is a number from 200 to 599, not {status!r}")
        self.content = body.encode("utf-8") if isinstance(body, str) else body or b""
        self.status = status
        self.content_type = content_type
        if content_type is not TEXT and content_type is not JSON:
            checked("content-type", content_type)
        self._fields: Pairs = []
        if headers:
            for name, value in headers.items() if isinstance(headers, Mapping) else headers:
                self.add_header(name, value)

    @property
    def headers(self) -> Pairs:
        """The fields beside Content-Length, in order, names in lower case."""
        head = [] if self.status in BODILESS else [("content-type", self.content_type)]
        return head + self._fields

    def set_header(self, name: str, value: str) -> Response:
        """Set a field in the place of all with its name; ValueError if it may not be sent."""
        self._fields = [field for field in self._fields if field[0] != name.lower()]
        return self.add_header(name, value)

    def add_header(self, name: str, value: str) -> Response:
        """Add a field beside those with the same name; ValueError if it may not be sent."""
        lower = checked(name, value)
        if lower == "content-type":
            self.content_type = value
        elif lower == "content-length":
            raise ValueError("the body decides its Content-Length")
        else:
            self._fields.append((lower, value))
        return self

    def set_cookie(
        self, name: str, value: str, *, signed: Signer | None = None, **attributes: Any
    ) -> Response:
        """Add a cookie: HttpOnly, SameSite=Lax and Path=/ if nothing else is said.

        Args:
            name: a token.
            value: visible ASCII; any text if it is `signed`.
            signed: `app.signer`, which `Request.signed_cookie` reads with.
            attributes: max_age, path, domain, secure, http_only, same_site: see `format_cookie`.

        Raises:
            ValueError: browsers would refuse the cookie, or not send it back as it is.
        """
        value = value if signed is None else signed.sign(name, value)
        self._fields.append(("set-cookie", format_cookie(name, value, **attributes)))
        return self

    def delete_cookie(self, name: str, **attributes: Any) -> Response:
        """Have the browser forget a cookie; `path` and `domain` are those it was set with."""
        return self.set_cookie(name, "", max_age=0, **attributes)

    def head(self) -> Pairs:
        """Return all fields, as `start_response` takes them."""
        if self.status in BODILESS:
            return [*self._fields]  # middleware may add to it
        length = ("content-length", str(len(self.content)))
        return [("content-type", self.content_type), length, *self._fields]

    def start(self) -> dict[str, Any]:
        """Return the event of the head, as an ASGI server takes it."""
        fields = [(name.encode(), value.encode("latin-1")) for name, value in self.head()]
        return {"type": "http.response.start", "status": self.status, "headers": fields}

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Send the response to an ASGI server; to HEAD without its body."""
        await send(self.start())
        bodiless = scope["method"] == "HEAD" or self.status in BODILESS
        body = b"" if bodiless else self.content
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def wsgi(self, environ: Any, start_response: Any, run: Any, on_loop: Any) -> Iterable[bytes]:
        """Start the response, and return its body.

        `run` runs coroutines where the call has run, `on_loop` on an event loop.
        """
        start_response(f"{self.status} {phrase(self.status)}", self.head())
        bodiless = environ["REQUEST_METHOD"] == "HEAD" or self.status in BODILESS
        return [] if bodiless else [self.content]


class JSONResponse(Response):
    """A value as JSON: what `json` knows, dataclasses, rows, dates, UUIDs, decimals."""

    def __init__(self, data: Any, status: int = 200, headers: Fields = None) -> None:
        """See `Response`; TypeError and ValueError as `json.dumps` raises them."""
        super().__init__(dump_json(data), status, headers, JSON)


class HTMLResponse(Response):
    """A page. Text of others' must be escaped by `html.escape`, or by a template engine."""

    def __init__(self, html: str, status: int = 200, headers: Fields = None) -> None:
        """See `Response`."""
        super().__init__(html, status, headers, HTML)


class RedirectResponse(Response):
    """Another address: 302, or 303 after a POST whose result is elsewhere, or 301, 307, 308."""

    def __init__(self, location: str, status: int = 302, *, external: bool = False) -> None:
        """Redirect to a path of this host, or to any URL if `external` says that this is meant.

        Raises:
            ValueError: the location leads to another host, or holds control characters.
        """
        local = location.startswith("/") and not location.startswith("//")
        if not (local or external) or "\\" in location or any(char < " " for char in location):
            raise ValueError(
                f"a redirect leads to a path such as '/login', not {location!r}: "
                "external=True allows another host"
            )
        location = quote(location, safe="/:?#[]@!$&'()*+,;=%~")
        super().__init__(None, status, [("location", location)])


def _default(value: Any) -> Any:
    """Return what stands for a value that `json` does not know."""
    kind = type(value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if kind.__module__ in ("datetime", "decimal", "uuid"):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if hasattr(value, "keys"):  # a mapping, and a row of sqlite3
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - a row iterates values
    raise TypeError(f"a value of type {kind.__name__} has no JSON: {value!r:.80}")


_encode = json.JSONEncoder(
    default=_default, ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


def dump_json(data: Any) -> bytes:
    """Return `data` as JSON in UTF-8.

    Raises:
        TypeError: it holds a value without JSON.
        ValueError: it holds NaN or an infinity, or itself.
    """
    # Half of a surrogate pair, as a client may send it escaped, is escaped again.
    return _encode(data).encode("utf-8", "backslashreplace")
