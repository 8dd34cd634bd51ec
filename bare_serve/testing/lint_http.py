"""The lint of ASGI: a request and its answer.

What lives here: the order of HTTP's events and messages. What must not: the messages of extensions
(lint_extensions.py), what HTTP says of an answer (lint_answer.py).
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.states import DONE, HELD, START, STREAM, TRAILERS, out_of_order
from bare_serve.asgi.types import Message, Receive, Scope, Send
from bare_serve.http1.remarks import case_remarks
from bare_serve.http1.response import status_line
from bare_serve.testing.lint_answer import Body, CheckedHead, check_head
from bare_serve.testing.lint_call import Call
from bare_serve.testing.lint_extensions import EXTENSIONS, PUSH, check_extension
from bare_serve.testing.lint_scope import pairs
from bare_serve.testing.verdicts import Advise, SpecError

_MEMO_ENTRIES = 256

_sound: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], CheckedHead] = {}
"""Heads that gave no reason for a word."""


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
        for remark in case_remarks(found):
            advise(*remark)
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
            if kind == PUSH:
                got = f"{kind!r} comes after the start of an answer and before its end"
                raise SpecError("asgi-extension-order", got)
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
