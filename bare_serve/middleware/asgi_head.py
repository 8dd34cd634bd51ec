"""The head of a request as a scope has it (ASGI, HTTP & WebSocket Message Format).

What lives here: `Head` over a scope. What must not: the call (adapter_asgi.py).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bare_serve.middleware.headers import checked
from bare_serve.middleware.policy import SAFE, Head


class AsgiHead(Head):
    """The head of an ASGI request. The scope is copied when something is put into it."""

    __slots__ = ("_copied", "_fields")

    def __init__(self, scope: dict[str, Any]) -> None:
        self.kind = scope["type"]
        self.method = scope.get("method", "GET")
        self.raw = scope
        self._copied = False
        self._fields: dict[bytes, bytes] | None = None

    @property
    def path(self) -> str:
        """See `Head.path`."""
        path: str = self.raw["path"]
        root: str = self.raw.get("root_path", "")
        if root and (path == root or path.startswith(root.rstrip("/") + "/")):
            return path[len(root.rstrip("/")) :]
        return path

    @property
    def root_path(self) -> str:
        """See `Head.root_path`."""
        text: str = self.raw.get("root_path", "")
        return text

    @property
    def query(self) -> str:
        """See `Head.query`."""
        return bytes(self.raw.get("query_string", b"")).decode("latin-1")

    @property
    def target(self) -> str:
        """See `Head.target`."""
        raw = self.raw.get("raw_path")
        path = quote(self.raw["path"], SAFE) if raw is None else raw.decode("latin-1")
        return f"{path}?{self.query}" if self.query else path

    @property
    def scheme(self) -> str:
        """See `Head.scheme`."""
        text: str = self.raw.get("scheme", "http" if self.kind == "http" else "ws")
        return text

    @property
    def client(self) -> str | None:
        """See `Head.client`."""
        client = self.raw.get("client")
        return (client[0] or None) if client else None

    def header(self, name: str) -> str | None:
        """See `Head.header`."""
        fields = self._fields
        if fields is None:
            fields = self._gathered()
        value = fields.get(_names[name])
        return None if value is None else value.decode("latin-1")

    def _gathered(self) -> dict[bytes, bytes]:
        pairs = self.raw["headers"]
        fields = self._fields = dict(pairs)
        if len(fields) != len(pairs):
            _join(fields, pairs)
        return fields

    def put(self, key: str, value: object) -> None:
        """See `Head.put`."""
        if not self._copied:
            self.raw = self.raw.copy()
            self._copied = True
        self.raw[key] = value

    def put_header(self, name: str, value: str) -> None:
        """See `Head.put_header`."""
        key = _names[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        encoded = value.encode("latin-1")
        fields = self._fields or self._gathered()
        pairs = self.raw["headers"]
        if key in fields:
            pairs = _without(key, pairs)
        fields[key] = encoded
        if not self._copied:
            self.raw = self.raw.copy()
            self._copied = True
        self.raw["headers"] = [*pairs, (key, encoded)]

    def drop_header(self, name: str) -> None:
        """See `Head.drop_header`."""
        if self.header(name) is not None:
            key = _names[name]
            self.put("headers", _without(key, self.raw["headers"]))
            self._fields = None


def _without(key: bytes, pairs: Any) -> list[Any]:
    return [pair for pair in pairs if pair[0] != key]


def _join(fields: dict[bytes, bytes], pairs: Any) -> None:
    """Join repeated fields by commas (RFC 9110, 5.3); cookies by "; " (RFC 6265, 5.4)."""
    fields.clear()
    for name, value in pairs:
        if name in fields:
            value = fields[name] + (b"; " if name == b"cookie" else b",") + value
        fields[name] = value


class _Names(dict[str, bytes]):
    """Names of fields as a scope has them; each made once."""

    def __missing__(self, name: str) -> bytes:
        made = checked(name, "")[0].lower().encode("ascii")
        if len(self) < 1024:
            self[name] = made
        return made


_names = _Names()
