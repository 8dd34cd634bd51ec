"""The reading half, event by event: what comes when, and what becomes of what nobody read."""

from __future__ import annotations

import pytest

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import BODY, CLOSED, HEAD, IDLE, RESPONSE, Limits, RequestHead
from bare_serve.http1 import END_OF_BODY, MUST_CLOSE, NEED_DATA, PAUSED, ServerConnection
from tests.http1.harness import PARSERS, connect

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

pytestmark = pytest.mark.parametrize("parser", PARSERS)


def head_of(connection: ServerConnection) -> RequestHead:
    """The next event, which must be a head."""
    event = connection.next_event()
    assert isinstance(event, RequestHead), event
    return event


def answer(connection: ServerConnection) -> None:
    """A small complete answer."""
    connection.start_response(200, [])
    connection.send_body(b"x", False)


# -------------------------------------------------------------------------------------- events


def test_a_head_without_a_body_is_one_event(parser: str) -> None:
    connection = connect(parser)
    assert connection.next_event() is NEED_DATA
    assert connection.phase == IDLE
    connection.receive_data(GET[:5])
    assert connection.next_event() is NEED_DATA
    assert connection.phase == HEAD
    connection.receive_data(GET[5:])
    assert not head_of(connection).has_body
    assert connection.phase == RESPONSE
    assert connection.phase != BODY
    assert connection.next_event() is PAUSED
    answer(connection)
    assert connection.phase == IDLE
    assert connection.next_event() is NEED_DATA


def test_a_body_comes_in_the_pieces_it_arrives_in(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD + b"123")
    assert head_of(connection).has_body
    assert connection.phase == BODY
    assert connection.next_event() == b"123"
    assert connection.next_event() is NEED_DATA
    connection.receive_data(b"45")
    connection.receive_data(b"67890" + GET)
    assert connection.next_event() == b"4567890"
    assert connection.phase != BODY
    assert connection.next_event() is END_OF_BODY
    assert connection.next_event() is PAUSED
    assert connection.body_received == 10
    assert connection.buffered == len(GET)


def test_a_body_that_ends_without_a_piece_is_told_too(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(CHUNKED)
    assert head_of(connection).has_body
    connection.receive_data(b"0\r\n\r\n")
    assert connection.next_event() is END_OF_BODY
    assert connection.next_event() is PAUSED


def test_chunks_that_arrive_together_are_one_piece(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    head_of(connection)
    assert connection.next_event() == b"onetwo"
    assert connection.next_event() is END_OF_BODY


def test_good_content_comes_before_the_fault_behind_it(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(CHUNKED + b"3\r\none\r\nx\r\n")
    head_of(connection)
    assert connection.next_event() == b"one"
    with pytest.raises(RequestError):
        connection.next_event()
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger


def test_the_same_head_again_is_the_same_object(parser: str) -> None:
    """Callers key what they derived from it by that; another head is another object."""
    connection = connect(parser)
    other = GET.replace(b"/", b"/other", 1)
    seen = []
    for raw in (GET, GET, other, other, GET):
        connection.receive_data(raw)
        seen.append(head_of(connection))
        answer(connection)
        assert connection.next_event() is NEED_DATA
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert len({id(head) for head in seen}) == 3
    assert [head.target for head in seen] == [b"/", b"/", b"/other", b"/other", b"/"]


def test_the_same_head_in_pieces_or_pipelined_is_the_same_object(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET + GET)
    first = head_of(connection)
    answer(connection)
    assert head_of(connection) is first
    answer(connection)
    for cut in range(1, len(GET)):
        connection.receive_data(GET[:cut])
        assert connection.next_event() is NEED_DATA
        connection.receive_data(GET[cut:])
        assert head_of(connection) is first
        answer(connection)
    connection.receive_data(b"\r\n" + GET)
    assert head_of(connection) is first


def test_a_repeated_head_begun_in_pieces_leaves_no_trace_on_the_next(parser: str) -> None:
    """The scanner that watched the pieces must not judge the head behind them."""
    for cut in range(1, 6):
        connection = connect(parser)
        connection.receive_data(GET)
        head_of(connection)
        answer(connection)
        connection.receive_data(GET[:cut])
        assert connection.next_event() is NEED_DATA
        connection.receive_data(GET[cut:])
        head_of(connection)
        answer(connection)
        connection.receive_data(b"G\nT / HTTP/1.1\r\n")
        with pytest.raises(RequestError, match="bare LF"):
            connection.next_event()


def test_a_head_shows_what_it_is(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET)
    assert repr(head_of(connection)) == "<RequestHead GET b'/' HTTP/1.1>"


# ---------------------------------------------------------------------------------- pipelining


def test_pipelined_requests_come_one_by_one(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD + b"1234567890" + GET + CHUNKED + b"0\r\n\r\n" + CLOSE + GET)
    targets = 0
    while (event := connection.next_event()) is not MUST_CLOSE:
        if isinstance(event, RequestHead):
            targets += 1
            assert connection.requests == targets
        elif event is PAUSED:
            answer(connection)
    assert targets == 4
    assert connection.linger
    assert connection.phase == CLOSED


def test_bytes_are_taken_while_paused(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET)
    head_of(connection)
    for byte in GET:
        connection.receive_data(bytes([byte]))
        assert connection.next_event() is PAUSED
    assert connection.buffered == len(GET)
    answer(connection)
    head_of(connection)


# --------------------------------------------------------------------------------------- drain


def test_an_unread_body_is_no_request(parser: str) -> None:
    """Whatever the application left unread is dropped up to its end, and not a byte further."""
    inside = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inside)
    for cut in (0, 1, 20, len(inside)):
        connection = connect(parser)
        connection.receive_data(head + inside[:cut])
        head_of(connection)
        answer(connection)
        if cut < len(inside):
            assert connection.next_event() is NEED_DATA
            assert connection.phase == BODY
        connection.receive_data(inside[cut:] + GET)
        assert head_of(connection).target == b"/"
        assert connection.requests == 2


def test_a_half_read_body_is_drained_to_its_end(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD + b"123")
    head_of(connection)
    assert connection.next_event() == b"123"
    answer(connection)
    connection.receive_data(b"4567890" + GET)
    assert head_of(connection).method == "GET"


def test_a_body_read_to_its_last_byte_needs_no_draining(parser: str) -> None:
    """Its end has not been told yet when the answer is complete."""
    connection = connect(parser)
    connection.receive_data(UPLOAD + b"1234567890" + GET)
    head_of(connection)
    assert connection.next_event() == b"1234567890"
    answer(connection)
    assert connection.next_event() is END_OF_BODY
    assert head_of(connection).method == "GET"


def test_an_unread_chunked_body_is_drained_with_its_trailers(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(CHUNKED + b"3\r\nabc\r\n")
    head_of(connection)
    answer(connection)
    assert connection.next_event() is NEED_DATA
    connection.receive_data(b"0\r\nA: b\r\n\r\n" + GET)
    assert head_of(connection).method == "GET"


@pytest.mark.parametrize("rest", [b"x\r\n" + GET, b"0\r\nbad\r\n\r\n" + GET])
def test_behind_a_malformed_unread_body_there_is_no_request(rest: bytes, parser: str) -> None:
    """The answer stands already, so it is not followed by a 400: the connection ends."""
    connection = connect(parser)
    connection.receive_data(CHUNKED + b"3\r\nabc\r\n" + rest)
    head_of(connection)
    answer(connection)
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger
    assert connection.requests == 1
    assert connection.buffered == 0


def test_no_more_than_the_limit_is_drained(parser: str) -> None:
    for extra, expected in ((0, GET), (1, b"")):
        connection = connect(parser, Limits(drain=20))
        connection.receive_data(CHUNKED)
        head_of(connection)
        answer(connection)
        for _ in range(20 + extra):
            connection.receive_data(b"1\r\nx\r\n")
            event = connection.next_event()
        if expected:
            assert event is NEED_DATA
            connection.receive_data(b"0\r\n\r\n" + GET)
            head_of(connection)
        else:
            assert event is MUST_CLOSE
            assert connection.linger


def test_nothing_is_drained_for_a_connection_that_ends_anyway(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD.replace(b"Host", b"Connection: close\r\nHost") + b"123")
    head_of(connection)
    answer(connection)
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger


# ----------------------------------------------------------------------------------------- end


def test_the_end_before_any_byte(parser: str) -> None:
    connection = connect(parser)
    connection.receive_eof()
    assert connection.next_event() is MUST_CLOSE
    assert not connection.linger


def test_the_end_in_a_head(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET[:-2])
    connection.receive_eof()
    with pytest.raises(ClientGone):
        connection.next_event()
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("sent", [b"", b"12345", b"123456789"])
def test_the_end_in_a_body(sent: bytes, parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD + sent)
    connection.receive_eof()
    head_of(connection)
    if sent:
        assert connection.next_event() == sent
    with pytest.raises(ClientGone):
        connection.next_event()
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("sent", [b"5", b"5\r\n", b"5\r\nhello", b"5\r\nhello\r\n0\r\n"])
def test_the_end_in_the_framing_of_a_body_is_noticed_at_once(sent: bytes, parser: str) -> None:
    """Also when the last bytes and the end arrive together: nothing would wake us again."""
    connection = connect(parser)
    connection.receive_data(CHUNKED + sent)
    connection.receive_eof()
    head_of(connection)
    if b"hello" in sent:
        assert connection.next_event() == b"hello"
    with pytest.raises(ClientGone):
        connection.next_event()


def test_the_end_while_an_answer_is_owed(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET)
    head_of(connection)
    connection.receive_eof()
    assert connection.next_event() is PAUSED
    answer(connection)
    assert connection.next_event() is MUST_CLOSE


def test_the_end_while_draining(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(UPLOAD + b"123")
    head_of(connection)
    answer(connection)
    assert connection.next_event() is NEED_DATA
    connection.receive_eof()
    assert connection.next_event() is MUST_CLOSE
    assert not connection.linger


def test_a_server_that_stops_closes_after_the_next_answer(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(GET[:9])
    assert connection.next_event() is NEED_DATA
    connection.close_after = True
    assert connection.next_event() is NEED_DATA
    connection.receive_data(GET[9:])
    head_of(connection)
    answer(connection)
    assert connection.next_event() is MUST_CLOSE


def test_a_client_that_was_not_told_of_the_stop_may_ask_once_more(parser: str) -> None:
    connection = connect(parser)
    connection.close_after = True
    assert connection.next_event() is NEED_DATA, "not before any request"
    connection = connect(parser)
    connection.receive_data(GET)
    head_of(connection)
    connection.start_response(200, [])
    assert b"Connection" not in bytes(connection.send_body(b"a", True))
    connection.close_after = True
    connection.send_body(b"", False)
    assert connection.next_event() is NEED_DATA, "nor behind an answer that promised to go on"
    connection.receive_data(GET)
    head_of(connection)
    connection.start_response(200, [])
    assert b"\r\nConnection: close\r\n" in bytes(connection.send_body(b"", False))
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("raw", [GET, GET.replace(b"1.1", b"1.0\r\nConnection: keep-alive")])
def test_a_connection_that_is_to_serve_one_request(raw: bytes, parser: str) -> None:
    connection = connect(parser, persistent=False)
    assert connection.next_event() is NEED_DATA, "it waits for a request as any other does"
    connection.receive_data(b"\r\n")
    assert connection.next_event() is NEED_DATA
    connection.receive_data(raw + raw)
    head_of(connection)
    connection.start_response(200, [])
    assert b"Connection: close\r\n" in connection.send_body(b"x", False)
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger


# ----------------------------------------------------------------------------------- lingering


@pytest.mark.parametrize(
    ("raw", "lingers"), [(CLOSE, False), (CLOSE + GET, True), (CLOSE + b"x", True)]
)
def test_a_close_lingers_if_the_client_has_sent_more(
    raw: bytes, lingers: bool, parser: str
) -> None:
    connection = connect(parser)
    connection.receive_data(raw)
    head_of(connection)
    answer(connection)
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger is lingers


def test_what_comes_behind_the_end_is_not_kept(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(b"BAD\r\n")
    with pytest.raises(RequestError):
        connection.next_event()
    for _ in range(100):
        connection.receive_data(b"x" * 1000)
        assert connection.next_event() is MUST_CLOSE
    assert connection.buffered <= 1000
