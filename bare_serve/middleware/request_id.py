"""A name for each request, that the client, the application and the logs share.

A client's own id is taken if it could be one: up to 128 characters of which none can end a line,
a field or a quotation. Any other is neither told nor logged; the request gets an id of 128 random
bits. The application finds it as `request_id` in environ or scope and in the request's field; the
answer, or the acceptance of a WebSocket, says it as well.
"""

from __future__ import annotations

import re

from bare_serve.middleware.headers import checked
from bare_serve.middleware.ids import new_id
from bare_serve.middleware.policy import Exchange, Head, Headers

_GOOD = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}").fullmatch


class RequestId:
    """`request-id`: gives each request an id."""

    def __init__(self, header: str = "X-Request-ID", trust: bool = True) -> None:
        """Say where the id stands.

        Args:
            header: the field of request and answer that has it.
            trust: take the id that a client has sent, if it is one.

        Raises:
            ValueError: `header` is no name of a field.
        """
        self._header, _ = checked(header, "")
        self._trust = trust

    def begin(self, request: Head) -> Exchange:
        """Take the client's id or make one."""
        given = request.header(self._header) if self._trust else None
        if given is None or not _GOOD(given):
            given = new_id()
            request.put_header(self._header, given)
        request.put("request_id", given)
        return _Said(self._header, given)


class _Said(Exchange):
    __slots__ = ("_header", "_value")

    def __init__(self, header: str, value: str) -> None:
        self._header = header
        self._value = value

    def start(self, status: int, headers: Headers) -> None:
        headers.set(self._header, self._value)
