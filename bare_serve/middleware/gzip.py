"""Compresses bodies for clients that take gzip (RFC 9110, 8.4 and 12.5.3).

Whether is decided by the head alone, which is sent at once; each piece is flushed as it comes, so a
stream stays one. Left as they are: answers that are small, encoded, partial (206), without a body,
event streams, or marked no-transform or with a digest. A strong ETag becomes weak, since the bytes
are others (8.8.1); `Vary` says that answers differ.

BREACH: who can have a visitor's browser ask for a page that shows both a secret and what the
attacker has chosen learns the secret from the size. So what sets a cookie, and what was asked for
with Authorization, is not compressed unless `secrets` says so; do that only where pages show no
tokens.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from bare_serve.middleware.headers import Ready
from bare_serve.middleware.policy import Exchange, Head, Headers
from bare_serve.middleware.values import Size, texts

TYPES = (
    *("text/*", "application/json", "application/*+json", "application/javascript"),
    *("application/xml", "application/*+xml", "application/wasm", "application/x-ndjson"),
    *("image/svg+xml", "font/ttf", "font/otf"),
)
_QUALITY = re.compile(r"[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*").fullmatch
_MOST = 256
_GZIP = 31
"""`wbits` of zlib: a window of 32 KiB, in the format of gzip.

Less memory gains nothing: with a memLevel of 6 in the place of 8, 1.5 kB of JSON take as long, and
11 kB up to 45 % longer, for the same size; with a window of 4 KiB 4 kB take as long, 11 kB longer,
and text of 300 kB becomes 19 % larger.
"""
_NO_BODY = frozenset((204, 205, 206, 304))
_AS_ENCODED = ("content-encoding", "content-digest", "repr-digest", "digest", "content-md5")
_ENCODED = Ready((name, "") for name in _AS_ENCODED)
"""What was encoded, or tells a digest of its bytes, stays as it is."""
_RARE = Ready(
    (name, "")
    for name in (*_AS_ENCODED, "cache-control", "set-cookie", "accept-ranges", "etag", "vary")
)
"""All other fields that matter beside type and length: most answers of an API have none of them."""
_SAID = Ready((("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip")))
"""What is told where there is none of these fields: added in one call in the place of two."""


class Gzip:
    """`gzip`: compresses bodies."""

    def __init__(
        self,
        minimum_size: Size = 1024,
        level: int = 6,
        types: Iterable[str] = TYPES,
        secrets: bool = False,
    ) -> None:
        """Say what is compressed.

        Args:
            minimum_size: bodies that are known to have fewer bytes are left as they are.
            level: from 1, quick, to 9, small.
            types: media types; * stands for any characters.
            secrets: compress also what may show secrets; see BREACH above.

        Raises:
            ValueError: `level` is none.
        """
        if not 1 <= level <= 9:
            raise ValueError(f"level is from 1 to 9, not {level}")
        shapes = [re.escape(text.lower()).replace(r"\*", "[^/]*") for text in texts("types", types)]
        self._is_type = re.compile("|".join(shapes) or "(?!)").fullmatch
        self._known: dict[str, bool] = {}
        self._asked: dict[str, bool] = {}
        self.minimum = minimum_size
        self.level = level
        self.secrets = secrets

    def takes_type(self, value: str) -> bool:
        """Return whether bodies of this Content-Type are compressed; a few are remembered."""
        found = self._known.get(value)
        if found is None:
            kind = value.partition(";")[0].strip().lower()
            found = kind != "text/event-stream" and self._is_type(kind) is not None
            if len(self._known) < _MOST:
                self._known[value] = found
        return found

    def _takes_gzip(self, value: str) -> bool:
        """Remember a few of the values that clients send; they are short."""
        found = takes_gzip(value)
        if len(self._asked) < _MOST and len(value) < _MOST:
            self._asked[value] = found
        return found

    def begin(self, request: Head) -> Exchange | None:
        """See whether the client takes gzip."""
        if request.kind != "http":
            return None
        accepted = request.header("accept-encoding") or ""
        wanted = self._asked.get(accepted)
        if wanted is None:
            wanted = self._takes_gzip(accepted)
        if wanted and not self.secrets:
            wanted = request.header("authorization") is None
        return _Compressing(self, request, wanted and request.method != "HEAD")


class _Compressing(Exchange):
    __slots__ = ("_policy", "_request", "_wanted", "body")

    def __init__(self, policy: Gzip, request: Head, wanted: bool) -> None:
        self._policy = policy
        self._request = request
        self._wanted = wanted

    def start(self, status: int, headers: Headers) -> None:
        self.body = None
        policy = self._policy
        if status < 200 or status in _NO_BODY:
            if status == 304:
                self._unchanged(headers)
            return
        if not policy.takes_type(headers.get("content-type") or ""):
            return
        length = headers.get("content-length")
        if length is not None and length.isdecimal() and int(length) < policy.minimum:
            return
        rare = headers.has_any(_RARE)
        if rare and not _may_change(headers):
            return
        if not self._wanted or (rare and not policy.secrets and "set-cookie" in headers):
            headers.vary("Accept-Encoding")
            return
        if length is not None:
            headers.remove("Content-Length")
        if rare:
            headers.vary("Accept-Encoding")
            headers.set("Content-Encoding", "gzip")
            _tell_others(headers)
        else:
            headers.add_missing(_SAID)
        self.body = compressor(policy.level)

    def _unchanged(self, headers: Headers) -> None:
        """Tell a client that has a compressed answer the fields of that one.

        RFC 9110, 15.4.5; by a strong ETag a cache would look for an answer that it does not have
        (RFC 9111, 4.3.4).
        """
        tag = headers.get("etag")
        if tag is not None and f"W/{tag}" in (self._request.header("if-none-match") or ""):
            headers.set("ETag", f"W/{tag}")
            headers.vary("Accept-Encoding")


def _may_change(headers: Headers) -> bool:
    if headers.has_any(_ENCODED):
        return False
    return "no-transform" not in ",".join(headers.get_all("cache-control")).lower()


def _tell_others(headers: Headers) -> None:
    """Say of the bytes that they are others than those that the application has sent."""
    headers.remove("Accept-Ranges")
    tag = headers.get("etag")
    if tag is not None and not tag.startswith("W/"):
        headers.set("ETag", f"W/{tag}")


def compressor(level: int) -> Callable[[bytes, bool], bytes]:
    """Return what compresses the pieces of one body.

    HOT PATH: a whole body is compressed in one call, and a function is made and called for less
    than an object with `__init__` and `__call__`: 2 us together, for 11 kB of JSON. It is no method
    of its exchange, which would be a circle: 256 KiB that only the garbage collector frees cost as
    much as the compression of a small answer.
    """
    stream: Any = None

    def change(piece: bytes, last: bool) -> bytes:
        nonlocal stream
        if stream is None:
            if last:
                return zlib.compress(piece, level, _GZIP)
            stream = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        if last:
            return stream.compress(piece) + stream.flush()  # type: ignore[no-any-return]
        return stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH) if piece else b""

    return change


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding takes gzip; what is no list of codings takes none."""
    found: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        coding, semicolon, rest = item.partition(";")
        match = _QUALITY(semicolon + rest) if semicolon else None
        if not semicolon or match is not None:
            found[coding.strip()] = match is None or float(match[1]) > 0
    return found.get("gzip", found.get("x-gzip", found.get("*", False)))
