"""An answer, as a test reads it.

What lives here: status, fields and content, and what they say together. What must not: how the
answer came about.
"""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Iterator
from typing import Any

from bare_serve.http.fields import Field
from bare_serve.testing.cookies import parse
from bare_serve.testing.events import Event, EventParser, LineSplitter
from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Request

_CHARSET = re.compile(r';\s*charset="?([^\s;"]+)', re.IGNORECASE)


class Head:
    """What is known of an answer before its content."""

    __slots__ = ("_headers", "early_hints", "fields", "history", "reason", "request", "status")

    def __init__(self, request: Request, status: int, reason: str, fields: list[Field]) -> None:
        self.request = request
        """The one that was answered, the last one where redirects were followed."""
        self.status = status
        self.reason = reason
        """The phrase behind the status; ASGI has none."""
        self.fields = fields
        self.history: list[Response] = []
        """The redirects that were followed on the way, the first one first."""
        self.early_hints: list[Headers] = []
        """The fields of each interim 103 (RFC 8297)."""
        self._headers: Headers | None = None

    @property
    def url(self) -> str:
        """Of the request that was answered."""
        return self.request.url

    @property
    def headers(self) -> Headers:
        """The header fields, by name."""
        if self._headers is None:
            self._headers = Headers(self.fields)
        return self._headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that this answer sets, by name; the client's jar has all that are kept."""
        found = [parse(field, "", "/") for field in self.headers.all("set-cookie")]
        return {cookie.name: cookie.value for cookie in found if cookie is not None}

    @property
    def charset(self) -> str:
        """The one of Content-Type; utf-8 without one."""
        found = _CHARSET.search(self.headers.get("content-type", ""))
        return found[1] if found else "utf-8"

    def __repr__(self) -> str:
        kind = self.headers.get("content-type", "no content type")
        return f"<{type(self).__name__} {self.status} to {self.request.method} {self.url}, {kind}>"


class Response(Head):
    """A complete answer."""

    __slots__ = ("_trailers", "content")

    def __init__(
        self,
        request: Request,
        status: int,
        reason: str,
        fields: list[Field],
        content: bytes,
        trailers: list[Field] | None = None,
    ) -> None:
        super().__init__(request, status, reason, fields)
        self.content = content
        self._trailers = trailers

    @property
    def trailers(self) -> Headers:
        """The fields that came behind the content."""
        return Headers(self._trailers or [])

    @property
    def text(self) -> str:
        """The content in the charset of Content-Type; what is none of it as U+FFFD."""
        try:
            return self.content.decode(self.charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the content, which is JSON.

        Raises:
            ValueError: it is none; the message shows how it begins.
        """
        try:
            return jsonlib.loads(self.content)
        except ValueError as error:
            raise ValueError(f"{self!r} is no JSON ({error}): {self.content[:200]!r}") from None

    def lines(self) -> Iterator[str]:
        """Yield the lines of the content, without their ends."""
        splitter = LineSplitter()
        yield from splitter.feed(self.content)
        yield from splitter.end()

    def events(self) -> Iterator[Event]:
        """Yield the server-sent events of the content."""
        parser = EventParser()
        for line in self.lines():
            if (event := parser.feed(line)) is not None:
                yield event
