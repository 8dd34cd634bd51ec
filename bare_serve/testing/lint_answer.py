"""What both lints check of an answer: its head, and that the body fits to it.

What lives here: the checks of HTTP itself. Refusals are those of the server's own code, so that
lint and server cannot disagree; advice is that of http1/remarks.py. What must not: the order and
the shape of calls and messages (lint_wsgi.py, lint_asgi.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from bare_serve.clauses import mistake
from bare_serve.http.fields import Field
from bare_serve.http1.remarks import NO_CONTENT, body_remarks, head_remarks
from bare_serve.http1.response import ResponseFields, status_line
from bare_serve.testing.verdicts import Advise, SpecError


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
    for clause, got in head_remarks(status, pairs, hop_by_hop):
        if clause == "wsgi-headers-hop-by-hop":
            raise SpecError(clause, got)
        advise(clause, got)
    seen = {name.lower() for name, _ in pairs}
    return CheckedHead(status, checked.length, b"content-type" in seen)


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
        said = body_remarks(
            head.status, length, self.sent, has_type=head.has_type, is_head=self.is_head
        )
        for remark in said:
            self._advise(*remark)

    def _is_dropped(self, head: CheckedHead) -> bool:
        return self.is_head or head.status in NO_CONTENT
