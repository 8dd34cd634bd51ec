"""What an answer does that works, and is most likely not meant, by the clauses of HTTP.

What lives here: remarks on a head and on a whole body, as pairs of a clause's id and what was got.
What must not: refusals, which are made where the answer is (response.py); what becomes of a remark:
the lint of testing/ and the x-ray of wsgi/ and asgi/ each have their own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bare_serve.http.fields import HOP_BY_HOP, Field

Remark = tuple[str, str]
"""The id of a clause, and what was got."""

NO_CONTENT: Final = (204, 205, 304)
_WSGI_HOP_BY_HOP: Final = "wsgi-headers-hop-by-hop"


def head_remarks(status: int, fields: Iterable[Field], hop_by_hop: str) -> Iterator[Remark]:
    """Yield what is to be said of a status and fields that can be sent.

    `hop_by_hop`: the clause of the interface about fields of the connection.
    """
    if status > 599:
        yield "http-status-class", f"the status is {status}"
    seen: set[bytes] = set()
    for name, value in fields:
        lower = name.lower()
        if b"_" in lower:
            yield "http-field-underscore", f"the header {name!r} has an underscore"
        if lower in HOP_BY_HOP and _is_misplaced(lower, status, hop_by_hop):
            got = f"the header {name!r} is the connection's, and has the value {value!r}"
            yield hop_by_hop, got
        if lower == b"content-length" and lower in seen:
            yield "http-content-length-repeated", f"Content-Length is given twice as {value!r}"
        seen.add(lower)


def status_remarks(status: str, fields: Iterable[Field]) -> Iterator[Remark]:
    """Yield what is to be said of a status of PEP 3333, and of a field in its place."""
    if status[3:4] != " " or status != status.strip():
        yield "wsgi-status-reason", f"the status is {status!r}"
    if any(name.lower() == b"status" for name, _ in fields):
        yield "wsgi-headers-status", "there is a header named Status"


def case_remarks(fields: Iterable[Field]) -> Iterator[Remark]:
    """Yield what is to be said of names that ASGI wants in lower case."""
    names = ", ".join(repr(name) for name, _ in fields if name != name.lower())
    if names:
        yield "asgi-headers-case", f"the headers {names} have capitals"


def body_remarks(
    status: int, length: int | None, sent: int, *, has_type: bool, is_head: bool
) -> Iterator[Remark]:
    """Yield what is to be said of an answer that is complete.

    Args:
        status: of the answer.
        length: its Content-Length; None if it has none.
        sent: bytes of body that the application gave, sent or not.
        has_type: whether there is a Content-Type.
        is_head: whether the method is HEAD.
    """
    if status in NO_CONTENT:
        if sent:
            got = f"the answer has the status {status} and {sent} bytes of body"
            yield "http-no-content", got
        elif length and status != 304:
            yield (
                "http-no-content",
                f"the answer has the status {status} and Content-Length {length}",
            )
    elif sent:
        if is_head:
            yield "http-head-body", f"the answer to HEAD has {sent} bytes of body"
        if not has_type:
            yield "http-content-type", "the answer has a body and no Content-Type"


def _is_misplaced(lower: bytes, status: int, clause: str) -> bool:
    # RFC 9110, 15.5.22: a 426 must say to what. The ASGI specification has no word on Connection.
    if lower == b"upgrade" and status == 426:
        return False
    return clause == _WSGI_HOP_BY_HOP or lower not in (b"connection", b"keep-alive")
