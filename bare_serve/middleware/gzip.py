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
from collections.abc import Iterable

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
_NO_BODY = frozenset((204, 205, 206, 304))
_ENCODED = Ready(
    (name, "")
    for name in ("content-encoding", "content-digest", "repr-digest", "digest", "content-md5")
)
"""What was encoded, or tells a digest of its bytes, stays as it is."""


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
        found = self._asked.get(value)
        if found is None:
            found = takes_gzip(value)
            if len(self._asked) < _MOST:
                self._asked[value] = found
        return found

    def begin(self, request: Head) -> Exchange | None:
        """See whether the client takes gzip."""
        if request.kind != "http":
            return None
        wanted = request.method != "HEAD" and self._takes_gzip(
            request.header("accept-encoding") or ""
        )
        if wanted and not self.secrets and request.header("authorization") is not None:
            wanted = False
        return _Compressing(self, wanted)


class _Compressing(Exchange):
    __slots__ = ("_policy", "_wanted", "body")

    def __init__(self, policy: Gzip, wanted: bool) -> None:
        self._policy = policy
        self._wanted = wanted
        self.body = None

    def start(self, status: int, headers: Headers) -> None:
        self.body = None
        if not self._could(status, headers):
            return
        headers.vary("Accept-Encoding")
        if not self._wanted or (not self._policy.secrets and "set-cookie" in headers):
            return
        headers.set("Content-Encoding", "gzip")
        headers.remove("Content-Length")
        headers.remove("Accept-Ranges")
        tag = headers.get("etag")
        if tag is not None and not tag.startswith("W/"):
            headers.set("ETag", f"W/{tag}")
        self.body = _Compressor(self._policy.level)

    def _could(self, status: int, headers: Headers) -> bool:
        if status < 200 or status in _NO_BODY or headers.has_any(_ENCODED):
            return False
        if not self._policy.takes_type(headers.get("content-type") or ""):
            return False
        length = headers.get("content-length")
        if length is not None and length.isdecimal() and int(length) < self._policy.minimum:
            return False
        if "cache-control" not in headers:
            return True
        return "no-transform" not in ",".join(headers.get_all("cache-control")).lower()


class _Compressor:
    """What changes a body.

    It is no method of its exchange, which would be a circle: 256 KiB that only the garbage
    collector frees cost as much as the compression of a small answer.
    """

    __slots__ = ("_compress", "_flush")

    def __init__(self, level: int) -> None:
        compressor = zlib.compressobj(level, zlib.DEFLATED, 31)
        self._compress = compressor.compress
        self._flush = compressor.flush

    def __call__(self, piece: bytes, last: bool) -> bytes:
        if last:
            return self._compress(piece) + self._flush()
        return self._compress(piece) + self._flush(zlib.Z_SYNC_FLUSH) if piece else b""


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding takes gzip; what is no list of codings takes none."""
    found: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        coding, semicolon, rest = item.partition(";")
        match = _QUALITY(semicolon + rest) if semicolon else None
        if not semicolon or match is not None:
            found[coding.strip()] = match is None or float(match[1]) > 0
    return found.get("gzip", found.get("x-gzip", found.get("*", False)))
