"""The lint of ASGI: what the calls of all protocols share.

What lives here: `receive` and `send` with checks around them, and the error that an application
may swallow. What must not: what one protocol asks for.
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.types import Message, Receive, Scope, Send
from bare_serve.errors import ResponseError
from bare_serve.testing.lint_scope import check_event, type_of
from bare_serve.testing.verdicts import Advise, SpecError, spec_error


class Call:
    """What the calls of all protocols share."""

    __slots__ = ("advise", "broken", "inner_receive", "inner_send", "left", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send, advise: Advise) -> None:
        self.scope = scope
        self.inner_receive = receive
        self.inner_send = send
        self.advise = advise
        self.broken: SpecError | None = None  # raised into the application already
        self.left = False  # the client, as far as the application has been told

    def breach(self, clause: str, got: str) -> SpecError:
        """Return the error to raise into the application; it is kept, lest it be swallowed."""
        return self.keep(SpecError(clause, got))

    def keep(self, error: SpecError) -> SpecError:
        """Keep the first error, and return it as it is."""
        self.broken = self.broken or error
        return error

    async def receive(self) -> Message:
        """Return the next event, checked."""
        event = await self.inner_receive()
        self.take_event(event, check_event(event, self.scope["type"]))
        return event

    async def send(self, message: Message) -> None:
        """Check a message, and send it."""
        try:
            message = self.check(message, type_of(message))
        except ResponseError as error:
            raise self.keep(spec_error(error)) from error.__cause__
        except SpecError as error:
            raise self.keep(error) from None
        try:
            await self.inner_send(message)
        except OSError:
            self.left = True
            raise

    def take_event(self, event: Message, kind: str) -> None:
        """Check the order of events."""
        raise NotImplementedError

    def check(self, message: Message, kind: Any) -> Message:
        """Return the message to send on.

        Raises:
            ResponseError, SpecError: it breaks a clause.
        """
        raise NotImplementedError

    def returned(self) -> None:
        """Judge the call, which has returned."""
        raise NotImplementedError
