"""Answers that are at hand: what a server may send without a call of the application.

What lives here: the record of such an answer, and the type of what finds it. What must not: who
makes them (middleware/static_direct.py), how they are sent (asgi/direct.py, wsgi/direct.py).

A server asks only for a GET without a body, and sends what it is given as it would send the same
answer of the application. None means that the application is to be called, which is right for
every request: what finds answers leaves to it all that is not plain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bare_serve.http.fields import Field
from bare_serve.http.head import RequestHead


class DirectAnswer:
    """A 200: fields with their Content-Length, and the body. Immutable but for `made`."""

    __slots__ = ("body", "fields", "made")

    def __init__(self, fields: Sequence[Field], body: bytes) -> None:
        self.fields = fields
        self.body = body
        self.made: Any = None
        """What the server has made of the fields; its own."""


Direct = Callable[[RequestHead], DirectAnswer | None]
"""Must not raise, and must not wait; several threads call it."""
