"""Requests whose answers are at hand are answered as they begin, without a task and a call.

What lives here: the class of such requests, and that of the connections that make them. What must
not: which answers these are (http/direct.py), all other requests (exchange.py). Imported only by a
worker that has such answers.
"""

from __future__ import annotations

from bare_serve.asgi.connection import Connection
from bare_serve.asgi.exchange import Exchange
from bare_serve.http1 import response_fields


class DirectExchange(Exchange):
    """A request that may be answered without the application."""

    __slots__ = ()

    def start(self) -> None:
        """Answer, or call the application."""
        service, head = self.service, self.head
        direct = service.options.direct
        if direct is None or head.method != "GET" or head.has_body:
            super().start()
            return
        answer = direct(head)
        if answer is None:
            super().start()
            return
        made = answer.made
        if made is None:
            made = answer.made = response_fields(answer.fields)
        core = self.core
        core.start_response(200, made)
        self.connection.write(core.send_body(answer.body, False))
        self.complete()
        service.ended(self)


class DirectConnection(Connection):
    """A connection with such requests."""

    __slots__ = ()

    exchange = DirectExchange
