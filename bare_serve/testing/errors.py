"""What the test clients raise beside the application's own exceptions.

What lives here: one class for each way in which a call ends without an answer. What must not:
mistakes against a specification, which are a `SpecError` of the lint.
"""

from __future__ import annotations

from bare_serve.testing.headers import Headers


class ClientTimeout(TimeoutError):
    """The application did not do in time what the test waited for; the message says what."""


class LifespanFailed(Exception):
    """The application answered `lifespan.startup.failed` or `lifespan.shutdown.failed`."""


class IncompleteAnswer(Exception):
    """The application ended, by returning or by raising, before its answer was complete."""


class WebSocketRefused(Exception):
    """The application answered the handshake of a WebSocket with something else than 101.

    A plain `websocket.close` before `websocket.accept` is a 403, as the ASGI specification has it.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        shown = self.body[:200].decode("utf-8", "replace")
        return f"the application refused the WebSocket with status {self.status}: {shown!r}"


class WebSocketClosed(Exception):
    """The application has closed the WebSocket, so there is no message to receive or to send."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"the application closed the WebSocket with code {self.code} and {self.reason!r}"
