"""A call of an ASGI application whose exceptions are shown to its client.

What lives here: when a page can still take the place of an answer, and what is held until that is
known. What must not: what the page says (answers.py), who may see it (asked.py).

The head is held until the first piece of body, as the server does it anyway; of a 500 for a browser
the body is held as well, since a framework may have made it of an exception. An exception that is
shown is raised again behind the complete answer, so that the server logs it as any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from bare_serve.clauses import mistake
from bare_serve.dev.answers import Answer
from bare_serve.dev.handled import MOST_HELD, is_the_clients, is_wanted, note, shows
from bare_serve.errors import ClientGone

Message = MutableMapping[str, Any]

logger = logging.getLogger("bare_serve.app")


class Guard:
    """One call of the application."""

    def __init__(self, send: Any, page: Callable[[BaseException], Answer], *, holds: bool) -> None:
        """Have `page` make the answer of an exception; `holds`: a 500 may be replaced as well."""
        self._send = send
        self._page = page
        self._may_hold = holds
        self._noted = note()
        self._behind: BaseException | None = None
        self._held: list[Message] = []
        self._size = 0
        self._holds_body = False
        self._left = False
        """The answer has begun to leave, or has been replaced."""
        self._is_alone = False
        """The application knows that its client has left: it owes no answer, and no person sees a
        page."""
        self._shown: BaseException | None = None

    async def call(self, application: Any, scope: Any, receive: Any) -> None:
        """Call the application."""

        async def received() -> Any:
            message = await receive()
            if isinstance(message, dict) and message.get("type") == "http.disconnect":
                self._is_alone = True
            return message

        try:
            await application(scope, received, self.send)
            if not (self._left or self._holds_body or self._is_alone):
                raise mistake(
                    "asgi-http-unfinished" if self._held else "asgi-http-no-answer",
                    "the application returned without a complete answer",
                )
        except Exception as error:
            if not (self._left or self._is_alone or is_the_clients(error)):
                await self._show(error)
            raise
        if self._shown is not None and self._shown is not self._noted.logged:
            text = "The application answers 500, and has not logged why."
            logger.error(text, exc_info=self._shown)
        await self._let_go()

    async def send(self, message: Message) -> None:
        """See ASGI, "Response Start" and "Response Body"."""
        if self._shown is not None:
            return  # it is the answer that was replaced
        if self._left:
            await self._send(message)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "http.response.start" and not self._held:
            self._held.append(message)
            if self._may_hold and message.get("status") == 500:
                self._holds_body = True
                self._behind = self._noted.behind()
            return
        if kind == "http.response.body" and self._holds_body:
            self._held.append(message)
            body = message.get("body", b"")
            self._size += len(body) if isinstance(body, bytes) else MOST_HELD + 1
            if self._size <= MOST_HELD:
                if message.get("more_body", False) or await self._replaced():
                    return
            await self._let_go()
            return
        if self._held or kind == "http.response.body":  # else it is a message before the answer
            await self._let_go()
        await self._send(message)

    async def _replaced(self) -> bool:
        """Send the page of what is behind a complete 500; return False if nothing is known of that,
        or if the answer shows it."""
        error = self._behind or self._noted.behind()
        pieces = [message.get("body", b"") for message in self._held[1:]]
        if error is None or is_wanted(error) or is_the_clients(error) or shows(error, pieces):
            return False
        await self._show(error)
        return True

    async def _show(self, error: BaseException) -> None:
        answer = self._page(error)
        self._left, self._shown, self._held = True, error, []
        head = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in answer.fields
            ],
        }
        try:
            await self._send(head)
            await self._send({"type": "http.response.body", "body": answer.body})
        except ClientGone:
            pass  # then no person sees it

    async def _let_go(self) -> None:
        """Send what is held."""
        held, self._held = self._held, []
        self._left, self._holds_body = True, False
        for message in held:
            await self._send(message)
