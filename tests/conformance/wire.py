"""A strict reader of the answers on one connection, fed as bytes arrive.

Whatever RFC 9112 forbids in an answer raises `Malformed`; nothing is repaired. It knows the methods
of the requests, because an answer to HEAD has no body, and tells 1xx from final answers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")

Headers = list[tuple[str, str]]


class Malformed(Exception):
    """No client should accept this answer."""


@dataclass(frozen=True)
class Answer:
    """One final answer."""

    status: int
    version: str
    headers: Headers
    body: bytes
    framing: str
    """length, chunked, eof, none, or raw for what is no HTTP/1 answer."""

    def get(self, name: str) -> str | None:
        """All values of a header, joined."""
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None

    @property
    def from_app(self) -> bool:
        """Made by the echo application, not by the server itself."""
        return self.get("x-echo") == "1"

    @property
    def says_close(self) -> bool:
        options = [item.strip().lower() for item in (self.get("connection") or "").split(",")]
        return (
            "close" in options
            or self.framing == "eof"
            or (self.version == "1.0" and "keep-alive" not in options)
        )

    @property
    def echo(self) -> dict[str, Any] | None:
        """What the application saw of the request."""
        if not self.from_app:
            return None
        try:
            seen = json.loads(self.body)
        except ValueError:
            return None
        return seen if isinstance(seen, dict) and "path" in seen else None


class Wire:
    """The bytes of one connection, as answers."""

    def __init__(self, methods: list[str]) -> None:
        self.buffer = bytearray()
        self.methods = methods
        self.answers: list[Answer] = []
        self.interims: list[int] = []
        self.end = ""
        """eof or reset, once the server has ended the connection."""
        self.error = ""
        self.cut = False
        """The error is a body that ended early, with the connection."""
        self.total = 0

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self.buffer += data
        self.total += len(data)
        self._run()

    def finish(self, how: str) -> None:
        """The connection has ended."""
        if not self.end:
            self.end = how
            self._run()

    def _run(self) -> None:
        try:
            while not self.error and self.buffer and self._one():
                pass
        except Malformed as exc:
            self.error = str(exc)

    def _one(self) -> bool:
        """Takes one answer off the buffer; False if it is not complete yet."""
        buffer = self.buffer
        if not buffer.startswith(b"HTTP/"):
            if b"HTTP/".startswith(buffer) and not self.end:
                return False
            self.answers.append(Answer(0, "", [], bytes(buffer), "raw"))
            buffer.clear()
            return True
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if self.end or len(buffer) > 1 << 20:
                raise Malformed(f"a head without its end: {bytes(buffer[:80])!r}")
            return False
        first, *lines = bytes(buffer[:end]).split(b"\r\n")
        match = STATUS_LINE.fullmatch(first)
        if match is None:
            raise Malformed(f"status line {first[:80]!r}")
        status, version, headers = int(match[1]), first[5:8].decode(), [_field(x) for x in lines]
        if 100 <= status < 200 and status != 101:
            return self._interim(status, headers, end + 4)
        found = self._body(status, headers, end + 4)
        if found is None:
            return False
        body, framing, position = found
        self.answers.append(Answer(status, version, headers, body, framing))
        del buffer[:position]
        return True

    def _interim(self, status: int, headers: Headers, position: int) -> bool:
        if {"content-length", "transfer-encoding"} & {name for name, _ in headers}:
            raise Malformed(f"{status} with framing")
        self.interims.append(status)
        del self.buffer[:position]
        return True

    def _body(self, status: int, headers: Headers, start: int) -> tuple[bytes, str, int] | None:
        """Body, framing and the position behind it, by RFC 9112, 6.3."""
        buffer, index = self.buffer, len(self.answers)
        method = self.methods[index] if index < len(self.methods) else "GET"
        codings = [value for name, value in headers if name == "transfer-encoding"]
        lengths = {value for name, value in headers if name == "content-length"}
        if len(lengths) > 1 or not all(x.isascii() and x.isdigit() for x in lengths):
            raise Malformed(f"Content-Length {sorted(lengths)}")
        if codings and lengths:
            raise Malformed("Transfer-Encoding and Content-Length in one answer")
        if status == 101:
            return bytes(buffer[start:]), "raw", len(buffer)
        if method == "HEAD" or status in (204, 304):
            return b"", "none", start
        if codings:
            if codings != ["chunked"]:
                raise Malformed(f"Transfer-Encoding {codings}")
            chunks = self._chunks(start)
            return chunks and (chunks[0], "chunked", chunks[1])
        if lengths:
            end = start + int(lengths.pop())
            if len(buffer) < end:
                return self._incomplete(f"{len(buffer) - end} bytes of the body")
            return bytes(buffer[start:end]), "length", end
        return (bytes(buffer[start:]), "eof", len(buffer)) if self.end else None

    def _chunks(self, position: int) -> tuple[bytes, int] | None:
        buffer, parts = self.buffer, []
        while (end := buffer.find(b"\r\n", position)) >= 0:
            line = bytes(buffer[position:end])
            match = CHUNK_LINE.fullmatch(line)
            if match is None:
                raise Malformed(f"chunk line {line[:60]!r}")
            size, position = int(match[1], 16), end + 2
            if size == 0:
                return self._trailers(b"".join(parts), position)
            if len(buffer) < position + size + 2:
                break
            if buffer[position + size : position + size + 2] != b"\r\n":
                raise Malformed("no CRLF behind a chunk")
            parts.append(bytes(buffer[position : position + size]))
            position += size + 2
        return self._incomplete("a chunk")

    def _trailers(self, body: bytes, position: int) -> tuple[bytes, int] | None:
        while (end := self.buffer.find(b"\r\n", position)) >= 0:
            line, position = bytes(self.buffer[position:end]), end + 2
            if not line:
                return body, position
            _field(line)
        return self._incomplete("the trailers")

    def _incomplete(self, what: str) -> None:
        if self.end:
            self.cut = True
            raise Malformed(f"the end of the connection is missing {what}")


def _field(line: bytes) -> tuple[str, str]:
    match = FIELD_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"field line {line[:80]!r}")
    return match[1].decode().lower(), match[2].decode("latin-1").strip(" \t")
