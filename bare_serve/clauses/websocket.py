"""Clauses of the ASGI specification for WebSockets.

What lives here: rows.
"""

from __future__ import annotations

from typing import Final

from bare_serve.clauses.clause import ERROR, Clause, Weight


def _row(name: str, section: str, expected: str, fix: str, *, reported: bool = False) -> Clause:
    weight: Weight = ERROR
    return Clause(name, "ASGI WebSocket", section, weight, expected, fix, reported)


_SEND = "Send"
_ACCEPT = "Accept"
_CLOSE = "Close"

ROWS: Final = (
    _row(
        "asgi-websocket-accept-first",
        "Connect",
        "A WebSocket is accepted before anything is sent on it.",
        "Send 'websocket.accept', or 'websocket.close' to refuse.",
        reported=True,
    ),
    _row(
        "asgi-websocket-accept-twice",
        _ACCEPT,
        "A WebSocket is accepted once.",
        "Send 'websocket.accept' in one place.",
        reported=True,
    ),
    _row(
        "asgi-websocket-undecided",
        "Connect",
        "The application accepts or refuses a WebSocket before it returns.",
        "Send 'websocket.accept' or 'websocket.close' on each way out.",
        reported=True,
    ),
    _row(
        "asgi-websocket-after-close",
        _CLOSE,
        "Nothing is sent on a WebSocket that the application has closed or refused.",
        "Return after 'websocket.close'.",
        reported=True,
    ),
    _row(
        "asgi-websocket-subprotocol",
        _ACCEPT,
        "'subprotocol' is one that the client has offered.",
        "Choose one of scope['subprotocols'], or None.",
        reported=True,
    ),
    _row(
        "asgi-websocket-handshake-header",
        _ACCEPT,
        "Headers that begin with Sec-WebSocket- are the server's.",
        "Name the protocol as 'subprotocol' of 'websocket.accept'.",
        reported=True,
    ),
    _row(
        "asgi-websocket-data",
        _SEND,
        "'websocket.send' has either 'bytes' or 'text'.",
        "Send one of them, and leave the other out or None.",
        reported=True,
    ),
    _row(
        "asgi-websocket-data-both",
        _SEND,
        "Only one of 'bytes' and 'text' has a value; of two, one would be lost.",
        "Send two messages.",
    ),
    _row(
        "asgi-websocket-data-type",
        _SEND,
        "'bytes' is bytes and 'text' is str.",
        "Send text as 'text', and encode what goes into 'bytes'.",
        reported=True,
    ),
    _row(
        "asgi-websocket-text",
        _SEND,
        "'text' can be encoded as UTF-8.",
        "Replace lone surrogates, or send the data as 'bytes'.",
        reported=True,
    ),
    _row(
        "asgi-websocket-code",
        _CLOSE,
        "'code' is a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.",
        "Send 1000, or a code from 4000 on for a meaning of your own.",
        reported=True,
    ),
    _row(
        "asgi-websocket-reason",
        _CLOSE,
        "'reason' is a str.",
        "Write str(reason), at most 123 bytes in UTF-8.",
        reported=True,
    ),
)
