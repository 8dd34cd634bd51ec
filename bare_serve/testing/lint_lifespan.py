"""The lint of ASGI: the lifespan of an application.

What lives here: the order of its events and of their answers.
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.types import Message, Receive, Scope, Send
from bare_serve.testing.lint_call import Call
from bare_serve.testing.lint_scope import type_of
from bare_serve.testing.verdicts import Advise, SpecError


class LifespanCall(Call):
    """A lifespan: each event is answered once."""

    __slots__ = ("answered", "phase")

    def __init__(self, scope: Scope, receive: Receive, send: Send, advise: Advise) -> None:
        super().__init__(scope, receive, send, advise)
        self.phase = ""  # the event that the application has taken last
        self.answered = True

    def take_event(self, event: Message, kind: str) -> None:
        """See `Call`: startup, then shutdown."""
        wanted = {"": "lifespan.startup", "lifespan.startup": "lifespan.shutdown"}.get(self.phase)
        if kind != wanted:
            got = f"receive gave {kind!r} after {self.phase or 'nothing'!r}"
            raise SpecError("asgi-event-order", got)
        self.phase = kind
        self.answered = False

    async def send(self, message: Message) -> None:
        """See `Call`. An application that mistakes the lifespan for a request has none.

        So whoever is outside judges its messages.
        """
        kind = type_of(message)
        if str(kind).startswith("lifespan."):
            await super().send(message)
            return
        await self.inner_send(message)
        raise self.breach("asgi-message-unknown", f"the application sent {kind!r} in a lifespan")

    def check(self, message: Message, kind: Any) -> Message:
        """See `Call`."""
        phase = self.phase
        if not phase:
            wanted = "nothing before receive()"
        elif self.answered:
            wanted = "nothing more in this phase"
        elif kind in (f"{phase}.complete", f"{phase}.failed"):
            wanted = ""
        else:
            wanted = f"{phase}.complete or {phase}.failed"
        if wanted:
            got = f"lifespan expected {wanted}, but the application sent {kind!r}"
            raise SpecError("asgi-lifespan-order", got)
        self.answered = True
        if not isinstance(message.get("message", ""), str):
            self.advise("asgi-lifespan-message", f"'message' is {message['message']!r}")
        return message

    def returned(self) -> None:
        """See `Call`."""
        if not (self.phase and self.answered):
            got = "the application returned from its lifespan without an answer"
            self.advise("asgi-lifespan-unanswered", got)
