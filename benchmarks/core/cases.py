"""The cases: each a name and a callable that does one operation of the core, bytes to bytes.

The hot paths of bare_serve name these cases in their comments; whoever changes one looks here for
what it gains. A connection case is a whole request on a kept-alive connection: bytes received,
head read, answer started and sent, back to waiting. "Block memo hit": the client repeats its head;
"path varies": all but its request line; "all varies": its cookie differs as well, as behind a proxy
whose connections many clients share; "strangers": nothing repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from bare_serve.errors import UsageError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import END_OF_BODY, NEED_DATA, HeadParser, ServerConnection, select_parser
from bare_serve.http1.head import build_head
from bare_serve.logs.access_format import text_format
from bare_serve.wsgi.environ import (
    connection_environ,
    request_environ,
    retarget,
    server_environ,
)
from benchmarks.core import blocks

Case = tuple[str, Callable[[], object]]
HEADERS = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"13")]
FOUR_HEADERS = [
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Length", b"13"),
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept-Encoding, Cookie"),
]
BODY = b"Hello, world!"
MANY = 20_000  # strangers: far more lines than any memo keeps


def parsers() -> list[tuple[str, Callable[[], HeadParser]]]:
    """Return the parsers that can be had here."""
    found = []
    for name in ("python", "httptools"):
        try:
            found.append((name, select_parser(name).make))
        except UsageError:
            continue
    return found


def all_cases() -> Iterator[Case]:
    for name, make in parsers():
        yield from _parser_cases(name, make())
    for name, make in parsers():
        yield from _connection_cases(name, make)
    yield from _answer_cases(parsers()[0][1])
    yield from _environ_cases(parsers()[0][1]())
    yield from _log_cases(parsers()[0][1])


def _parser_cases(name: str, parser: HeadParser) -> Iterator[Case]:
    small, browser = blocks.small(), blocks.browser()
    strange = cycle(blocks.strangers(MANY))
    yield f"parse {name}: hello", lambda: parser.parse(small)
    yield f"parse {name}: 14 headers", lambda: parser.parse(browser)
    yield f"parse {name}: 14 headers, strangers", lambda: parser.parse(next(strange))


def exchange(connection: ServerConnection, data: bytes) -> None:
    """One request and its answer, as the skins do it."""
    connection.receive_data(data)
    connection.next_event()
    connection.start_response(200, HEADERS)
    connection.send_body(BODY, False)
    if connection.next_event() is not NEED_DATA:
        raise AssertionError("the connection does not wait for the next request")


def _connection_cases(name: str, make: Callable[[], HeadParser]) -> Iterator[Case]:
    def once(data: bytes) -> Callable[[], object]:
        connection = ServerConnection(make(), Limits())
        return lambda: exchange(connection, data)

    def turn(several: list[bytes]) -> Callable[[], object]:
        connection, next_one = ServerConnection(make(), Limits()), cycle(several).__next__
        return lambda: exchange(connection, next_one())

    targets = [b"/items/%d?q=%d" % (i, i) for i in range(64)]
    yield f"{name}: hello, block memo hit", once(blocks.small())
    yield f"{name}: hello, path varies", turn([blocks.small(t) for t in targets])
    yield f"{name}: 14 headers, block memo hit", once(blocks.browser())
    yield f"{name}: 14 headers, path varies", turn([blocks.browser(t) for t in targets])
    yield f"{name}: 14 headers, all varies", turn(blocks.clients(64))
    yield f"{name}: 14 headers, strangers", turn(blocks.strangers(MANY))
    yield f"{name}: hello, 16 pipelined", _pipelined(ServerConnection(make(), Limits()))
    yield f"{name}: body of 10 KiB", _with_body(make, blocks.post(10240))
    yield f"{name}: body of 10 KiB in 10 chunks", _with_body(make, blocks.chunked(10240, 10))


def _pipelined(connection: ServerConnection) -> Callable[[], object]:
    data = blocks.small() * 16

    def operation() -> None:
        connection.receive_data(data)
        while connection.next_event() is not NEED_DATA:
            connection.start_response(200, HEADERS)
            connection.send_body(BODY, False)

    return operation


def _with_body(make: Callable[[], HeadParser], data: bytes) -> Callable[[], object]:
    connection = ServerConnection(make(), Limits())

    def operation() -> None:
        connection.receive_data(data)
        connection.next_event()
        while connection.next_event() is not END_OF_BODY:
            pass
        connection.start_response(200, HEADERS)
        connection.send_body(BODY, False)
        connection.next_event()

    return operation


def _answer_cases(make: Callable[[], HeadParser]) -> Iterator[Case]:
    connection, data = ServerConnection(make(), Limits()), blocks.small()

    def answer() -> None:
        connection.receive_data(data)
        connection.next_event()
        connection.start_response(200, FOUR_HEADERS)
        connection.send_body(BODY, False)
        connection.next_event()

    yield "answer with 4 headers", answer


def _environ_cases(parser: HeadParser) -> Iterator[Case]:
    def head(data: bytes) -> RequestHead:
        tokens = parser.parse(data)
        assert tokens is not None
        return build_head(*tokens)

    base = connection_environ(
        server_environ(multithread=False, multiprocess=True, file_wrapper=object),
        ("127.0.0.1", 8000),
        ("127.0.0.1", 50000),
    )
    small, browser = head(blocks.small()), head(blocks.browser())
    yield "environ of hello", lambda: request_environ(base, small, "")
    yield "environ of 14 headers", lambda: request_environ(base, browser, "")
    kept = request_environ(base, browser, "")
    yield "environ of 14 headers, path varies", lambda: retarget(kept, browser)
    tokens = parser.parse(blocks.browser())
    assert tokens is not None
    yield "rules on 14 headers", lambda: build_head(*tokens)


def _log_cases(make: Callable[[], HeadParser]) -> Iterator[Case]:
    connection = ServerConnection(make(), Limits())
    connection.receive_data(blocks.small())
    head = connection.next_event()
    assert isinstance(head, RequestHead)
    connection.start_response(200, HEADERS)
    connection.send_body(BODY, False)
    line = text_format().line

    def seen_before() -> None:
        line("2026-01-01 00:00:00", "127.0.0.1", head, connection, 0.000031, "")

    def new() -> None:
        head.logged = None
        seen_before()

    yield "access log: a line, head seen before", seen_before
    yield "access log: a line, new head", new
