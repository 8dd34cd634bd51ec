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

    def call(
        self,
        connection: Client,
        head: RequestHead,
        environ: Environ,
        new_exchange: Callable[[ServerExchange, Client], Exchange] = Exchange,
    ) -> None:
        """Answer, or call the application.

        In the place of a call, so that a file system which hangs holds up one thread, as it does
        where the application asks for a file.
        """
        on_answered = self._on_answered
        connection.started = started = 0.0 if on_answered is None else perf_counter()
        is_plain = head.method == "GET" and not head.has_body and head.upgrade is None
        answer = self._direct(head) if is_plain else None
        if answer is None:
            super().call(connection, head, environ, new_exchange)
            return
        made = answer.made
        if made is None:
            made = answer.made = response_fields(answer.fields)
        http = connection.http
        http.start_response(200, made)
        transmit(connection, http.send_body(answer.body, False))
        if on_answered is not None:
            on_answered(connection.client, head, http, perf_counter() - started)
