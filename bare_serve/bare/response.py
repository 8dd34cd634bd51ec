"""A response is a status, fields and a body, sound from the moment it is made.

What lives here: the response classes, what becomes of the answer of a handler (`to_response`), and
the heads that both interfaces send. What must not: how bytes get to a server (asgi.py, wsgi.py). A
field that would split the response is refused where it is set, in the handler that sets it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from types import AsyncGeneratorType, GeneratorType
from urllib.parse import quote

from bare_serve.bare.cookies import format_cookie
from bare_serve.bare.errors import phrase
from bare_serve.bare.fields import check_name, check_value
from bare_serve.bare.jsons import dump_json

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from bare_serve.bare.cookies import Signer

    Fields = Mapping[str, str] | Iterable[tuple[str, str]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BODILESS = frozenset((204, 205, 304))
_types: dict[str, tuple[bytes, bytes]] = {}


class Response:
    """A body that is known as a whole. `response.status` may be changed until it is sent."""

    __slots__ = ("_fields", "content", "content_type", "status")
    is_whole = True
    """Whether `content` is the body."""

    def __init__(
        self,
        body: str | bytes | None = None,
        status: int = 200,
        headers: Fields | None = None,
        content_type: str = TEXT,
    ) -> None:
        """Make a response; `headers` is a mapping, or pairs where a name repeats.

        Raises:
            TypeError: the body is neither text nor bytes.
            ValueError: the status is none, or a field may not be sent.
        """
        if isinstance(body, str):
            self.content = body.encode("utf-8")
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self.content = bytes(body)
        elif body is None:
            self.content = b""
        else:
            raise TypeError(f"a body is str or bytes, not {type(body).__name__}: JSONResponse?")
        if not (isinstance(status, int) and 200 <= status <= 599):
            raise ValueError(f"a status is a number from 200 to 599, not {status!r}")
        self.status = status
        known = content_type is TEXT or content_type is JSON or content_type is HTML
        self.content_type = content_type if known else check_value("content-type", content_type)
        self._fields: list[tuple[str, str]] = []
        if headers:
            for name, value in headers.items() if isinstance(headers, Mapping) else headers:
                self.add_header(name, value)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields beside Content-Length, in order, names in lower case."""
        head = [] if self.status in BODILESS else [("content-type", self.content_type)]
        return head + self._fields

    def set_header(self, name: str, value: str) -> Response:
        """Set a field in the place of all with its name; ValueError if it may not be sent."""
        lower = check_name(name).lower()
        self._fields = [field for field in self._fields if field[0] != lower]
        return self.add_header(name, value)

    def add_header(self, name: str, value: str) -> Response:
        """Add a field beside those with the same name; ValueError if it may not be sent."""
        lower = check_name(name).lower()
        check_value(name, value)
        if lower == "content-type":
            self.content_type = value
        elif lower == "content-length":
            raise ValueError("the body decides its Content-Length")
        else:
            self._fields.append((lower, value))
        return self

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        signed: Signer | None = None,
        httponly: bool | None = None,
        samesite: str | None = None,
        **attributes: Any,
    ) -> Response:
        """Add a cookie: HttpOnly, SameSite=Lax and Path=/ if nothing else is said.

        Args:
            name: a token.
            value: visible ASCII; any text if it is `signed`.
            signed: `app.signer`, which `Request.signed_cookie` reads with.
            httponly: another name of `http_only`.
            samesite: another name of `same_site`.
            attributes: max_age, path, domain, secure, http_only, same_site: see `format_cookie`.

        Raises:
            ValueError: browsers would refuse the cookie, or not send it back as it is.
        """
        if httponly is not None:
            attributes["http_only"] = httponly
        if samesite is not None:
            attributes["same_site"] = samesite
        if signed is not None:
            value = signed.sign(name, value)
        self._fields.append(("set-cookie", format_cookie(name, value, **attributes)))
        return self

    def delete_cookie(self, name: str, **attributes: Any) -> Response:
        """Have the browser forget a cookie; `path` and `domain` are those it was set with."""
        return self.set_cookie(name, "", max_age=0, **attributes)

    def wsgi_head(self) -> list[tuple[str, str]]:
        """Return all fields, as `start_response` takes them."""
        if self.status in BODILESS:
            return [*self._fields]  # middleware may add to it
        length = ("content-length", str(len(self.content)))
        return [("content-type", self.content_type), length, *self._fields]

    def asgi_head(self) -> list[tuple[bytes, bytes]]:
        """Return all fields, as `http.response.start` takes them."""
        fields: list[tuple[bytes, bytes]] = []
        if self._fields:  # mostly there are none
            fields = [(name.encode(), value.encode("latin-1")) for name, value in self._fields]
        if self.status in BODILESS:
            return fields
        return [
            type_field(self.content_type),
            (b"content-length", b"%d" % len(self.content)),
            *fields,
        ]

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send the response to an ASGI server; to HEAD without its body."""
        await send(
            {"type": "http.response.start", "status": self.status, "headers": self.asgi_head()}
        )
        body = b"" if head_only or self.status in BODILESS else self.content
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {phrase(self.status)}>"


class JSONResponse(Response):
    """A value as JSON: what `json` knows, dataclasses, rows, dates, UUIDs, decimals, enums."""

    __slots__ = ()

    def __init__(self, data: Any, status: int = 200, headers: Fields | None = None) -> None:
        """See `Response`; TypeError and ValueError as `json.dumps` raises them."""
        super().__init__(dump_json(data), status, headers, JSON)


class HTMLResponse(Response):
    """A page. Text of others' must be escaped by `html.escape`, or by a template engine."""

    __slots__ = ()

    def __init__(self, html: str, status: int = 200, headers: Fields | None = None) -> None:
        """See `Response`."""
        super().__init__(html, status, headers, HTML)


class RedirectResponse(Response):
    """Another address: 302, or 303 after a POST whose result is elsewhere, or 301, 307, 308."""

    __slots__ = ()

    def __init__(self, location: str, status: int = 302, *, external: bool = False) -> None:
        """Redirect to a path of this host, or to any URL if `external` says that this is meant.

        Raises:
            ValueError: the location leads to another host, or holds control characters.
        """
        quoted = quote(location, safe="/:?#[]@!$&'()*+,;=%~")
        local = location.startswith("/") and location[1:2] not in ("/", "\\")
        if not (local or external) or "\\" in location or any(char < " " for char in location):
            raise ValueError(
                f"a redirect leads to a path such as '/login', not {location!r}: "
                "external=True allows another host"
            )
        super().__init__(None, status, [("location", quoted)])


class StreamResponse(Response):
    """A body in pieces: each is sent when the iterator gives it.

    The iterator is closed in any case: at its end, at an error, when the client leaves or the
    server stops. What providers have open stays open until then.
    """

    __slots__ = ("after", "pieces")
    is_whole = False

    def __init__(
        self,
        pieces: Iterable[bytes | str] | AsyncIterable[bytes | str],
        status: int = 200,
        headers: Fields | None = None,
        content_type: str = "application/octet-stream",
    ) -> None:
        """See `Response`; text is sent as UTF-8. TypeError if `pieces` is no iterable."""
        super().__init__(None, status, headers, content_type)
        if isinstance(pieces, (str, bytes)) or not (
            hasattr(pieces, "__aiter__") or hasattr(pieces, "__iter__")
        ):
            raise TypeError(f"a stream needs an iterable of pieces, not {type(pieces).__name__}")
        self.pieces = pieces
        self.after: Callable[[BaseException | None], Awaitable[None] | None] | None = None

    def wsgi_head(self) -> list[tuple[str, str]]:
        """See `Response.wsgi_head`; the length is not known."""
        return self.headers

    def asgi_head(self) -> list[tuple[bytes, bytes]]:
        """See `Response.asgi_head`; the length is not known."""
        return [(name.encode(), value.encode("latin-1")) for name, value in self.wsgi_head()]


def _made(content: bytes, content_type: str) -> Response:
    """Return a response of parts that need no check."""
    response = Response.__new__(Response)
    response.content = content
    response.status = 200
    response.content_type = content_type
    response._fields = []
    return response


def type_field(content_type: str) -> tuple[bytes, bytes]:
    """Return a Content-Type field; the usual ones are made once."""
    field = _types.get(content_type)
    if field is None:
        field = b"content-type", check_value("content-type", content_type).encode("latin-1")
        if len(_types) < 64:
            _types[content_type] = field
    return field


def to_response(answer: Any) -> Response:
    """Return what a handler's answer stands for.

    str is text, dict, list and other values are JSON, bytes are bytes, None is 204, and a generator
    is a stream of text or bytes.

    Raises:
        TypeError: the answer is nothing that can be sent.
    """
    kind = type(answer)
    if kind is dict or kind is list:
        return _made(dump_json(answer), JSON)
    if kind is str:
        return _made(answer.encode("utf-8"), TEXT)
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(status=204)
    if isinstance(answer, str):
        return Response(answer)
    if isinstance(answer, (bytes, bytearray, memoryview)):
        return Response(bytes(answer), content_type="application/octet-stream")
    if isinstance(answer, (GeneratorType, AsyncGeneratorType)):
        return StreamResponse(answer, content_type=TEXT)
    return JSONResponse(answer)
