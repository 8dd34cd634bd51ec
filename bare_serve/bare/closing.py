"""How a WebSocket ends: the exceptions of a handler, and the rules of codes and reasons.

What lives here: what a handler raises to close, and what it gets when the WebSocket is closed. What
must not: anything that sends (websocket.py), or that knows of HTTP.
"""

from __future__ import annotations

_LONGEST_REASON = 123  # bytes: a control frame has 125, two of them for the code (RFC 6455, 5.5)
_NEVER_SENT = (1004, 1005, 1006, 1015)  # RFC 6455, 7.4.1


class CloseWebSocket(Exception):
    """Raised by a handler to close its WebSocket: `raise CloseWebSocket(4001, "Who are you?")`.

    Before `accept` it is a refusal: 403, with the reason as its text. Nothing is logged.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        """Choose the end.

        Args:
            code: 1000 to 1014 as RFC 6455 (7.4.1) says, or 3000 to 4999 of your own.
            reason: what the client is told, cut to 123 bytes.

        Raises:
            ValueError: a WebSocket may not be closed with this code.
        """
        self.code = check_code(code)
        self.reason = reason
        super().__init__(f"{code} {reason}".strip())


class WebSocketClosed(ConnectionError):
    """The WebSocket is closed: by the client, by the server, or by the application itself.

    Raised by `receive` at the end, and by `send` after it. A handler need not catch it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        """Keep the code (1006 where there was no close frame) and the reason."""
        self.code = code
        self.reason = reason
        super().__init__(f"the WebSocket is closed: {code} {reason}".strip())


def check_code(code: int) -> int:
    """Return `code`.

    Raises:
        ValueError: it must not be sent in a close frame.
    """
    standard = 1000 <= code <= 1014 and code not in _NEVER_SENT
    if not (standard or 3000 <= code <= 4999):
        raise ValueError(f"a WebSocket is closed with 1000 to 1014 or 3000 to 4999, not {code!r}")
    return code


def cut(reason: str) -> str:
    """Return what of a reason fits into a close frame."""
    return reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode("utf-8", "ignore")
