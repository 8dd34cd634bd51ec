"""How the tests of the core drive it: raw bytes in any pieces in, what a server did with them out.

`play` is a server in small: it answers each request at once with a fixed answer, as soon as the
request is complete. `agreed` is how every parser case is run: whole, byte by byte and with trailing
bytes, on each parser, and all runs must tell the same story. `parse_answers` reads what was written
with a strict parser of its own, so that nothing is checked against the code that made it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import BODY, Limits, RequestHead
from bare_serve.http1 import (
    END_OF_BODY,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    ServerConnection,
    select_parser,
)

PARSERS = ("python", "httptools")

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
ANSWER = b"answer"

Fields = list[tuple[bytes, bytes]]


def connect(
    parser: str = "python", limits: Limits | None = None, *, persistent: bool = True
) -> ServerConnection:
    """A connection as the skins make it."""
    made = select_parser(parser).make()
    return ServerConnection(made, limits or Limits(), persistent=persistent)


@dataclass
class Exchange:
    """One request as the application would see it."""

    method: str
    target: bytes
    path: bytes
    query: bytes
    version: str
    headers: Fields
    length: int | None
    chunked: bool
    expect_continue: bool
    keep_alive: bool
    upgrade: bytes | None
    body: bytes = b""
    complete: bool = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that stands once at most."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2
        return values[0] if values else None


@dataclass
class Story:
    """What came of some bytes."""

    exchanges: list[Exchange] = field(default_factory=list)
    error: tuple[int, str] | None = None
    """Status and reason with which the last request was refused."""
    end: str = "open"
    """open (idle), waiting (in the middle of a request), closed, or gone."""
    wire: bytes = b""
    """All that was written, without Date lines."""

    @property
    def only(self) -> Exchange:
        """The single request, complete and not refused."""
        assert self.error is None, self
        assert len(self.exchanges) == 1, self
        assert self.exchanges[0].complete, self
        return self.exchanges[0]

    @property
    def status(self) -> int:
        """The status a refused request got; nothing but good requests may have come before."""
        assert self.error is not None, self
        return self.error[0]


def _seen(head: RequestHead) -> Exchange:
    return Exchange(
        head.method,
        head.target,
        head.raw_path,
        head.query,
        head.version,
        list(head.headers),
        head.content_length,
        head.chunked,
        head.expect_continue,
        head.keep_alive,
        head.upgrade,
    )


class Player:
    """A server in small around one connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.story = Story()

    def feed(self, data: bytes) -> None:
        """Bytes from the client; all that follows from them happens."""
        self.connection.receive_data(data)
        self._run()

    def feed_eof(self) -> None:
        """The client's end of sending."""
        self.connection.receive_eof()
        self._run()

    def finish(self) -> Story:
        """The story as far as it goes."""
        story = self.story
        if story.end == "open":
            started = story.exchanges and not story.exchanges[-1].complete
            if started or self.connection.buffered:
                story.end = "waiting"
        story.wire = re.sub(rb"\r\nDate: [^\r]*", b"", story.wire)
        return story

    def _run(self) -> None:
        try:
            while self.story.end == "open" and self._step():
                pass
        except RequestError as error:
            self.story.error = (error.status, error.reason)
            self.story.wire += self.connection.error_response(error)
            self.story.end = "closed"
            assert self.connection.linger
            assert self.connection.next_event() is MUST_CLOSE
        except ClientGone:
            self.story.end = "gone"

    def _step(self) -> bool:
        event = self.connection.next_event()
        exchanges = self.story.exchanges
        if event is NEED_DATA:
            return False
        if event is MUST_CLOSE:
            self.story.end = "closed"
        elif event is PAUSED:
            assert self.connection.phase != BODY
            exchanges[-1].complete = True
            self.connection.start_response(200, [])
            written = self.connection.send_body(ANSWER, False)
            assert isinstance(written, bytes)
            self.story.wire += written
        elif event is END_OF_BODY:
            assert not exchanges[-1].complete
            exchanges[-1].complete = True
        elif isinstance(event, RequestHead):
            assert not exchanges or exchanges[-1].complete
            exchanges.append(_seen(event))
        else:
            assert isinstance(event, bytes)
            assert event, "an empty piece of body"
            exchanges[-1].body += event
        return True


def play(
    pieces: Iterable[bytes],
    *,
    parser: str = "python",
    limits: Limits | None = None,
    eof: bool = False,
) -> Story:
    """What a server does when `pieces` arrive one after the other."""
    player = Player(connect(parser, limits))
    for piece in pieces:
        player.feed(piece)
    if eof:
        player.feed_eof()
    return player.finish()


def bytewise(raw: bytes) -> list[bytes]:
    """Each byte by itself."""
    return [raw[i : i + 1] for i in range(len(raw))]


def agreed(
    raw: bytes, *, limits: Limits | None = None, eof: bool = False, trailing: bytes = NEXT
) -> Story:
    """The one story that both parsers tell of `raw`: whole, byte by byte, with trailing bytes.

    Trailing bytes are a next request. It must be served if the connection was open, and not be
    looked at if it was closed. A request that is not complete has nothing behind it.
    """
    story = play([raw], limits=limits, eof=eof)
    for parser in PARSERS:
        for pieces in ([raw], bytewise(raw)):
            other = play(pieces, parser=parser, limits=limits, eof=eof)
            assert other == story, f"{parser}, {len(pieces)} pieces"
        if story.end in ("open", "closed") and not eof:
            for pieces in ([raw + trailing], [*bytewise(raw), trailing]):
                other = play(pieces, parser=parser, limits=limits)
                _check_trailing(story, other)
    return story


def _check_trailing(story: Story, other: Story) -> None:
    if story.end == "closed":
        assert other == story, "what stands behind the end was looked at"
    else:
        count = len(story.exchanges)
        assert other.exchanges[:count] == story.exchanges
        assert [e.target for e in other.exchanges[count:]] == [b"/next"]
        assert other.error is None
        assert other.wire.startswith(story.wire)


# ------------------------------------------------------------------------------------ answers

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t\x20-\x7e\x80-\xff]*)")


@dataclass
class Answer:
    """One answer on the wire."""

    status: int
    headers: Fields
    body: bytes = b""
    framing: str = "none"

    def header(self, name: str) -> bytes | None:
        """The value of a header that stands once at most."""
        wanted = name.lower().encode()
        values = [value for key, value in self.headers if key == wanted]
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None


def parse_answers(wire: bytes, methods: Iterable[str] = (), *, eof: bool = False) -> list[Answer]:
    """All answers in `wire`; nothing may be left over.

    `methods` are those of the requests, GET where there are fewer; a 1xx takes none of them.
    With `eof` an answer without a length goes on to the end.
    """
    answers: list[Answer] = []
    asked = iter(methods)
    while wire:
        head, blank, wire = wire.partition(b"\r\n\r\n")
        assert blank, f"a head without its end: {head!r}"
        first, *lines = head.split(b"\r\n")
        match = STATUS_LINE.fullmatch(first)
        assert match, f"not a status line: {first!r}"
        answer = Answer(int(match[1]), [_field(line) for line in lines])
        answers.append(answer)
        method = "GET" if answer.status < 200 else next(asked, "GET")
        wire = _take_body(answer, method, wire, eof)
    return answers


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = FIELD_LINE.fullmatch(line)
    assert match, f"not a field line: {line!r}"
    return match[1].lower(), match[2]


def _take_body(answer: Answer, method: str, wire: bytes, eof: bool) -> bytes:
    """Reads the body as RFC 9112, 6.3 says a client must; gives back what stands behind it."""
    length, coding = answer.header("content-length"), answer.header("transfer-encoding")
    assert length is None or coding is None, "both a length and a transfer coding"
    if answer.status < 200 or answer.status == 204:
        assert length is None, "a length where RFC 9110, 8.6 forbids one"
        assert coding is None, "a coding where RFC 9112, 6.1 forbids one"
        return wire
    if method == "HEAD" or answer.status == 304:
        return wire
    if coding is not None:
        assert coding == b"chunked"
        answer.framing = "chunked"
        answer.body, wire = _dechunk(wire)
    elif length is not None:
        answer.framing = "length"
        size = int(length)
        assert len(wire) >= size, "a body cut short"
        answer.body, wire = wire[:size], wire[size:]
    else:
        assert eof, "only the end of the connection could end this answer"
        answer.framing = "eof"
        answer.body, wire = wire, b""
    return wire


def _dechunk(wire: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, crlf, wire = wire.partition(b"\r\n")
        assert crlf, "a chunk line without its end"
        assert re.fullmatch(rb"[0-9a-f]+", line), f"not a chunk size: {line!r}"
        size = int(line, 16)
        assert wire[size : size + 2] == b"\r\n", "no CRLF behind a chunk"
        if size == 0:
            return body, wire[2:]
        body += wire[:size]
        wire = wire[size + 2 :]
