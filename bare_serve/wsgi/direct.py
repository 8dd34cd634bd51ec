"""Requests whose answers are at hand are answered without a call of the application.

What lives here: `Service` with one more way to an answer. What must not: which answers these are
(http/direct.py), all other requests (service.py). Imported only by a worker that has such answers.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from bare_serve.http import RequestHead, ServerExchange
from bare_serve.http.direct import Direct
from bare_serve.http1 import response_fields
from bare_serve.wsgi.environ import Environ
from bare_serve.wsgi.interfaces import Client
from bare_serve.wsgi.response import Exchange
from bare_serve.wsgi.service import Service, transmit


class DirectService(Service):
    """The application of a worker, and answers that need no call of it."""

    def __init__(self, direct: Direct, *given: Any) -> None:
        """`given`: as of `Service`."""
        super().__init__(*given)
        self._direct = direct

    def answered(self, connection: Client, head: RequestHead) -> bool:
        """Answer, if the answer is at hand; return whether it was."""
        if head.method != "GET" or head.has_body or head.upgrade is not None:
            return False
        on_answered = self._on_answered
        started = 0.0 if on_answered is None else perf_counter()
        answer = self._direct(head)
        if answer is None:
            return False
        made = answer.made
        if made is None:
            made = answer.made = response_fields(answer.fields)
        http = connection.http
        http.start_response(200, made)
        transmit(connection, http.send_body(answer.body, False))
        if on_answered is not None:
            on_answered(connection.client, head, http, perf_counter() - started)
        return True

    def call(
        self,
        connection: Client,
        head: RequestHead,
        environ: Environ,
        new_exchange: Callable[[ServerExchange, Client], Exchange] = Exchange,
    ) -> None:
        """Answer, or call the application."""
        if not self.answered(connection, head):
            super().call(connection, head, environ, new_exchange)
