"""A WebSocket, as a test holds it.

What lives here: what a test says and hears, with and without `await`. What must not: the
application's side (websocket_call.py).

Iterating gives messages until the application closes. A close that says more than "done" (codes
1000 and 1001) is raised there as well: the test would take it for the end of a conversation.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bare_serve.testing.errors import WebSocketClosed
from bare_serve.testing.forms import json_bytes
from bare_serve.testing.headers import Headers
from bare_serve.testing.session import UNSET, Unset

if TYPE_CHECKING:
    from bare_serve.testing.websocket_call import WebSocketCall

_DONE = (1000, 1001)

Connect = Callable[[], Awaitable["WebSocketCall"]]
Leave = Callable[["WebSocketCall"], Awaitable[None]]


class _Session:
    """What both kinds of session know of the handshake and of the end."""

    call: WebSocketCall

    @property
    def subprotocol(self) -> str | None:
        """The one that the application has chosen."""
        return self.call.subprotocol

    @property
    def headers(self) -> Headers:
        """The fields that the application has added to its 101."""
        return Headers(self.call.fields)

    @property
    def close_code(self) -> int | None:
        """The code of the application's close; None while it has not closed."""
        return self.call.close_code

    @property
    def close_reason(self) -> str:
        """The reason of the application's close."""
        return self.call.close_reason

    def _timeout(self, timeout: float | Unset | None) -> float | None:
        return self.call.timeout if isinstance(timeout, Unset) else timeout


class AsyncWebSocketSession(_Session):
    """A context manager: entering it connects, leaving it closes."""

    def __init__(self, connect: Connect, leave: Leave) -> None:
        self._connect = connect
        self._leave = leave

    async def __aenter__(self) -> AsyncWebSocketSession:
        self.call = await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        try:
            await self._leave(self.call)
        except Exception:
            if kind is None:
                raise  # else the test's own failure is the one to show

    async def send(self, data: str | bytes) -> None:
        """Send a message, text or bytes.

        Raises:
            WebSocketClosed: the application has closed.
        """
        await self.call.send_message(data)

    async def send_json(self, value: Any) -> None:
        """Send `value` as JSON, in a text message."""
        await self.send(json_bytes(value).decode("utf-8"))

    async def receive(self, timeout: float | Unset | None = UNSET) -> str | bytes:
        """Return the next message; `timeout` in seconds, None for no limit.

        Raises:
            WebSocketClosed: the application has closed.
            ClientTimeout: there was none in time.
        """
        return await self.call.receive_message(self._timeout(timeout))

    async def receive_json(self, timeout: float | Unset | None = UNSET) -> Any:
        """Return what the next message says in JSON."""
        return _loads(await self.receive(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the application receives websocket.disconnect."""
        await self.call.close(code, reason)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except WebSocketClosed as closed:
                if closed.code not in _DONE:
                    raise
                return
            yield message


class WebSocketSession(_Session):
    """The same without `await`: `run` runs a coroutine on the client's event loop."""

    def __init__(
        self,
        session: AsyncWebSocketSession,
        run: Callable[[Any], Any],
        hold: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        self._session = session
        self._run = run
        self._hold = hold
        self._release = release

    def __enter__(self) -> WebSocketSession:
        self._hold()
        try:
            self._run(self._session.__aenter__())
        except BaseException:
            self._release()
            raise
        self.call = self._session.call
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        try:
            self._run(self._session.__aexit__(kind, error, frames))
        finally:
            self._release()

    def send(self, data: str | bytes) -> None:
        """See `AsyncWebSocketSession`."""
        self._run(self._session.send(data))

    def send_json(self, value: Any) -> None:
        """See `AsyncWebSocketSession`."""
        self._run(self._session.send_json(value))

    def receive(self, timeout: float | Unset | None = UNSET) -> str | bytes:
        """See `AsyncWebSocketSession`."""
        message: str | bytes = self._run(self._session.receive(timeout))
        return message

    def receive_json(self, timeout: float | Unset | None = UNSET) -> Any:
        """See `AsyncWebSocketSession`."""
        return _loads(self.receive(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See `AsyncWebSocketSession`."""
        self._run(self._session.close(code, reason))

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            try:
                message = self.receive()
            except WebSocketClosed as closed:
                if closed.code not in _DONE:
                    raise
                return
            yield message


def _loads(message: str | bytes) -> Any:
    try:
        return json.loads(message)
    except ValueError as error:
        raise ValueError(f"the message is no JSON ({error}): {message[:200]!r}") from None
