"""The lint of ASGI: one call of an application, whatever its scope.

What lives here: which lint a scope gets, HTTP's and lifespan's order of events and messages. What
must not: what a scope and events hold (lint_scope.py), the messages of extensions
(lint_extensions.py), WebSockets (lint_websocket.py), what HTTP says of an answer (lint_answer.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bare_serve.asgi.states import (
    DONE,
    HELD,
    START,
    STREAM,
    TRAILERS,
    out_of_order,
)
from bare_serve.asgi.types import Message, Receive, Scope, Send
from bare_serve.errors import ResponseError
from bare_serve.http1.response import status_line
from bare_serve.testing.held_loop import Steps
from bare_serve.testing.lint_answer import Body, CheckedHead, check_head
from bare_serve.testing.lint_extensions import EXTENSIONS, check_extension
from bare_serve.testing.lint_scope import check_event, check_scope, pairs, type_of
from bare_serve.testing.verdicts import Advise, SpecError, spec_error

_MEMO_ENTRIES = 256

_sound: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], CheckedHead] = {}
"""Heads that gave no reason for a word."""


class AsgiLint:
    """An ASGI application that is checked; other attributes are those of the application."""

    def __init__(self, app: Callable[..., Any], advise: Advise, *, timed: bool) -> None:
        """Check `app`; if `timed`, watch whether it holds the loop."""
        self.app = app
        self._advise = advise
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application.

        Raises:
            SpecError: a clause is broken, on either side.
        """
        kind = check_scope(scope)
        call: Call
        if kind == "http":
            call = HttpCall(scope, receive, send, self._advise)
        elif kind == "websocket":
            from bare_serve.testing.lint_websocket import WebSocketCall

            call = WebSocketCall(scope, receive, send, self._advise)
        elif kind == "lifespan":
            call = LifespanCall(scope, receive, send, self._advise)
        else:  # a protocol that nothing is known of
            await self.app(scope, receive, send)
            return
        running = self.app(scope, call.receive, call.send)
        if not inspect.isawaitable(running):
            got = f"the application returned {type(running).__name__}, which is no awaitable"
            raise SpecError("asgi-app-awaitable", got)
        await (Steps(running, self._advise) if self._timed else running)
        if call.broken is not None:
            raise call.broken
        call.returned()

    def __getattr__(self, name: str) -> Any:
        if name == "app":  # not there before __init__, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.app, name)


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


class HttpCall(Call):
    """A request: its answer's states are those of the server's `Exchange`."""

    __slots__ = ("body", "extensions", "request_complete", "state", "trailers")

    def __init__(self, scope: Scope, receive: Receive, send: Send, advise: Advise) -> None:
        super().__init__(scope, receive, send, advise)
        self.state = START
        self.trailers = False  # announced
        self.request_complete = False
        self.extensions = scope.get("extensions") or {}
        is_head = scope.get("method") == "HEAD"
        self.body = Body(is_head=is_head, clauses="http", advise=advise)

    def take_event(self, event: Message, kind: str) -> None:
        """See `Call`: the body up to its end, then only a disconnect."""
        if kind == "http.disconnect":
            self.left = True
        elif self.left or self.request_complete:
            raise SpecError("asgi-event-order", f"receive gave {kind!r} after the request's end")
        else:
            self.request_complete = not event.get("more_body", False)

    def check(self, message: Message, kind: Any) -> Message:
        """See `Call`."""
        if kind == "http.response.body":
            if self.state not in (HELD, STREAM):
                raise out_of_order(self.state, kind)
            body = message.get("body", b"")
            if not isinstance(body, (bytes, bytearray, memoryview)):
                got = f"'body' must be bytes, not {type(body).__name__}"
                raise SpecError("asgi-http-body", got)
            more = message.get("more_body", False)
            if more is not True and more is not False:
                got = f"'more_body' must be True or False, not {more!r}"
                raise SpecError("asgi-http-more-body", got)
            size = len(body) if type(body) is not memoryview else body.nbytes
            self.add_body(size, more=more)
        elif kind == "http.response.start":
            if self.state != START:
                raise out_of_order(self.state, kind)
            return self._start(message)
        elif kind in EXTENSIONS or kind in self.extensions:
            return self._extension(message, kind)
        else:
            raise out_of_order(self.state, kind)
        return message

    def add_body(self, size: int, *, more: bool) -> None:
        """Take a piece of body, wherever it comes from."""
        if size:
            self.body.add(size)
        if more:
            self.state = STREAM
            return
        self.body.end()
        self.state = TRAILERS if self.trailers else DONE

    def _start(self, message: Message) -> Message:
        if "status" not in message:
            raise SpecError("asgi-http-status", "'http.response.start' has no 'status'")
        headers = message.get("headers", ())
        if not isinstance(headers, (list, tuple)):  # it may be one that can be read once
            message = {**message, "headers": pairs(headers)}
            headers = message["headers"]
        self.body.head = self._head(message["status"], headers)
        trailers = message.get("trailers", False)
        if trailers is not True and trailers is not False:
            self.advise("asgi-http-trailers-flag", f"'trailers' is {trailers!r}")
        self.trailers = bool(trailers)
        self.state = HELD
        return message

    def _head(self, status: Any, headers: Any) -> CheckedHead:
        key: tuple[Any, Any] | None
        try:
            key = (status, tuple([(name, value) for name, value in headers]))
            known = _sound.get(key)
        except (TypeError, ValueError):  # no pairs, or not hashable
            key = known = None
        if known is not None:
            return known
        said: list[str] = []

        def advise(clause: str, got: str) -> None:
            said.append(clause)
            self.advise(clause, got)

        status_line(status)
        found = pairs(headers)
        head = check_head(status, b"", found, "asgi-headers-hop-by-hop", advise)
        if any(name != name.lower() for name, _ in found):
            names = ", ".join(repr(name) for name, _ in found if name != name.lower())
            advise("asgi-headers-case", f"the headers {names} have capitals")
        if not said and key is not None and type(status) is int:
            if len(_sound) >= _MEMO_ENTRIES:
                _sound.clear()
            _sound[key] = head
        return head

    def _extension(self, message: Message, kind: str) -> Message:
        if kind not in self.extensions:
            raise SpecError("asgi-extension-offered", f"{kind!r} is not in scope['extensions']")
        places = EXTENSIONS.get(kind)
        if places is None:  # one that the specification does not have
            return message
        if self.state not in places:
            raise out_of_order(self.state, kind)
        message, size = check_extension(message, kind, self.advise)
        if size is not None:
            self.add_body(size, more=message.get("more_body", False))
        elif kind == "http.response.trailers" and not message.get("more_trailers", False):
            self.state = DONE
        return message

    def returned(self) -> None:
        """See `Call`."""
        if self.state == DONE or self.left:
            return
        got = "the application returned without a complete answer"
        clause = "asgi-http-no-answer" if self.state == START else "asgi-http-unfinished"
        raise SpecError(clause, got)


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
