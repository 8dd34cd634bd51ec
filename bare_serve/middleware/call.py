"""Policies around an application, all of them in one layer: what WSGI and ASGI have in common.

What lives here: the order in which policies see a request, and their exchanges its answer and its
end; a policy's answer as fields. What must not: start_response and iterables (adapter_wsgi.py),
events (adapter_asgi.py), any single policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from bare_serve.middleware.headers import Headers, Pair, are_pairs, checked
from bare_serve.middleware.policy import (
    ANSWER,
    BODY,
    END,
    Answer,
    Exchange,
    FileBody,
    Head,
    Outcome,
    Policy,
)
from bare_serve.middleware.ready import ReadyFields

NO_BODY = frozenset((204, 304))
FAILED = Answer(500, (("Content-Type", "text/plain; charset=utf-8"),), b"Internal Server Error\n")
"""What a client gets if the application fails before its answer has begun."""

Begun = tuple[list[Exchange], int, Answer | None, BaseException | None]


class Stack:
    """An application with policies around it."""

    def __init__(self, app: Callable[..., Any], policies: Iterable[Policy]) -> None:
        """Put policies around `app`, the first one outermost."""
        self.app = app
        self.policies = tuple(policies)
        self._begins = tuple(policy.begin for policy in self.policies)

    def begun(self, head: Head) -> Begun:
        """Ask each policy in its turn, up to one that answers.

        Returns:
            The exchanges, the innermost first; the parts that they have; the answer of a policy;
            what a policy has raised, if those in front of it are to see an answer for it.
        """
        exchanges: list[Any] = []
        parts = 0
        answer = failure = None
        try:
            for begin in self._begins:
                found: Any = begin(head)
                if found is not None:
                    if found.parts:  # HOT PATH: most have none
                        if found.parts >= ANSWER:
                            answer = found
                            break
                        parts |= found.parts
                    exchanges.append(found)
        except BaseException as error:
            if not exchanges:
                raise
            failure = error
        exchanges.reverse()
        return exchanges, parts, answer, failure


class Call:
    """One call of the application, and what it answers.

    HOT PATH: what few calls change is an attribute of the class until then.
    """

    kind: type = str
    """Of names and values in the fields of this interface."""
    headers: type[Headers] = Headers
    status = 0
    sent = 0
    complete = False
    gone = False
    """Whether the server has said that the client takes no more."""
    error: BaseException | None = None

    def __init__(
        self,
        head: Head,
        exchanges: list[Exchange],
        parts: int,
        server: Callable[..., Any],
        started: float,
    ) -> None:
        """`server`: its start_response or send; `started`: when, by `perf_counter`."""
        self._server = server
        self._started = started
        self.head = head
        self.exchanges = exchanges
        """The innermost first."""
        self.bodies: list[Callable[[bytes, bool], bytes]] | None = None
        """What changes the body; None if nothing does."""
        self._parts = parts
        self.wants_end = parts & END > 0

    def edited(self, status: int, given: Any) -> list[Any] | None:
        """Return the fields of an answer as the exchanges make them; and see who changes its body.

        None if they are no fields: the server refuses them, and says how.
        """
        try:
            headers = self.headers(given)
            for exchange in self.exchanges:
                exchange.start(status, headers)
        except (TypeError, ValueError, AttributeError):
            if are_pairs(given, self.kind):
                raise
            return None
        if self._parts & BODY:
            bodies = []
            for exchange in self.exchanges:  # HOT PATH: a comprehension is a call
                body = exchange.body
                if body is not None:
                    bodies.append(body)
            head = self.head
            takes_body = head.kind == "http" and head.method != "HEAD" and status not in NO_BODY
            self.bodies = bodies if bodies and takes_body else None
        return headers.pairs

    def changed(self, data: bytes, last: bool) -> bytes:
        """Return a piece of body as the policies make it."""
        for body in self.bodies or ():
            data = body(data, last)
        return data

    def failed(self, error: BaseException) -> None:
        """Note what the application has raised; a report of that tells the request's id."""
        self.error = error
        request_id = self.head.raw.get("request_id")
        if isinstance(request_id, str) and isinstance(error, Exception):
            if not getattr(error, "__notes__", None):  # one object may be raised again and again
                error.add_note(f"request id: {ascii(request_id)[1:-1]}")

    def end(self) -> None:
        """Tell each policy how it ended, once; what one of them raises does not keep the others.

        Raises:
            Exception: the first that one of them has raised.
        """
        if not self.wants_end:
            return
        self.wants_end = False
        seconds = perf_counter() - self._started
        broken = not self.complete and self.error is None
        gone = self.gone or (broken and self.head.kind == "http" and self.head.method != "HEAD")
        outcome = Outcome(self.status, self.sent, seconds, self.error, gone)
        failure = None
        for exchange in self.exchanges:
            if exchange.parts & END:
                try:
                    exchange.end(outcome)
                except Exception as error:  # noqa: BLE001 - the others have to learn of the end
                    failure = failure or error
        if failure is not None:
            raise failure


def fields_of(answer: Answer) -> list[Pair]:
    """Return the fields of a policy's answer, with its length where it may have one.

    Raises:
        ValueError: one cannot be sent.
    """
    if type(answer.headers) is ReadyFields:
        return [*answer.headers]
    fields = [checked(name, value) for name, value in answer.headers]
    if answer.status not in NO_BODY and all(name.lower() != "content-length" for name, _ in fields):
        body = answer.body
        length = body.length if isinstance(body, FileBody) else len(body)
        fields.append(("Content-Length", str(length)))
    return fields
