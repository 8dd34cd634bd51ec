"""Interim answers of a connection (RFC 9110, 15.2): what a client is told before its answer.

What lives here: 100 Continue, 103 Early Hints, and what finds out whether the client has left. What
must not: final answers (connection.py), reading (reader.py), when any of these is sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from bare_serve.clauses import mistake
from bare_serve.http import BODY, Field
from bare_serve.http1.reader import RequestReader
from bare_serve.http1.response import CONTINUE, ResponseFields, status_line


class InterimAnswers(RequestReader):
    """The reader that can also send what comes before an answer."""

    __slots__ = ()

    @property
    def awaits_continue(self) -> bool:
        """The client holds its body back until it is told to go on."""
        head = self.head
        return (
            self._state == BODY
            and head is not None
            and head.expect_continue
            and not (self._continue_sent or self.response_started)
        )

    def continue_expected(self) -> bytes:
        """`100 Continue` when the application first wants the body and the client waits for
        leave to send it (RFC 9110, 10.1.1); otherwise nothing."""
        head = self.head
        if head is None or not head.expect_continue or self._continue_sent:
            return b""
        self._continue_sent = True
        if self.response_started or self._state != BODY or self.buffered:
            return b""
        return CONTINUE

    def informational(self, status: int, headers: Iterable[Field]) -> bytes:
        """Return an interim answer such as 103 (RFC 9110, 15.2); nothing for HTTP/1.0.

        Raises:
            ResponseError: the final answer has started, or the status is not 102 to 199.
        """
        if self.response_started:
            raise mistake("http-interim", "an informational answer must come before the final one")
        if type(status) is not int or not 102 <= status <= 199:
            raise mistake("http-interim", f"an informational status is 102 to 199, not {status!r}")
        lines = ResponseFields(headers).lines
        if self.head is None or self.head.is_http10:
            return b""
        return b"".join((status_line(status), *lines, b"\r\n"))

    def probe(self) -> bytes:
        """Return what any client takes before its answer (RFC 9110, 15.2).

        The system of a client that has left answers it with a reset. Nothing where there is no
        such thing, as in HTTP/1.0.
        """
        if self.response_started or self.head is None or self.head.is_http10:
            return b""
        return CONTINUE
