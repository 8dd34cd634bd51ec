"""What a connection says of itself between two calls, and requests cut once at every place."""

from __future__ import annotations

import itertools

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http1 import Limits, RequestHead, ServerConnection, parser_httptools, parser_python
from bare_serve.http1.body import ChunkedBody
from tests.http1.harness import PARSERS, connect, parse_answers, play

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def asked(raw: bytes = GET, **options: bool) -> ServerConnection:
    connection = connect(**options)
    connection.receive_data(raw)
    assert isinstance(connection.next_event(), RequestHead)
    return connection


# ------------------------------------------------------------------------------ cut in pieces

WHOLE = {
    "length": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": CHUNKED + b"5;a=b\r\nhello\r\n00006\r\n world\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
    "empty lines": b"\r\n\r\n" + GET + b"\r\n" + GET,
    "bad behind a chunk": CHUNKED + b"5\r\nhello\rX0\r\n\r\n",
    "bad behind good chunks": CHUNKED + b"5\r\nhello\r\n1\r\n!\r\nzz\r\n\r\n",
    "bad trailer": CHUNKED + b"5\r\nhello\r\n0\r\nT : 1\r\n\r\n",
    "bare LF behind a size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind the trailers": CHUNKED + b"5\r\nhello\r\n0\r\nT: 1\r\n\n",
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE.keys())
def test_a_cut_at_any_place_changes_nothing(raw: bytes, parser: str) -> None:
    expected = play([raw], parser=parser)
    for cut in range(1, len(raw)):
        assert play([raw[:cut], raw[cut:]], parser=parser) == expected, raw[:cut]


@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE.keys())
def test_two_cuts_close_to_each_other_change_nothing(raw: bytes) -> None:
    expected = play([raw])
    for cut, size in itertools.product(range(1, len(raw)), (1, 2, 3)):
        pieces = [raw[:cut], raw[cut : cut + size], raw[cut + size :]]
        assert play(filter(None, pieces)) == expected, pieces


# ------------------------------------------------------------------------------ limits of chunks


def chunk_status(chunks: bytes, **limits: int) -> int | None:
    """The status with which a chunked body is refused; each way of cutting agrees."""
    raw = CHUNKED + chunks
    stories = [
        play(pieces, limits=Limits(**limits)).error
        for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))])
    ]
    assert stories[0] == stories[1]
    return stories[0][0] if stories[0] else None


END = b"\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(("digits", "status"), [(1, None), (15, None), (16, None), (17, 400)])
def test_the_digits_of_a_size(digits: int, status: int | None) -> None:
    assert chunk_status(b"5".rjust(digits, b"0") + END) == status


@pytest.mark.parametrize("digits", [1, 16])
def test_extensions_have_their_limit_whatever_the_size_looks_like(digits: int) -> None:
    size = b"5".rjust(digits, b"0")
    for length, status in ((19, None), (20, None), (21, 400), (40, 400)):
        extension = b";" + b"x" * (length - 1)
        assert chunk_status(size + extension + END, chunk_extensions=20) == status, length


def test_the_limit_of_extensions_is_that_of_all_chunks_together() -> None:
    for last, status in ((b";a=b", None), (b";a=bc", 400)):
        body = b"5;a=b\r\nhello\r\n5" + b"\r\nhello\r\n1;a\r\n!\r\n0" + last + b"\r\n\r\n"
        assert chunk_status(body, chunk_extensions=10) == status


def test_a_body_to_the_byte() -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    assert [chunk_status(body, body=limit) for limit in (10, 11)] == [413, None]


@pytest.mark.parametrize(("size", "status"), [(29, None), (30, None), (31, 431), (60, 431)])
@pytest.mark.parametrize("step", [1, 1000])
def test_trailers_to_the_byte(size: int, status: int | None, step: int) -> None:
    """All lines with their CRLFs."""
    first = b"A: 1\r\n"
    lines = first + b"B: " + b"y" * (size - len(first) - 5) + b"\r\n"
    assert len(lines) == size
    raw = b"0\r\n" + lines + b"\r\n"
    body = ChunkedBody(Limits(header_size=30))
    refused = None
    try:
        for start in range(0, len(raw), step):
            body.feed(raw[start : start + step])
    except RequestError as error:
        refused = error.status
    assert refused == status
    assert body.complete is (status is None)


# ------------------------------------------------------------------------------ before, between


def test_a_connection_before_its_first_request() -> None:
    connection = connect()
    assert (connection.status, connection.bytes_sent, connection.requests) == (0, 0, 0)
    assert (connection.body_received, connection.buffered, connection.head) == (0, 0, None)
    assert not connection.open_ended
    assert not connection.awaits_continue
    assert connection.answer_lines == []
    assert connection.continue_expected() == b""


def test_nothing_of_an_answer_is_left_for_the_next_one() -> None:
    connection = asked(GET + GET)
    connection.start_response(404, [(b"X-First", b"1")])
    assert connection.open_ended
    assert connection.answer_lines == [b"X-First: 1\r\n"]
    connection.send_body(b"hello", True)
    connection.send_body(b"", False)
    assert isinstance(connection.next_event(), RequestHead)
    assert not connection.open_ended
    assert connection.answer_lines == []
    assert (connection.status, connection.bytes_sent) == (0, 0)
    with pytest.raises(ResponseError, match="before the response was started"):
        connection.send_body(b"x", False)


def test_the_lines_of_an_answer_with_a_length() -> None:
    connection = asked()
    connection.start_response(200, [(b"Content-Length", b"3"), (b"X-A", b"b")])
    assert connection.answer_lines == [b"X-A: b\r\n", b"Content-Length: 3\r\n"]
    assert not connection.open_ended


@pytest.mark.parametrize("status", [99, 100, 101, 102, 103, 104, 199, 200, 304, "103", 103.0, True])
def test_interim_answers_are_102_to_199(status: int) -> None:
    connection = asked()
    if type(status) is int and 102 <= status <= 199:
        assert connection.informational(status, []).startswith(b"HTTP/1.1 %d" % status)
        assert asked(OLD).informational(status, []) == b""
    else:
        with pytest.raises(ResponseError, match="102 to 199"):
            connection.informational(status, [])


@pytest.mark.parametrize(("status", "good"), [(199, False), (200, True), (999, True)])
def test_final_answers_begin_at_200(status: int, good: bool) -> None:
    connection = asked()
    if good:
        connection.start_response(status, [])
        assert connection.status == status
    else:
        with pytest.raises(ResponseError, match="200 to 999"):
            connection.start_response(status, [])


@pytest.mark.parametrize("large", [65_535, 65_536, 65_537])
@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_large_pieces_are_whole_on_the_wire(large: int, declared: bool, more: bool) -> None:
    connection = asked()
    data = bytes(large)
    connection.start_response(200, [(b"Content-Length", b"%d" % (2 * large))] if declared else [])
    written = [connection.send_body(data, True), connection.send_body(data, more)]
    if more:
        written.append(connection.send_body(b"", False))
    wire = b"".join(p if isinstance(p, bytes) else b"".join(p) for p in written)
    [answer] = parse_answers(wire)
    assert answer.body == data + data
    assert (connection.bytes_sent, connection.short, connection.overrun) == (
        2 * large,
        False,
        False,
    )


@pytest.mark.parametrize("parser", PARSERS)
def test_where_a_body_stands_while_it_is_drained(parser: str) -> None:
    """Exactly as much as the limit is read away; one byte more closes."""
    for size, goes_on in ((100, True), (101, False)):
        connection = connect(parser, Limits(drain=100))
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        connection.receive_data(head)
        connection.next_event()
        connection.start_response(200, [])
        wire = connection.send_body(b"", False)
        assert (b"Connection: close" not in wire) is goes_on
        connection.receive_data(bytes(size) + GET)
        assert isinstance(connection.next_event(), RequestHead) is goes_on


@pytest.mark.parametrize("module", [parser_python, parser_httptools])
def test_what_the_parsers_remember_is_bounded(module: object) -> None:
    memo = module._memo  # type: ignore[attr-defined]
    parser = "python" if module is parser_python else "httptools"
    most = 4096
    memo.clear()
    for number in range(most + 5):
        play([GET.replace(b": x\r\n", b": x\r\nX-N: %d\r\n" % number)], parser=parser)
        assert len(memo) <= most
    assert 0 < len(memo) < 20, "when it is full it begins anew"
    for secret in (b"Cookie", b"Authorization", b"Proxy-Authorization"):
        memo.clear()
        play([GET.replace(b"\r\n\r\n", b"\r\n%b: secret\r\n\r\n" % secret)], parser=parser)
        assert len(memo) == 1, "only Host"
    for length, kept in ((240, True), (260, False)):
        memo.clear()
        play([GET.replace(b"\r\n\r\n", b"\r\nX: %b\r\n\r\n" % (b"y" * length))], parser=parser)
        assert (len(memo) == 2) is kept
    memo.clear()
