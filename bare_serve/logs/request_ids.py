"""Which id, and which trace, a request has, as logs tell it.

What lives here: where the two are found. What must not: lines (access_format.py, access_atoms.py).

The answer's X-Request-ID comes first: it is what the client was told, by a middleware that has made
or refused an id. Only then the request's own. A trace is told only if its traceparent is sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

Field = tuple[bytes, bytes]
ID = b"x-request-id"
TRACE = b"traceparent"
_START = ID + b":"
_LENGTH = len(_START)


_SHOWN = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}").fullmatch
"""Ids that stand in a line of the log as they are: what a client sends is not the log's to tell."""


class Asked(Protocol):
    """A request with its fields, names in lower case."""

    @property
    def method(self) -> str: ...

    @property
    def target(self) -> bytes: ...

    @property
    def headers(self) -> Sequence[Field]: ...


class Answered(Protocol):
    """An answer with the lines that the application gave."""

    @property
    def answer_lines(self) -> Sequence[bytes]: ...


def request_id_of(request: Asked, answer: Answered | None) -> str:
    """Return the id of a request, as it was sent; empty for none. `answer`: None for none yet."""
    for line in () if answer is None else answer.answer_lines:
        if line[:_LENGTH].lower() == _START:
            return line[_LENGTH:].strip().decode("latin-1")
    found = [value for name, value in request.headers if name == ID]
    return b",".join(found).decode("latin-1")


def id_told(request: Asked, answer: Answered | None) -> str:
    """Return the id as it stands behind a request in a line for people; empty for none."""
    found = request_id_of(request, answer)
    return f" (id {found})" if found and _SHOWN(found) else ""


def trace_id_of(request: Asked) -> str:
    """Return the id of a request's trace, 32 hex digits; empty for none."""
    found = [value for name, value in request.headers if name == TRACE]
    if len(found) != 1:
        return ""
    from bare_serve.http.trace_context import trace_id  # few requests have one

    return trace_id(found[0]) or ""


def kept(answered: Iterable[Field], asked: Iterable[Field]) -> tuple[Field, ...]:
    """Return the fields that tell id and trace, for what forgets all others while it is open."""
    ids = [field for field in answered if field[0].lower() == ID]
    ids = ids or [field for field in asked if field[0] == ID]
    traces = [field for field in asked if field[0] == TRACE]
    return tuple((name.lower(), value) for name, value in (*ids[:1], *traces))
