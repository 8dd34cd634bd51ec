"""The opening handshake (RFC 6455, 4.2) over header fields that were parsed and checked already.

What lives here: what a client offers, what is wrong with how it asks, and the header lines that
accept. What must not: parsing and sending (HTTP's business), what extensions mean (deflate.py).
"""

from __future__ import annotations

import base64
import hashlib
import re

from bare_serve.clauses import mistake
from bare_serve.errors import RequestError
from bare_serve.http.grammar import TCHAR
from bare_serve.websocket import deflate
from bare_serve.websocket.deflate import Deflate

# RFC 6455, 4.1: 16 bytes in base64. The last two digits hold four bits that mean nothing, and
# clients in the wild do not clear them: "==" is all that is asked.
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_TOKEN = re.compile(rb"[" + TCHAR + rb"]+")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PREFIX = b"sec-websocket-"

Field = tuple[bytes, bytes]

# RFC 6455, 4.4. Connection may stand twice: it is a list over all its lines.
_SUPPORTED = b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


class Handshake:
    """What a client asks for that has asked for a WebSocket."""

    __slots__ = ("_key", "_offers", "subprotocols")

    def __init__(self, headers: list[Field]) -> None:
        """Read the header fields, whose names are in lower case.

        Raises:
            RequestError: 426 for a version that is not 13; 400 for a missing or malformed field.
        """
        fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name.startswith(_PREFIX):
                fields.setdefault(name, []).append(value)
        if fields.get(b"sec-websocket-version") != [b"13"]:
            raise RequestError(426, "WebSockets are spoken here in version 13.", _SUPPORTED)
        keys = fields.get(b"sec-websocket-key", [])
        if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
            raise RequestError(400, "A WebSocket needs one Sec-WebSocket-Key of 16 bytes.")
        self._key = keys[0]
        self._offers = fields.get(b"sec-websocket-extensions", [])
        self.subprotocols = _subprotocols(fields.get(b"sec-websocket-protocol", []))

    def deflate(self) -> tuple[Deflate, bytes] | None:
        """Return the compression that is agreed on, and the answer's field; None for none.

        Raises:
            RequestError: 400, the extension header is malformed (RFC 6455, 9.1).
        """
        return deflate.negotiate(self._offers)

    def answer(
        self, subprotocol: str | None, extensions: bytes, headers: list[Field]
    ) -> list[Field]:
        """Return the header fields that accept, the application's `headers` among them.

        Raises:
            ResponseError: the application chose a subprotocol that was not offered, or
                wrote a header that is the handshake's.
        """
        fields = [(b"Sec-WebSocket-Accept", accept_key(self._key))]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                offered = ", ".join(self.subprotocols) or "none"
                raise mistake(
                    "asgi-websocket-subprotocol",
                    f"the client did not offer the subprotocol {subprotocol!r}; offered: {offered}",
                )
            fields.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
        if extensions:
            fields.append((b"Sec-WebSocket-Extensions", extensions))
        for name, _ in headers:
            if isinstance(name, bytes) and name.lower().startswith(_PREFIX):
                raise mistake(
                    "asgi-websocket-handshake-header",
                    f"the header {name!r} is the handshake's",
                )
        return fields + headers


def accept_key(key: bytes) -> bytes:
    """RFC 6455, 4.2.2, step 5.4: proof that the key was read."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _subprotocols(lines: list[bytes]) -> list[str]:
    """RFC 6455, 11.3.4: a list of unique tokens, over all its lines."""
    names = []
    for item in b",".join(lines).split(b","):
        name = item.strip(b" \t")
        if not name:
            continue  # RFC 9110, 5.6.1.2: empty elements of a list are ignored
        if _TOKEN.fullmatch(name) is None:
            raise RequestError(400, "The Sec-WebSocket-Protocol header is malformed.")
        names.append(name.decode("ascii"))
    return names
