"""The head of a request as an environ has it (PEP 3333).

What lives here: `Head` over an environ. What must not: the call (adapter_wsgi.py).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bare_serve.middleware.headers import checked
from bare_serve.middleware.policy import SAFE, Head


class WsgiHead(Head):
    """The head of a WSGI request. The environ is copied when something is put into it."""

    __slots__ = ("_copied",)

    def __init__(self, environ: dict[str, Any]) -> None:
        self.kind = "http"
        self.method = environ["REQUEST_METHOD"]
        self.raw = environ
        self._copied = False

    @property
    def path(self) -> str:
        """See `Head.path`."""
        text: str = self.raw.get("PATH_INFO", "")
        return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")

    @property
    def root_path(self) -> str:
        """See `Head.root_path`."""
        text: str = self.raw.get("SCRIPT_NAME", "")
        return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")

    @property
    def query(self) -> str:
        """See `Head.query`."""
        text: str = self.raw.get("QUERY_STRING", "")
        return text

    @property
    def target(self) -> str:
        """See `Head.target`."""
        raw = self.raw
        sent: str = raw.get("REQUEST_URI") or raw.get("RAW_URI") or ""
        if sent.startswith("/"):
            return sent
        path = quote(raw.get("SCRIPT_NAME", "") + raw.get("PATH_INFO", ""), SAFE, "latin-1")
        return f"{path}?{self.query}" if self.query else path

    @property
    def scheme(self) -> str:
        """See `Head.scheme`."""
        text: str = self.raw["wsgi.url_scheme"]
        return text

    @property
    def client(self) -> str | None:
        """See `Head.client`."""
        return self.raw.get("REMOTE_ADDR") or None

    def header(self, name: str) -> str | None:
        """See `Head.header`."""
        return self.raw.get(_keys[name])

    def put(self, key: str, value: object) -> None:
        """See `Head.put`."""
        if not self._copied:
            self.raw = self.raw.copy()
            self._copied = True
        self.raw[key] = value

    def put_header(self, name: str, value: str) -> None:
        """See `Head.put_header`."""
        key = _keys[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        if not self._copied:
            self.raw = self.raw.copy()
            self._copied = True
        self.raw[key] = value

    def drop_header(self, name: str) -> None:
        """See `Head.drop_header`."""
        if _keys[name] in self.raw:
            self.put(_keys[name], "")
            del self.raw[_keys[name]]


class _Keys(dict[str, str]):
    """Names of fields as keys of an environ; each made once."""

    def __missing__(self, name: str) -> str:
        checked(name, "")
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        if len(self) < 1024:
            self[name] = key
        return key


_keys = _Keys()
