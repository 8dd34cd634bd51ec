"""A request in a line of the error log.

What lives here: method and target as text that a client cannot forge a line with. What must not:
the access log, which has formats of its own (logs/access_format.py).
"""

from __future__ import annotations

from typing import Protocol


class Request(Protocol):
    """What is told of a request: RequestHead of HTTP/1.1, for instance."""

    @property
    def method(self) -> str: ...

    @property
    def target(self) -> bytes: ...


def describe(request: Request, longest: int | None = None) -> str:
    """Return method and target; of the target's bytes only the first `longest`, if given."""
    return f"{request.method} {describe_target(request.target[:longest])}"


def refusal(client: str, request: Request | None, error: object) -> str:
    """Return a line about a request that is refused.

    Args:
        client: its address; empty for a unix socket.
        request: what was asked for; None if that is not known.
        error: the status and why.
    """
    what = "" if request is None else f": {describe(request, 200)}"
    return f"{client or '-'}: refused: {error}{what}"


def describe_target(target: bytes) -> str:
    """Return a target in ASCII: no control character in it can end the line or move a cursor."""
    return ascii(target.decode("latin-1"))[1:-1]
