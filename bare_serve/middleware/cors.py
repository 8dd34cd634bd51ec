"""Which pages of other origins may read the answers (the Fetch standard, "CORS protocol").

One origin is told at a time, by an exact comparison, and `Vary: Origin` stands on every answer
that could differ, refused ones and those without Origin too, so that no cache mixes them up. A
preflight is OPTIONS with Origin and Access-Control-Request-Method, and is answered here; any other
OPTIONS is the application's. All origins and credentials together are refused when the policy is
made: any page could read what its visitor may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bare_serve.middleware.headers import checked
from bare_serve.middleware.origins import check_origins, is_same
from bare_serve.middleware.policy import Answer, Exchange, Head, Headers
from bare_serve.middleware.values import Seconds, plain, texts

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_ASKED = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """`cors`: lets pages of other origins read answers."""

    def __init__(
        self,
        origins: Iterable[str] = (),
        pattern: str | None = None,
        methods: Iterable[str] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        headers: Iterable[str] = ("*",),
        expose: Iterable[str] = (),
        credentials: bool = False,
        max_age: Seconds = 600.0,
        websockets: bool = False,
    ) -> None:
        """Say who may read what.

        Args:
            origins: such as "https://example.com"; "*" for all, "null" for pages without an origin.
            pattern: a regular expression that the whole origin matches.
            methods: those that other origins may use.
            headers: the fields that they may send; "*" for all.
            expose: the fields of answers that they may read beyond the usual ones.
            credentials: whether cookies are sent along.
            max_age: how long a browser remembers the answer to a preflight.
            websockets: refuse handshakes of WebSockets from other origins than these and its own;
                browsers send cookies along in any case.

        Raises:
            ValueError: the options make no sense, or would let any page read secrets.
        """
        listed = check_origins(texts("origins", origins), ("*", "null"))
        if not listed and pattern is None:
            raise ValueError("origins: name at least one, such as https://example.com")
        if "*" in listed and (credentials or len(listed) > 1 or pattern is not None):
            why = "credentials" if credentials else "others"
            raise ValueError(f"origins: * cannot stand together with {why}; name each origin")
        try:
            self._matches = re.compile(pattern or "(?!)").fullmatch
        except re.error as error:
            raise ValueError(f"pattern: {pattern!r} is no regular expression: {error}") from None
        self._all = "*" in listed
        self._origins = frozenset(listed)
        self._websockets = websockets
        self._any_header = "*" in texts("headers", headers)
        self._allowed = ", ".join(texts("headers", headers))
        self._shared = [("Access-Control-Allow-Credentials", "true")] if credentials else []
        exposed = ", ".join(texts("expose", expose))
        self._exposed = [checked("Access-Control-Expose-Headers", exposed)] if exposed else []
        allowed = checked("Access-Control-Allow-Methods", ", ".join(texts("methods", methods)))
        self._preflight = [allowed, ("Access-Control-Max-Age", str(int(max_age)))]
        checked("Access-Control-Allow-Headers", self._allowed)

    def allows(self, origin: str) -> bool:
        """Return whether pages of this origin may read answers."""
        return self._all or origin in self._origins or self._matches(origin) is not None

    def begin(self, request: Head) -> Exchange | Answer | None:
        """Answer a preflight; see to it that others are marked."""
        origin = request.header("origin")
        if request.kind == "websocket":
            return self._handshake(request, origin)
        if origin is None or not self.allows(origin):
            if origin is not None and _is_preflight(request):
                return plain(403, "This origin is not allowed.", ("Vary", _ASKED))
            return None if self._all else _VARIES
        told = "*" if self._all else origin
        if _is_preflight(request):
            return self._answer(request, told)
        return _Allowed([("Access-Control-Allow-Origin", told), *self._shared, *self._exposed])

    def _answer(self, request: Head, told: str) -> Answer:
        allowed = self._allowed
        if self._any_header:
            asked = request.header("access-control-request-headers") or ""
            names = [name.strip() for name in asked.split(",")]
            allowed = ", ".join(name for name in names if _TOKEN(name))
        fields = [("Access-Control-Allow-Origin", told), *self._shared, *self._preflight]
        if allowed:
            fields.append(("Access-Control-Allow-Headers", allowed))
        return Answer(204, [*fields, ("Vary", _ASKED)])

    def _handshake(self, request: Head, origin: str | None) -> Answer | None:
        if not self._websockets or origin is None or self.allows(origin):
            return None
        if is_same(origin, request.header("host") or "", request.scheme):
            return None
        return plain(403, "This origin is not allowed.")


def _is_preflight(request: Head) -> bool:
    asks = request.method == "OPTIONS"
    return asks and request.header("access-control-request-method") is not None


class _Varies(Exchange):
    __slots__ = ()

    def start(self, status: int, headers: Headers) -> None:
        headers.vary("Origin")


_VARIES = _Varies()


class _Allowed(Exchange):
    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def start(self, status: int, headers: Headers) -> None:
        for name, value in self._fields:
            headers.set(name, value)
        if self._fields[0][1] != "*":
            headers.vary("Origin")
