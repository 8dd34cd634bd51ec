"""Requests whose answers are at hand are answered as they begin, without a task and a call.

What lives here: the class of such requests, and that of the connections that make them. What must
not: which answers these are (http/direct.py), all other requests (exchange.py). Imported only by a
worker that has such answers.
"""

from __future__ import annotations

from time import perf_counter

from bare_serve.asgi.connection import Connection
from bare_serve.asgi.exchange import Exchange
from bare_serve.http import Output, RequestHead, ServerExchange
from bare_serve.http.direct import Direct
from bare_serve.http1 import response_fields


class DirectExchange(Exchange):
    """A request that may be answered without the application."""

    __slots__ = ()

    def start(self) -> None:
        """Answer, or call the application."""
        output = _answer(self.service.options.direct, self.head, self.core)
        if output is None:
            super().start()
            return
        self.connection.write(output)
        self.complete()
        self.service.ended(self)


class DirectConnection(Connection):
    """A connection with such requests."""

    __slots__ = ()

    exchange = DirectExchange

    def _begin(self, head: RequestHead) -> None:
        """Answer, or start a request.

        HOT PATH: where no proxy speaks for the client, and requests are not counted, nothing is
        needed of what a request has.
        """
        service = self.service
        if self._trust is None and service.admission is None:
            on_answered = service.on_answered
            started = 0.0 if on_answered is None else perf_counter()
            output = _answer(service.options.direct, head, self.core)
            if output is not None:
                service.requests += 1
                self.write(output)
                if on_answered is not None:
                    on_answered(self.client, head, self.core, perf_counter() - started)
                return
        super()._begin(head)


def _answer(direct: Direct | None, head: RequestHead, core: ServerExchange) -> Output | None:
    """Return the bytes of an answer that is at hand; None if the application is to be called."""
    if direct is None or head.method != "GET" or head.has_body or head.upgrade is not None:
        return None
    answer = direct(head)
    if answer is None:
        return None
    made = answer.made
    if made is None:
        made = answer.made = response_fields(answer.fields)
    core.start_response(200, made)
    return core.send_body(answer.body, False)
