"""What both lints check of an answer: its head, and that the body fits to it.

What lives here: the checks of HTTP itself. Refusals are those of the server's own code, so that
lint and server cannot disagree; advice is made here. What must not: the order and the shape of
calls and messages (lint_wsgi.py, lint_asgi.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from bare_serve.clauses import mistake
from bare_serve.http.fields import HOP_BY_HOP, Field
from bare_serve.http1.response import ResponseFields, status_line
from bare_serve.testing.verdicts import Advise, SpecError

_NO_CONTENT = (204, 205, 304)


class CheckedHead:
    """A status and headers that are sound, and what they say of the body."""

    __slots__ = ("has_type", "length", "status")

    def __init__(self, status: int, length: int | None, has_type: bool) -> None:
        self.status = status
        self.length = length
        self.has_type = has_type


def check_head(
    status: int, reason: bytes, fields: Iterable[Field], hop_by_hop: str, advise: Advise
) -> CheckedHead:
    """Return a head that is checked.

    Args:
        status: as the application gave it.
        reason: its phrase; empty for the usual one.
        fields: names and values, as bytes.
        hop_by_hop: the clause about headers of the connection.
        advise: takes advice.

    Raises:
        ResponseError: as the server would.
        SpecError: `hop_by_hop` is broken, and is an error.
        TypeError, ValueError: `fields` are no pairs.
    """
    status_line(status, reason)
    if status < 200:
        raise mistake("http-status-final", f"a final status is 200 to 999, not {status}")
    pairs = list(fields)
    checked = ResponseFields(pairs)
    if status > 599:
        advise("http-status-class", f"the status is {status}")
    seen: set[bytes] = set()
    for name, value in pairs:
        lower = name.lower()
        if b"_" in lower:
            advise("http-field-underscore", f"the header {name!r} has an underscore")
        if lower in HOP_BY_HOP and _is_misplaced(lower, value, status, hop_by_hop):
            got = f"the header {name!r} is the connection's, and has the value {value!r}"
            if hop_by_hop == "wsgi-headers-hop-by-hop":
                raise SpecError(hop_by_hop, got)
            advise(hop_by_hop, got)
        if lower == b"content-length" and lower in seen:
            advise("http-content-length-repeated", f"Content-Length is given twice as {value!r}")
        seen.add(lower)
    return CheckedHead(status, checked.length, b"content-type" in seen)


def _is_misplaced(lower: bytes, value: bytes, status: int, clause: str) -> bool:
    # RFC 9110, 15.5.22: a 426 must say to what. The ASGI specification has no word on Connection.
    if lower == b"upgrade" and status == 426:
        return False
    return clause == "wsgi-headers-hop-by-hop" or lower not in (b"connection", b"keep-alive")


class Body:
    """The body of one answer, as far as it has come."""

    __slots__ = ("_advise", "_clauses", "head", "is_head", "sent")

    def __init__(self, *, is_head: bool, clauses: str, advise: Advise) -> None:
        """`is_head`: the method is HEAD; `clauses`: those of lengths begin so."""
        self.head: CheckedHead | None = None
        self.is_head = is_head
        self.sent = 0
        self._clauses = clauses
        self._advise = advise

    def add(self, count: int) -> None:
        """Count bytes of body.

        Raises:
            SpecError: they are more than Content-Length says.
        """
        self.sent += count
        head = self.head
        if head is None or head.length is None or self.sent <= head.length:
            return
        if not self._is_dropped(head):
            got = f"Content-Length is {head.length}, and the body has {self.sent} bytes or more"
            raise SpecError(f"{self._clauses}-length-over", got)

    def end(self) -> None:
        """Judge the body, which is complete.

        Raises:
            SpecError: it is shorter than Content-Length says.
        """
        head = self.head
        if head is None:
            return
        length = head.length
        if length is not None and self.sent < length and not self._is_dropped(head):
            got = f"Content-Length is {length}, and the body has {self.sent} bytes"
            raise SpecError(f"{self._clauses}-length-short", got)
        if head.status in _NO_CONTENT:
            if self.sent:
                got = f"the answer has the status {head.status} and {self.sent} bytes of body"
                self._advise("http-no-content", got)
            elif length and head.status != 304:
                got = f"the answer has the status {head.status} and Content-Length {length}"
                self._advise("http-no-content", got)
        elif self.sent:
            if self.is_head:
                self._advise("http-head-body", f"the answer to HEAD has {self.sent} bytes of body")
            if not head.has_type:
                self._advise("http-content-type", "the answer has a body and no Content-Type")

    def _is_dropped(self, head: CheckedHead) -> bool:
        return self.is_head or head.status in _NO_CONTENT
