"""What a connection says of itself between two calls, and requests cut once at every place."""

from __future__ import annotations

import itertools

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http import BODY, Limits, RequestHead
from bare_serve.http1 import (
    MUST_CLOSE,
    ServerConnection,
    select_parser,
)
from bare_serve.http1 import body as body_module
from bare_serve.http1.body import ChunkedBody
from bare_serve.http1.field_lines import field_lines
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


@pytest.mark.parametrize(("size", "status"), [(28, 400), (29, 400), (30, 431), (60, 431)])
@pytest.mark.parametrize("step", [1, 1000])
def test_a_trailer_that_ends_with_a_bare_lf(size: int, status: int, step: int) -> None:
    """Which fault is the earlier one: up to a byte behind the limit the line's end counts."""
    raw = b"0\r\n" + b"A: ".ljust(size, b"y") + b"\n"
    body = ChunkedBody(Limits(header_size=30))
    refused = None
    try:
        for start in range(0, len(raw), step):
            body.feed(raw[start : start + step])
    except RequestError as error:
        refused = error.status
    assert refused == status


# ------------------------------------------------------------------------------ before, between


def test_a_connection_before_its_first_request() -> None:
    connection = connect()
    assert (connection.status, connection.bytes_sent, connection.requests) == (0, 0, 0)
    assert (connection.body_received, connection.buffered, connection.head) == (0, 0, None)
    assert not connection.open_ended
    assert not connection.awaits_continue
    assert connection.answer_lines == []
    assert connection.continue_expected() == b""
    assert connection.keep_alive
    for fact in ("response_started", "response_complete", "close_after", "linger", "overrun"):
        assert getattr(connection, fact) is False, fact
    assert connection.short is False
    assert connection.at_rest
    assert connection.phase != BODY


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


@pytest.mark.parametrize("parser", PARSERS)
def test_what_the_parsers_remember_is_bounded(parser: str) -> None:
    memo = field_lines
    most = memo.most
    memo.clear()
    for number in range(most + 5):
        play([GET.replace(b": x\r\n", b": x\r\nX-N: %d\r\n" % number)], parser=parser)
        assert len(memo) <= most
        if number < 50:
            assert len(memo) == number + 2, "each line, and Host"
    assert 0 < len(memo) < 10, "what is full begins anew"
    for secret in (b"Cookie", b"Authorization", b"Proxy-Authorization"):
        memo.clear()
        play([GET.replace(b"\r\n\r\n", b"\r\n%b: secret\r\n\r\n" % secret)], parser=parser)
        assert len(memo) == 1, "only Host"
    separator = len(b"X: " if parser == "python" else b"X:")  # llhttp says nothing of the space
    for length, kept in ((255 - separator, True), (256 - separator, False)):
        memo.clear()
        play([GET.replace(b"\r\n\r\n", b"\r\nX: %b\r\n\r\n" % (b"y" * length))], parser=parser)
        assert (len(memo) == 2) is kept
    memo.clear()


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_eight_empty_lines_are_enough_before_each_request(before: int, parser: str) -> None:
    for count, status in ((7, None), (8, None), (9, 400)):
        raw = GET * before + b"\r\n" * count + GET
        for step in (len(raw), 1, 3):
            pieces = [raw[i : i + step] for i in range(0, len(raw), step)]
            story = play(pieces, parser=parser)
            assert (story.error[0] if story.error else None) == status, (count, step)
            assert len(story.exchanges) == before + (status is None)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("bad", [b"X : y\r\n\r\n", b"Content-Length: z\r\n\r\n", b"\x00\r\n\r\n"])
def test_a_refused_head_has_no_body(bad: bytes, step: int, parser: str) -> None:
    for method, has_body in ((b"HEAD", False), (b"HEADS", True), (b"GET", True)):
        raw = GET + method + b" / HTTP/1.1\r\nHost: x\r\n" + bad
        pieces = [raw[i : i + step] for i in range(0, len(raw), step)]
        story = play(pieces, parser=parser)
        assert story.status == 400
        answer = story.wire.partition(b"answer")[2]
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert bool(answer.partition(b"\r\n\r\n")[2]) is has_body


@pytest.mark.parametrize(
    ("declared", "count", "left"), [(5, 4, 1), (5, 5, 0), (5, 6, 0), (0, 0, 0), (0, 5, 0)]
)
@pytest.mark.parametrize("piecewise", [False, True])
def test_a_file_beside_its_declared_length(
    declared: int, count: int, left: int, piecewise: bool
) -> None:
    connection = asked()
    connection.start_response(200, [(b"Content-Length", b"%d" % declared)])
    if piecewise:
        _, written, behind = connection.external_piece(count)
        assert behind == b""
    else:
        _, written = connection.send_external(count)
    assert written == min(count, declared)
    assert connection.overrun is (count > declared)
    connection.send_body(b"", False)
    assert connection.short is (left > 0)
    assert connection.keep_alive is (left == 0)


@pytest.mark.parametrize(
    ("raw", "length", "visible"), [(GET, b"", True), (GET, b"9", True), (OLD, b"", False)]
)
def test_an_answer_that_is_broken_off(raw: bytes, length: bytes, visible: bool) -> None:
    """The client can tell by chunks or a length, and by nothing else (RFC 9112, 8)."""
    connection = asked(raw)
    connection.start_response(200, [(b"Content-Length", length)] if length else [])
    connection.send_body(b"part", True)
    assert connection.break_off() is visible
    assert connection.response_complete
    assert not connection.keep_alive
    assert connection.next_event() is MUST_CLOSE


def test_a_break_where_nothing_is_missing_is_no_matter() -> None:
    connection = asked()
    connection.start_response(200, [(b"Content-Length", b"4")])
    connection.send_body(b"part", True)
    assert connection.break_off() is True


@pytest.mark.parametrize(("method", "sent"), [(b"GET", 5), (b"HEAD", 0)])
@pytest.mark.parametrize("begun", [False, True])
def test_what_a_refusal_has_sent(method: bytes, sent: int, begun: bool) -> None:
    raw = method + b" / HTTP/1.1\r\nHost: x\r\n"
    connection = asked(raw + b"\r\n") if begun else connect()
    if not begun:
        connection.receive_data(raw)
    written = connection.error_response(RequestError(408, "Late"))
    assert connection.bytes_sent == sent == len(written.partition(b"\r\n\r\n")[2])
    assert connection.response_complete
    assert connection.linger


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [200, 204, 205, 304])
@pytest.mark.parametrize("more", [False, True])
def test_the_length_of_what_is_not_sent(method: bytes, status: int, more: bool) -> None:
    """RFC 9110, 8.6: none in a 204; in a 304 only what the application itself says."""
    connection = asked(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.start_response(status, [])
    wire = connection.send_body(b"abc" if status != 205 else b"", more)
    if more:
        wire += connection.send_body(b"", False)  # type: ignore[operator]
    [answer] = parse_answers(bytes(wire), [method.decode()])  # type: ignore[arg-type]
    length = answer.header("content-length")
    if status == 205:
        assert length == b"0"
    elif status == 200 and not more:
        assert length == b"3"
    else:
        assert length is None
    if method == b"GET" and status == 200:
        assert answer.body == b"abc"
    else:
        assert answer.body == b""


def test_pieces_that_are_exactly_what_was_declared() -> None:
    for last, overrun in ((b"def", False), (b"defg", True)):
        connection = asked()
        connection.start_response(200, [(b"Content-Length", b"6")])
        wire = connection.send_body(b"abc", True) + connection.send_body(last, True)  # type: ignore[operator]
        wire += connection.send_body(b"", False)
        assert parse_answers(wire)[0].body == b"abcdef"
        assert connection.overrun is overrun
        assert not connection.short


def test_a_connection_goes_on_unless_it_is_told_otherwise() -> None:
    for options, goes_on in (({}, True), ({"persistent": False}, False)):
        connection = ServerConnection(select_parser("python").make(), Limits(), **options)
        connection.receive_data(GET)
        connection.next_event()
        assert connection.keep_alive is goes_on


NOT_IN_TRAILERS = (
    *("connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"),
    *("content-length", "content-encoding", "content-type", "content-range", "trailer", "host"),
    *("cache-control", "expires", "date", "location", "retry-after", "vary", "age", "set-cookie"),
    *("www-authenticate", "authorization", "proxy-authenticate"),
)


@pytest.mark.parametrize("name", NOT_IN_TRAILERS)
def test_6_5_1_what_must_not_come_behind_a_body(name: str) -> None:
    for spelt in (name, name.title()):
        connection = asked()
        connection.start_response(200, [])
        connection.send_body(b"x", True)
        with pytest.raises(ResponseError, match="must not be sent as a trailer"):
            connection.send_trailers([(b"X-Good", b"1"), (spelt.encode(), b"1")])
        assert not connection.response_complete
        assert connection.send_trailers([(b"X-Good", b"1")]) == b"0\r\nX-Good: 1\r\n\r\n"


@pytest.mark.parametrize("name", ["host", "content-length", "transfer-encoding", "content-type"])
def test_a_field_that_decides_stands_once(name: str) -> None:
    value = {"host": "x", "content-length": "1", "transfer-encoding": "chunked"}.get(name, "a/b")
    lines = f"{name}: {value}\r\n".encode()
    host = b"" if name == "host" else b"Host: x\r\n"
    for count, status in ((1, None), (2, 400)):
        story = play([b"POST / HTTP/1.1\r\n" + host + lines * count + b"\r\n"])
        assert (story.error[0] if story.error else None) == status


def test_an_answer_is_whole_once_its_last_byte_was_given() -> None:
    connection = asked()
    assert not connection.whole
    connection.start_response(200, [(b"Content-Length", b"3")])
    assert not connection.whole
    connection.send_body(b"ab", True)
    assert not connection.whole
    connection.send_body(b"c", True)
    assert connection.whole, "whatever its sender still does"
    assert not connection.response_complete


def test_an_answer_without_a_length_is_whole_at_its_end() -> None:
    connection = asked()
    connection.start_response(200, [])
    connection.send_body(b"ab", True)
    assert not connection.whole
    connection.send_body(b"", False)
    assert connection.whole


def test_how_much_of_a_chunked_body_is_left_is_known_at_its_end() -> None:
    body = ChunkedBody(Limits())
    assert body.remaining is None
    body.feed(b"3\r\nabc\r\n0\r\n")
    assert body.remaining is None
    body.feed(b"\r\n")
    assert body.remaining == 0


def test_a_connection_that_is_broken_off_before_its_first_answer() -> None:
    for connection in (connect(), asked()):
        assert connection.break_off() is True, "the client sees that there is no answer"
        assert connection.next_event() is MUST_CLOSE


def test_7_8_an_upgrade_is_the_last_answer() -> None:
    connection = asked()
    connection.upgrade(b"echo", [])
    assert connection.status == 101
    assert connection.response_started
    assert connection.response_complete
    assert not connection.keep_alive
    with pytest.raises(ResponseError, match="already complete"):
        connection.send_body(b"x", False)
    with pytest.raises(ResponseError, match="already started"):
        connection.upgrade(b"echo", [])
    connection.receive_data(GET)
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("raw", [b"", GET])
def test_a_refusal_is_the_last_answer(raw: bytes, begun: bool) -> None:
    connection = asked(raw) if raw else connect()
    if raw and begun:
        connection.start_response(200, [])
        connection.send_body(b"x", True)
    connection.error_response(RequestError(400, "No."))
    assert connection.keep_alive is False
    assert connection.response_started
    assert connection.response_complete
    assert connection.linger
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize(("method", "sent"), [(b"GET", 5), (b"HEAD", 0)])
@pytest.mark.parametrize("cuts", [(5,), (2, 5), (0, 2, 5)])
@pytest.mark.parametrize("declared", [False, True])
def test_bytes_of_body_that_were_sent(
    declared: bool, cuts: tuple[int, ...], method: bytes, sent: int
) -> None:
    """However many pieces they came in; and without their framing."""
    connection = asked(GET.replace(b"GET", method))
    connection.start_response(200, [(b"Content-Length", b"5")] if declared else [])
    for start, end in itertools.pairwise((0, *cuts)):
        connection.send_body(b"hello"[start:end], end < 5)
    assert connection.response_complete
    assert connection.bytes_sent == sent


@pytest.mark.parametrize(("size", "goes_on"), [(100, True), (101, False)])
def test_a_file_is_an_answer_that_ends_whatever_of_the_request_is_left(
    size: int, goes_on: bool
) -> None:
    connection = connect(limits=Limits(drain=100))
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    connection.receive_data(head)
    connection.next_event()
    connection.start_response(200, [])
    before, _ = connection.send_external(5)
    assert (b"Connection: close" not in before) is goes_on
    assert connection.keep_alive is goes_on


def test_a_head_is_not_whole_by_the_length_of_the_answer_before() -> None:
    connection = asked(GET + b"HEAD" + GET[3:])
    connection.start_response(200, [(b"Content-Length", b"3")])
    connection.send_body(b"abc", False)
    assert isinstance(connection.next_event(), RequestHead)
    connection.start_response(200, [(b"Content-Length", b"9")])
    connection.send_body(b"", True)
    assert not connection.whole
    connection.send_body(b"", False)
    assert connection.whole
    assert not connection.short


def test_10_1_1_an_answer_instead_of_100_continue_is_the_last_one() -> None:
    connection = asked(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.start_response(200, [])
    assert b"\r\nConnection: close\r\n" in connection.send_body(b"x", False)
    assert connection.keep_alive is False


@pytest.mark.parametrize(("line", "status"), [(b"x\n", 400), (b"xy\n", 431), (b"x: y\n", 431)])
@pytest.mark.parametrize("step", [1, 1000])
def test_a_bare_lf_behind_as_many_trailers_as_there_may_be(
    line: bytes, status: int, step: int
) -> None:
    raw = b"0\r\n" + b"A: ".ljust(28, b"y") + b"\r\n" + line
    body = ChunkedBody(Limits(header_size=30))
    refused = None
    try:
        for start in range(0, len(raw), step):
            body.feed(raw[start : start + step])
    except RequestError as error:
        refused = error.status
    assert refused == status


def test_chunk_sizes_of_one_or_two_digits_need_no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is made with the first body that is chunked."""
    sizes: dict[bytes, int] = {}
    monkeypatch.setattr(body_module, "_SIZES", sizes)
    ChunkedBody(Limits())
    digits = {f"{n:{case}}".encode() for n in range(1, 256) for case in "xX"}
    assert sizes == {b"\r\n%b\r\n" % size: int(size, 16) for size in digits}


@pytest.mark.parametrize("digits", [1, 2, 3, 15, 16])
def test_chunks_behind_others_may_have_as_many_digits(digits: int) -> None:
    raw = b"1\r\n!\r\n" + b"%b\r\nhello\r\n" % b"5".rjust(digits, b"0") + b"0\r\n\r\n"
    body = ChunkedBody(Limits())
    assert body.feed(raw) == (b"!hello", len(raw))
    assert body.complete


@pytest.mark.parametrize(("count", "status"), [(1, None), (2, None), (3, 431)])
@pytest.mark.parametrize("step", [1, 1000])
def test_the_number_of_trailers(count: int, status: int | None, step: int) -> None:
    raw = b"0\r\n" + b"A: b\r\n" * count + b"\r\n"
    body = ChunkedBody(Limits(headers=2))
    refused = None
    try:
        for start in range(0, len(raw), step):
            body.feed(raw[start : start + step])
    except RequestError as error:
        refused = error.status
    assert refused == status


def test_a_body_that_has_paused_goes_on() -> None:
    raw = b"1\r\n!\r\n" * (body_module.RUN + 10) + b"0\r\n\r\n"
    body = ChunkedBody(Limits())
    assert not body.paused
    first, used = body.feed(raw)
    assert body.paused, "others have their turn"
    rest, behind = body.feed(raw[used:])
    assert not body.paused
    assert first + rest == b"!" * (body_module.RUN + 10)
    assert (used + behind, body.complete) == (len(raw), True)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_four_bytes_of_framing_for_each_byte_of_content(more: int, refused: bool) -> None:
    """To the byte: 8 around the first chunk, 2 behind the second one's line."""
    content = 20_001
    line = b"1;".ljust(4 * content - 8 - 2 + more, b"a")
    raw = b"4e20\r\n" + bytes(20_000) + b"\r\n" + line + b"\r\n!\r\n0\r\n\r\n"
    body = ChunkedBody(Limits(chunk_extensions=1 << 20))
    _, used = body.feed(raw)
    if refused:
        with pytest.raises(RequestError, match="too small"):
            body.feed(raw[used:])
    else:
        assert body.complete
