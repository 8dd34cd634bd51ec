"""The httptools parser: llhttp, in C, for the head alone.

What lives here: the adapter and the list of llhttp's ways. What must not: bodies. llhttp sees
one head at a time and never a byte behind it, so its readings of bodies, trailers, upgrades and
pipelines cannot differ from ours: they do not happen.

llhttp's ways, each pinned by tests/http1/test_parsers.py:
- stricter: refuses methods it does not know. We return None, the scanner decides.
- laxer: leaves trailing HTAB on values, passes 2.0 and any Host. Each field is checked here.
- it waits for a body and stops at an upgrade: a new parser is made then.
- it takes nothing behind "Connection: close": neither do we, so there is no next head.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http1.field_lines import read, remembered
from bare_serve.http1.grammar import REQUEST_LINE


class HttptoolsHeadParser:
    """One per connection: llhttp keeps state from head to head."""

    __slots__ = ("_complete", "_lines", "_llhttp")

    def __init__(self) -> None:
        self._llhttp: HttpRequestParser | None = None
        self._lines: list[bytes] = []
        self._complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp's callback, once a field line."""
        self._lines.append(name + b":" + value)

    def on_message_complete(self) -> None:
        """llhttp's callback: the head had no body, so the parser is ready for another."""
        self._complete = True

    def parse(self, block: bytes) -> tuple[bytes, bytes, int, list[Field]] | None:
        """See `HeadParser.parse`."""
        line_end = block.index(b"\r\n")
        match = REQUEST_LINE.fullmatch(block, 0, line_end)
        if match is None or match[3] != b"1":
            return None
        lines: list[bytes] = []
        self._lines = lines
        self._complete = False
        if (llhttp := self._llhttp) is None:
            llhttp = self._llhttp = HttpRequestParser(self)
        try:
            llhttp.feed_data(block)
        except HttpParserUpgrade:
            self._llhttp = None
        except HttpParserError:
            self._llhttp = None
            return None
        if not self._complete:
            self._llhttp = None
        self._lines = []  # an idle connection keeps 1 KB less
        if block.count(b"\r\n") - 2 != len(lines):  # a folded line, or one too many
            return None
        try:
            headers = [remembered(line) or read(line) for line in lines]
        except RequestError:
            return None
        return match[1], match[2], 0 if match[4] == b"0" else 1, headers
