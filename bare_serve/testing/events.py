"""Lines and server-sent events in the pieces of a body, without I/O.

What lives here: bytes in, lines or events out (WHATWG HTML, 9.2.6). What must not: where pieces
come from.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `retry` in milliseconds, of the last field that named one."""

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class LineSplitter:
    """Cuts UTF-8 into lines, which end with CRLF, LF or CR."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, piece: bytes) -> list[str]:
        """Return the lines that are complete with this piece, without their ends."""
        return self._cut(self._decode(piece), final=False)

    def end(self) -> list[str]:
        """Return what is left when there is no further piece: one line at most."""
        lines = self._cut(self._decode(b"", True), final=True)
        rest, self._rest = self._rest, ""
        return [*lines, rest] if rest else lines

    def _cut(self, text: str, *, final: bool) -> list[str]:
        text = self._rest + text
        held = ""
        if text.endswith("\r") and not final:  # an LF may follow
            text, held = text[:-1], "\r"
        *lines, rest = _END.split(text)
        self._rest = rest + held
        return lines


class EventParser:
    """Makes events of the lines of an event stream."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._event = ""
        self._id = ""
        self._retry: int | None = None
        self._first = True

    def feed(self, line: str) -> Event | None:
        """Take a line; return the event that it ends."""
        if self._first:
            self._first = False
            line = line.removeprefix("\ufeff")
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self._retry = int(value)
        return None

    def _end(self) -> Event | None:
        data, name = self._data, self._event or "message"
        self._data, self._event = [], ""
        if not data:
            return None
        return Event("\n".join(data), name, self._id, self._retry)
