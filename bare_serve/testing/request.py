"""A request, from the arguments of a test to the head that a server would have read.

What lives here: URLs, fields, bodies, and what a redirect makes of a request (RFC 9110, 15.4).
What must not: the application, and cookies that an answer sets.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from bare_serve.http import Field, RequestHead
from bare_serve.http.fields import check_field
from bare_serve.testing.forms import URLENCODED, Values, json_bytes, multipart, urlencoded

HeaderValues = Mapping[str, str] | Iterable[tuple[str, str]]
Content = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
Body = bytes | Iterable[bytes] | AsyncIterable[bytes]

REDIRECTS = frozenset((301, 302, 303, 307, 308))

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# What may stand in a target as it is; "%" begins what is encoded already.
_TO_QUOTE = re.compile(r"[^!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")
_SAFE = "!$%&'()*+,-./:;=?@[]_~"


class Defaults:
    """What each request of a client has in common."""

    __slots__ = ("client", "fields", "host", "root_path", "scheme")

    def __init__(
        self,
        scheme: str,
        host: str,
        client: tuple[str, int],
        root_path: str,
        headers: HeaderValues | None,
    ) -> None:
        if scheme not in ("http", "https"):
            raise ValueError(f"scheme must be 'http' or 'https', not {scheme!r}")
        if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
            raise ValueError(f"root_path begins with a slash and ends with none, not {root_path!r}")
        self.scheme = scheme
        self.host = host
        self.client = client
        self.root_path = root_path
        own = [(b"user-agent", b"bare-serve-testing"), (b"accept", b"*/*")]
        self.fields = with_fields(own, headers)


class Request:
    """One request, ready for either interface."""

    __slots__ = ("body", "head", "host", "method", "path", "scheme")

    def __init__(
        self, method: str, scheme: str, host: str, target: str, fields: list[Field], body: Body
    ) -> None:
        """`target`: path and query, encoded; `fields`: without Host and those of the body."""
        self.method = method
        self.scheme = scheme
        self.host = host
        self.body = body
        head = RequestHead(method.encode("ascii"), target.encode("ascii"), "1.1", fields)
        path, _, query = head.target.partition(b"?")
        head.raw_path = path
        head.query = query
        self.path = path.decode("ascii")
        if type(body) is not bytes:
            head.has_body = head.chunked = True
            fields.append((b"transfer-encoding", b"chunked"))
        elif body or method in ("POST", "PUT", "PATCH"):  # RFC 9110, 8.6
            head.has_body = bool(body)
            head.content_length = len(body)
            fields.append((b"content-length", b"%d" % len(body)))
        self.head = head

    @property
    def url(self) -> str:
        """The whole of it, as sent."""
        return f"{self.scheme}://{self.host}{self.head.target.decode('ascii')}"

    @property
    def server(self) -> tuple[str, int]:
        """The host and port that the request is for."""
        return _server(self.scheme, self.host)

    @property
    def host_name(self) -> str:
        """The host, without a port, for cookies."""
        host = self.host
        return host.lower() if ":" not in host else self.server[0]

    def __str__(self) -> str:
        return f"{self.method} {self.head.target.decode('ascii')}"


@lru_cache
def _encoded_host(host: str) -> bytes:
    return host.encode("ascii" if host.isascii() else "idna")


@lru_cache
def _server(scheme: str, host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or _PORTS[scheme]


def build(
    defaults: Defaults,
    method: str,
    url: str,
    *,
    params: Values | None = None,
    headers: HeaderValues | None = None,
    content: Content | None = None,
    json: Any = None,
    data: Values | None = None,
    files: Values | None = None,
) -> Request:
    """Return the request that these arguments describe.

    Raises:
        ValueError, TypeError: one of them cannot be sent; the message says which.
    """
    scheme, host, target = locate(defaults, url)
    if params is not None and (query := urlencoded(params)):
        target += ("&" if "?" in target else "?") + query
    body: Body = b""
    content_type = ""
    if content is not None or json is not None or data is not None or files is not None:
        body, content_type = _body(content, json, data, files)
    fields = [(b"host", _encoded_host(host)), *defaults.fields]
    if content_type:
        fields.append((b"content-type", content_type.encode("latin-1")))
    if headers is not None:
        fields = with_fields(fields, headers)
        _refuse_framing(fields)
    return Request(method.upper(), scheme, host, target, fields, body)


def locate(defaults: Defaults, url: str) -> tuple[str, str, str]:
    """Return scheme, host and encoded target of a path or a whole URL; ValueError for others."""
    target, scheme, host = url, defaults.scheme, defaults.host
    if not url.startswith("/") and url != "*":
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.netloc:
            raise ValueError(f"a path begins with '/', and a URL with 'http://', not {url!r}")
        scheme = parts.scheme.replace("ws", "http")
        host = parts.netloc.rpartition("@")[2]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if "#" in target:
        target = target.partition("#")[0]
    if _TO_QUOTE.search(target):
        target = quote(target, safe=_SAFE)
    return scheme, host, target


def with_fields(fields: list[Field], headers: HeaderValues | None) -> list[Field]:
    """Return `fields` with those of `headers`, which replace what has their name.

    Raises:
        ValueError, TypeError: a name or a value cannot be sent.
    """
    if headers is None:
        return fields
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    added = [(_encoded(name).lower(), _encoded(value)) for name, value in pairs]
    for field in added:
        check_field(*field)
    replaced = {name for name, _ in added}
    return [field for field in fields if field[0] not in replaced] + added


def redirected(request: Request, status: int, location: str) -> Request:
    """Return the request that follows a redirect (RFC 9110, 15.4).

    Raises:
        ValueError: it leads out of HTTP, or wants a body again that is not there any more.
    """
    url = urljoin(request.url, location)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{request} was redirected to {url!r}, which is not HTTP")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = quote(target, safe=_SAFE) if _TO_QUOTE.search(target) else target
    host = parts.netloc.rpartition("@")[2]
    method, body = request.method, request.body
    dropped = {b"host", b"content-length", b"transfer-encoding", b"cookie"}
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        dropped.add(b"content-type")
    if type(body) is not bytes:
        raise ValueError(f"{request} was redirected, and its body was an iterator: give bytes")
    if (parts.scheme, host) != (request.scheme, request.host):
        dropped.add(b"authorization")
    fields = [field for field in request.head.headers if field[0] not in dropped]
    fields.insert(0, (b"host", _encoded_host(host)))
    return Request(method, parts.scheme, host, target, fields, body)


def _body(
    content: Content | None, json: Any, data: Values | None, files: Values | None
) -> tuple[Body, str]:
    given = {"content": content, "json": json, "data": data if files is None else None}
    named = [name for name, value in given.items() if value is not None]
    named += ["files"] if files is not None else []
    if len(named) > 1:
        raise TypeError(f"a request has one body, but {' and '.join(named)} were given")
    if json is not None:
        return json_bytes(json), "application/json"
    if files is not None:
        return multipart(data, files)
    if data is not None:
        if type(data).__name__ in ("str", "bytes"):
            raise TypeError("data= makes a form of names and values; content= takes str and bytes")
        return urlencoded(data).encode("ascii"), URLENCODED
    if isinstance(content, str):
        return content.encode("utf-8"), "text/plain; charset=utf-8"
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content), ""
    if content is None or not (hasattr(content, "__iter__") or hasattr(content, "__aiter__")):
        raise TypeError(f"content= takes str, bytes or an iterable of bytes, not {content!r}")
    return content, ""


def _refuse_framing(fields: list[Field]) -> None:
    for name, _ in fields:
        if name in (b"content-length", b"transfer-encoding"):
            raise ValueError(
                f"the client sets {name.decode()} by the body; to test other framing, "
                "send bytes to a live server"
            )


def _encoded(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"names and values of headers are str, not {text!r}")
    return text.encode("latin-1")
