"""What must hold for any bytes at all: the invariants the fuzzer hunts for.

`requests` plays bytes as a client's stream, `answers` gives them to the answering half as an
application's status and headers, `proxy_headers` reads them as what a proxy sends first. Each
raises AssertionError, or whatever the core should not have raised, by its arguments alone, so
that a finding can be played again. What is to guide the fuzzer is done within `traced`; tracing is
slow.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from random import Random

from bare_serve.errors import ProxyProtocolError, ResponseError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import ServerConnection
from bare_serve.net.proxy_protocol import MAX_BLOCK, ProxyHeader, ProxyHeaderReader
from tests.http1.fresh import same_as_fresh
from tests.http1.harness import PARSERS, Player, Story, bytewise, connect, parse_answers

TIGHT = Limits(request_line=80, headers=8, header_size=256, body=64, chunk_extensions=16, drain=32)
# What a connection may hold back, whatever it has been sent: a request line or all field lines,
# with a line end. A complete request is never held back by `Player`.
LARGEST_HELD = TIGHT.request_line + TIGHT.header_size + 16


def requests(raw: bytes, random: Random, traced: AbstractContextManager[object]) -> None:
    """Both parsers and all segmentations tell one story, and each answer can be read."""
    eof = random.random() < 0.5
    with traced:
        story = _play([raw], "python", eof)
    ways = [[raw], _cut(raw, random)]
    if len(raw) < 300:
        ways.append(bytewise(raw))
    for parser in PARSERS:
        for pieces in ways:
            other = _play(pieces, parser, eof)
            assert other == story, f"{parser} in {len(pieces)} pieces: {other} is not {story}"
    _read_answers(story, raw)
    _walk(raw, random)


LINES = [
    *(b"GET /", b"GET /a?b", b"POST /a%20b", b"OPTIONS *", b"HEAD http://x/", b"GET /#", b"M /"),
    b"GET /" + b"a" * 80,
]


def _walk(raw: bytes, random: Random) -> None:
    """The fields of `raw` come again, behind other request lines: as if they were new."""
    line, _, rest = raw.partition(b"\r\n")
    lines = [line, *(random.choice(LINES) + line[line.rfind(b" ") :] for _ in range(3)), line]
    block = rest.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for parser in PARSERS:
        same_as_fresh([each + b"\r\n" + block for each in lines], parser, TIGHT)


def _play(pieces: list[bytes], parser: str, eof: bool) -> Story:
    player = Player(connect(parser, TIGHT))
    for piece in pieces:
        player.feed(piece)
        held = player.connection.buffered
        assert held <= LARGEST_HELD or player.story.end != "open", f"{held} bytes are held back"
    if eof:
        player.feed_eof()
    return player.finish()


def _cut(raw: bytes, random: Random) -> list[bytes]:
    places = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(1, 8)))
    edges = [0, *places, len(raw)]
    return [raw[a:b] for a, b in pairwise(edges) if a < b]


def _read_answers(story: Story, raw: bytes) -> None:
    """Each request has one answer that can be read, and a refusal is the last one."""
    methods = [exchange.method for exchange in story.exchanges]
    refused = story.error is not None and (not methods or story.exchanges[-1].complete)
    tries = [[*methods, "GET"], [*methods, "HEAD"]] if refused else [methods]
    for attempt in tries:
        try:
            answers = parse_answers(story.wire, attempt, eof=True)
        except AssertionError:
            if attempt is tries[-1]:
                raise
            continue
        complete = sum(exchange.complete for exchange in story.exchanges)
        assert len(answers) == complete + (story.error is not None), (story, raw)
        if story.error is not None:
            assert answers[-1].status == story.error[0]
            assert answers[-1].header("connection") == b"close"
        return


REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
]


def answers(raw: bytes, random: Random, traced: AbstractContextManager[object]) -> None:
    """What an application says is refused to it, or becomes exactly one answer."""
    reason, *lines = raw.split(b"|")
    headers = [(name, value) for name, _, value in (line.partition(b"=") for line in lines)]
    status = random.choice([200, 200, 204, 205, 304, 404, 500, 999])
    with traced:
        connection = connect("python", TIGHT)
        connection.receive_data(random.choice(REQUESTS))
        head = connection.next_event()
        assert isinstance(head, RequestHead)
        try:
            connection.start_response(status, headers, reason)
        except ResponseError:
            assert not connection.response_started
            return
        wire = connection.continue_expected() + _sent(connection, random)
    assert connection.response_complete
    if connection.short:
        assert not connection.keep_alive
        return
    *interim, final = parse_answers(wire, [head.method], eof=not connection.keep_alive)
    assert [answer.status for answer in interim] in ([], [100])
    assert final.status == status
    assert len(final.body) == connection.bytes_sent
    names = {name.lower() for name, _ in headers}
    known = {b"date", b"content-length", b"transfer-encoding", b"connection"}
    assert {name for name, _ in final.headers} <= names | known


def _sent(connection: ServerConnection, random: Random) -> bytes:
    """A body in some pieces."""
    wire = b""
    pieces = [b"x" * random.choice([0, 1, 5, 300]) for _ in range(random.randrange(1, 4))]
    for number, piece in enumerate(pieces, 1):
        written = connection.send_body(piece, number < len(pieces))
        wire += written if isinstance(written, bytes) else b"".join(written)
    return wire


def proxy_headers(raw: bytes, random: Random, traced: AbstractContextManager[object]) -> None:
    """A PROXY header or a refusal, the same one however it is cut, and bounded."""
    with traced:
        verdict = _header([raw])
    ways = [_cut(raw, random)]
    if len(raw) < 300:
        ways.append(bytewise(raw))
    for pieces in ways:
        assert _header(pieces) == verdict, pieces


def _header(pieces: list[bytes]) -> tuple[ProxyHeader | None, int] | None:
    """The header and its length; None if it is refused."""
    reader = ProxyHeaderReader()
    taken = 0
    for piece in pieces:
        if reader.header is not None:
            break
        try:
            used = reader.feed(piece)
        except ProxyProtocolError:
            return None
        assert used == len(piece) or reader.header is not None, "not all of a part is taken"
        taken += used
    assert taken <= 16 + MAX_BLOCK
    return reader.header, taken


Target = Callable[[bytes, Random, AbstractContextManager[object]], None]
TARGETS: dict[str, Target] = {
    "requests": requests,
    "answers": answers,
    "proxy_headers": proxy_headers,
}
