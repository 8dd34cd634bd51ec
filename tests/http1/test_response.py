"""The answering half: what an application may say, and how it is framed on the wire.

An application cannot split an answer, break its framing or speak for the connection (RFC 9112, 6, 9
and 11.1; RFC 9110, 5 and 7.6.1). All answers are read back with the strict parser of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http import CLOSED, RESPONSE, Limits, RequestHead
from bare_serve.http1 import (
    END_OF_BODY,
    MUST_CLOSE,
    NEED_DATA,
    ResponseFields,
    ServerConnection,
    response,
    response_fields,
)
from bare_serve.http1.connection import LARGE
from bare_serve.http1.response import MEMO_BLOCK_BYTES, MEMO_BLOCKS, status_line
from tests.http1.harness import Answer, Fields, connect, parse_answers

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
GET_1_0 = b"GET / HTTP/1.0\r\n\r\n"
KEEP_1_0 = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


def ask(raw: bytes = GET, limits: Limits | None = None, extra: bytes = b"") -> ServerConnection:
    """A connection that has just received the head in `raw`."""
    connection = connect(limits=limits)
    connection._extra = extra
    connection.receive_data(raw)
    assert isinstance(connection.next_event(), RequestHead)
    return connection


def joined(written: bytes | tuple[bytes, ...]) -> bytes:
    """What goes over the wire."""
    return written if isinstance(written, bytes) else b"".join(written)


def send(
    connection: ServerConnection,
    *pieces: bytes,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
    last: bool = True,
) -> bytes:
    """An answer in `pieces`; with `last` the final piece is sent as such."""
    connection.start_response(status, headers)
    wire = b""
    for number, piece in enumerate(pieces, 1):
        wire += joined(connection.send_body(piece, not last or number < len(pieces)))
    return wire


def one(wire: bytes, method: str = "GET", *, eof: bool = False) -> Answer:
    """The single answer in `wire`."""
    (seen,) = parse_answers(wire, [method], eof=eof)
    return seen


# -------------------------------------------------------------------- no answer can be split

BAD = [
    b"\r\nX: 1",
    b"\r",
    b"\n",
    b"\x00",
    b"\r\n\r\n<html>",
    b"\x01",
    b"\x0b",
    b"\x1b[31m",
    b"\x7f",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_control_character_in_a_value_is_the_applications_error(bad: bytes) -> None:
    for value in (b"a" + bad, bad + b"a", bad):
        with pytest.raises(ResponseError, match="X-Name"):
            ask().start_response(200, [(b"X-Name", value)])


@pytest.mark.parametrize(
    "bad", [*BAD, b"", b" ", b":", b"a b", b"a:", b"(", b"\xe4", b"a\t", b"a,"]
)
def test_a_name_that_is_no_token_is_the_applications_error(bad: bytes) -> None:
    name = bad if bad in (b"", b" ", b":") else b"X" + bad
    with pytest.raises(ResponseError, match="name"):
        ask().start_response(200, [(name, b"v")])


@pytest.mark.parametrize("bad", BAD)
def test_a_control_character_in_the_reason_is_the_applications_error(bad: bytes) -> None:
    with pytest.raises(ResponseError, match="reason"):
        ask().start_response(200, [], b"OK" + bad)


@pytest.mark.parametrize("status", [0, 99, 1000, -200, "200", None, True, b"200"])
def test_a_status_that_is_none_is_the_applications_error(status: Any) -> None:
    with pytest.raises(ResponseError, match="status"):
        ask().start_response(status, [])


@pytest.mark.parametrize(
    "pair",
    [("X", "y"), ("X", b"y"), (b"X", "y"), (b"X", None), (b"X", 1), (bytearray(b"X"), b"y"),
     (b"X", bytearray(b"y")), ([], b"y")],
)  # fmt: skip
def test_names_and_values_that_are_not_bytes_are_the_applications_error(pair: Any) -> None:
    with pytest.raises(ResponseError, match="bytes"):
        ask().start_response(200, [pair])


def test_after_a_refused_start_the_server_can_still_answer() -> None:
    connection = ask()
    with pytest.raises(ResponseError):
        connection.start_response(200, [(b"X", b"a\r\nb")])
    assert not connection.response_started
    assert one(connection.error_response(RequestError(500, "Sorry."))).status == 500


def test_a_refused_start_leaves_the_one_before_it_in_force() -> None:
    connection = ask()
    connection.start_response(404, [(b"A", b"b")])
    with pytest.raises(ResponseError):
        connection.start_response(200, [(b"X", b"a\r\nb")])
    seen = one(joined(connection.send_body(b"", False)))
    assert (seen.status, seen.header("a")) == (404, b"b")


def test_what_is_legal_passes_unchanged() -> None:
    """Names keep their case, order and repetition; values may be obs-text, a reason may be free."""
    headers: Fields = [
        (b"X-A", b"1"),
        (b"x-a", b"2"),
        (b"Set-Cookie", b"a=b"),
        (b"B", b"caf\xe9\t!"),
    ]
    connection = ask()
    connection.start_response(299, headers, b"Na\xefve")
    wire = joined(connection.send_body(b"", False))
    assert wire.startswith(b"HTTP/1.1 299 Na\xefve\r\n")
    assert b"X-A: 1\r\nx-a: 2\r\nSet-Cookie: a=b\r\nB: caf\xe9\t!\r\n" in wire


def test_a_status_enum_and_a_status_without_a_name_are_fine() -> None:
    assert one(send(ask(), b"", status=HTTPStatus.NOT_FOUND)).status == 404
    assert send(ask(), b"", status=999).startswith(b"HTTP/1.1 999 \r\n")


# ------------------------------------------------------- what belongs to the connection is ours


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Connection", b"keep-alive"),
        (b"Connection", b"upgrade"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"trailers"),
        (b"Upgrade", b"h2c"),
        (b"Transfer-Encoding", b"chunked"),
        (b"transfer-encoding", b"CHUNKED"),
    ],
)
def test_hop_by_hop_fields_of_the_application_are_absorbed(name: bytes, value: bytes) -> None:
    connection = ask()
    seen = one(send(connection, b"hello", headers=[(name, value)]))
    assert seen.header(name.decode()) is None
    assert (seen.header("content-length"), seen.body) == (b"5", b"hello")
    assert connection.keep_alive


@pytest.mark.parametrize("value", [b"close", b"Close", b"x , CLOSE", b"close, keep-alive"])
def test_close_of_the_application_is_a_wish_that_is_met(value: bytes) -> None:
    connection = ask(GET + GET)
    seen = one(send(connection, b"x", headers=[(b"Connection", value)]))
    assert seen.header("connection") == b"close"
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize(
    "value", [b"gzip", b"gzip, chunked", b"identity", b"", b"chunked, chunked"]
)
def test_a_transfer_coding_that_is_not_applied_is_refused(value: bytes) -> None:
    with pytest.raises(ResponseError, match="Transfer-Encoding"):
        ask().start_response(200, [(b"Transfer-Encoding", value)])


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1,1", b"1 1", b"0x1", b"x", b"1.0", b"9" * 20]
)
def test_a_content_length_that_is_no_number_is_refused(value: bytes) -> None:
    with pytest.raises(ResponseError, match="Content-Length"):
        ask().start_response(200, [(b"Content-Length", value)])


def test_two_content_lengths_are_one_or_an_error() -> None:
    twice = [(b"Content-Length", b"5"), (b"content-length", b"05")]
    assert one(send(ask(), b"hello", headers=twice)).body == b"hello"
    with pytest.raises(ResponseError, match="5 and as 6"):
        ask().start_response(200, [(b"Content-Length", b"5"), (b"Content-Length", b"6")])


def test_fields_of_the_operator_stand_in_every_answer() -> None:
    extra = b"X-Frame-Options: DENY\r\n"
    assert one(send(ask(extra=extra), b"")).header("x-frame-options") == b"DENY"
    connection = ask(extra=extra)
    seen = one(connection.error_response(RequestError(500, "Sorry.")))
    assert seen.header("x-frame-options") == b"DENY"


# ---------------------------------------------------------------------------------- framing


def test_an_answer_in_one_piece_is_one_write_with_its_length() -> None:
    seen = one(send(ask(), b"hello"))
    assert (seen.framing, seen.body) == ("length", b"hello")


def test_an_answer_in_pieces_without_a_length_is_chunked() -> None:
    connection = ask(GET + GET)
    seen = one(send(connection, b"one", b"", b"three", b""))
    assert (seen.framing, seen.body) == ("chunked", b"onethree")
    assert connection.bytes_sent == 8
    assert isinstance(connection.next_event(), RequestHead)


def test_an_answer_in_pieces_with_a_length_is_not_chunked() -> None:
    headers = [(b"Content-Length", b"8")]
    seen = one(send(ask(), b"one", b"three", b"", headers=headers))
    assert (seen.framing, seen.body) == ("length", b"onethree")


@pytest.mark.parametrize("raw", [GET_1_0, KEEP_1_0])
def test_a_1_0_client_gets_no_chunks(raw: bytes) -> None:
    """RFC 9112, 6.1: the end of the body is the end of the connection."""
    connection = ask(raw)
    seen = one(send(connection, b"one", b"two", b""), eof=True)
    assert (seen.framing, seen.body) == ("eof", b"onetwo")
    assert seen.header("connection") == b"close"
    assert connection.next_event() is MUST_CLOSE


def test_a_1_0_client_that_keeps_alive_gets_a_length_and_is_kept() -> None:
    connection = ask(KEEP_1_0 + KEEP_1_0)
    seen = one(send(connection, b"one"))
    assert (seen.framing, seen.header("connection")) == ("length", b"keep-alive")
    assert isinstance(connection.next_event(), RequestHead)


@pytest.mark.parametrize("raw", [HEAD, HEAD.replace(b"/1.1", b"/1.0")])
def test_head_answers_carry_no_body_in_any_framing(raw: bytes) -> None:
    for pieces in ((b"hello",), (b"one", b"two", b""), (b"", b"x", b"")):
        wire = send(ask(raw), *pieces)
        assert wire.endswith(b"\r\n\r\n")
        assert one(wire, "HEAD").header("transfer-encoding") is None
    declared = [(b"Content-Length", b"1000")]
    connection = ask(raw)
    seen = one(send(connection, b"", headers=declared), "HEAD")
    assert seen.header("content-length") == b"1000"
    assert not connection.short


def test_large_pieces_are_not_copied() -> None:
    data = b"x" * LARGE
    connection = ask()
    connection.start_response(200, [(b"Content-Length", b"%d" % (2 * LARGE))])
    first = connection.send_body(data, True)
    assert isinstance(first, tuple)
    assert first[1] is data
    assert connection.send_body(data, False) is data
    connection = ask()
    connection.start_response(200, [])
    wire = joined(connection.send_body(data, True))
    piece = connection.send_body(data, True)
    assert isinstance(piece, tuple)
    assert piece[1] is data
    wire += joined(piece) + joined(connection.send_body(b"", False))
    assert one(wire).body == data * 2


# ----------------------------------------------------------------- a declared length is a promise


def test_what_exceeds_the_declared_length_is_cut_and_told() -> None:
    connection = ask(GET + GET)
    seen = one(send(connection, b"12345XXXXX", headers=[(b"Content-Length", b"5")]))
    assert seen.body == b"12345"
    assert connection.overrun
    assert connection.bytes_sent == 5
    assert isinstance(connection.next_event(), RequestHead)
    assert not connection.overrun


def test_what_exceeds_it_in_a_later_piece_is_cut_as_well() -> None:
    connection = ask()
    seen = one(send(connection, b"123", b"45X", b"XX", b"", headers=[(b"Content-Length", b"5")]))
    assert seen.body == b"12345"
    assert connection.overrun


def test_less_than_the_declared_length_ends_the_connection() -> None:
    """The client can see it only by the connection being cut (RFC 9112, 8)."""
    connection = ask(GET + GET)
    wire = send(connection, b"12345", headers=[(b"Content-Length", b"10")])
    with pytest.raises(AssertionError, match="cut short"):
        parse_answers(wire)
    assert connection.short
    assert not connection.keep_alive
    assert connection.next_event() is MUST_CLOSE


def test_a_declared_length_of_zero_admits_nothing() -> None:
    connection = ask()
    seen = one(send(connection, b"x", headers=[(b"Content-Length", b"0")]))
    assert seen.body == b""
    assert connection.overrun
    assert not connection.short


# ------------------------------------------------------------------------------- order of calls


def test_the_later_start_counts_until_bytes_have_left() -> None:
    connection = ask()
    connection.start_response(200, [(b"A", b"b"), (b"Content-Length", b"9")])
    connection.start_response(500, [(b"C", b"d")])
    seen = one(joined(connection.send_body(b"x", False)))
    assert (seen.status, seen.header("a"), seen.header("c")) == (500, None, b"d")
    assert connection.status == 500
    with pytest.raises(ResponseError, match="already started"):
        connection.start_response(200, [])


def test_no_body_before_a_start_and_none_behind_the_end() -> None:
    connection = ask()
    with pytest.raises(ResponseError, match="before the response was started"):
        connection.send_body(b"x", False)
    send(connection, b"x")
    with pytest.raises(ResponseError, match="already complete"):
        connection.send_body(b"y", False)


def test_the_lines_of_an_answer_can_be_looked_at() -> None:
    connection = ask()
    assert connection.answer_lines == []
    connection.start_response(200, [(b"A", b"b"), (b"Connection", b"close")])
    assert connection.answer_lines == [b"A: b\r\n"]
    connection = ask()
    connection.start_response(200, [(b"content-length", b"7"), (b"A", b"b")])
    assert connection.answer_lines == [b"A: b\r\n", b"Content-Length: 7\r\n"]


def test_fields_that_were_checked_are_pairs_again() -> None:
    fields = ResponseFields(
        [
            (b"A", b"b: c"),
            (b"empty", b""),
            (b"Connection", b"close"),
            (b"content-length", b"7"),
            (b"A", b"d"),
        ]
    )
    assert list(fields) == [
        (b"A", b"b: c"),
        (b"empty", b""),
        (b"A", b"d"),
        (b"Content-Length", b"7"),
    ]
    assert list(ResponseFields(fields)) == list(fields)
    assert list(ResponseFields([])) == []


def test_open_ended_is_an_answer_whose_length_nobody_knows() -> None:
    connection = ask()
    assert not connection.open_ended
    connection.start_response(200, [])
    assert connection.open_ended
    connection.start_response(200, [(b"Content-Length", b"1")])
    assert not connection.open_ended


@pytest.mark.parametrize(
    ("raw", "headers", "visible"),
    [
        (GET, [], True),  # chunked: the last chunk is missing
        (GET, [(b"Content-Length", b"9")], True),
        (GET, [(b"Content-Length", b"4")], True),  # all of it has left: nothing is missing
        (GET_1_0, [], False),  # the end of the connection would look like the end of the body
        (HEAD, [], True),  # likewise
    ],
)
def test_breaking_off_says_whether_the_client_can_tell(
    raw: bytes, headers: Fields, visible: bool
) -> None:
    connection = ask(raw + GET)
    send(connection, b"part", headers=headers, last=False)
    assert connection.break_off() is visible
    assert not connection.keep_alive
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("raw", [GET, GET_1_0])
def test_where_nothing_has_left_the_end_of_the_connection_tells(raw: bytes) -> None:
    connection = ask(raw)
    assert connection.break_off() is True
    connection = ask(raw)
    connection.start_response(200, [])
    assert connection.break_off() is True


@pytest.mark.parametrize(("raw", "minor"), [(GET, 1), (HEAD, 1), (GET_1_0, 0)])
def test_a_probe_comes_before_the_answer(raw: bytes, minor: int) -> None:
    """RFC 9110, 15.2: no 1xx to a client of HTTP/1.0."""
    connection = connect()
    assert connection.probe() == b""
    connection = ask(raw)
    assert connection.probe() == (b"HTTP/1.1 100 Continue\r\n\r\n" if minor else b"")
    assert connection.probe() == connection.probe(), "as often as it is asked for"
    send(connection, b"part", last=False)
    assert connection.probe() == b""


# ------------------------------------------------------------------------- bodies sent elsewhere


def test_a_file_is_announced_with_its_size() -> None:
    connection = ask(GET + GET)
    connection.start_response(200, [])
    head, count = connection.send_external(5)
    assert count == 5
    assert connection.bytes_sent == 0, "who writes them counts them"
    connection.count_external(7)
    connection.count_external(-2)
    assert connection.send_body(b"", False) == b""
    assert one(head + b"12345").body == b"12345"
    assert connection.bytes_sent == 5
    assert isinstance(connection.next_event(), RequestHead)


@pytest.mark.parametrize("at_most", [True, False])
def test_a_file_larger_than_its_declared_length_is_cut(at_most: bool) -> None:
    connection = ask()
    connection.start_response(200, [(b"Content-Length", b"3")])
    head, count = connection.send_external(5, at_most=at_most)
    assert count == 3
    assert connection.overrun is not at_most
    assert one(head + b"123").body == b"123"


def test_a_file_smaller_than_its_declared_length_is_short() -> None:
    connection = ask()
    connection.start_response(200, [(b"Content-Length", b"9")])
    assert connection.send_external(5)[1] == 5
    connection.send_body(b"", False)
    assert connection.short
    assert not connection.keep_alive


@pytest.mark.parametrize("status", [200, 204, 304])
def test_no_file_is_sent_where_no_body_belongs(status: int) -> None:
    connection = ask(HEAD if status == 200 else GET)
    connection.start_response(status, [])
    head, count = connection.send_external(5)
    assert count == 0
    assert connection.send_body(b"", False) == b""
    seen = one(head, "HEAD" if status == 200 else "GET")
    assert seen.header("content-length") == (None if status == 204 else b"5")


def test_a_file_must_be_the_whole_body_of_a_started_answer() -> None:
    connection = ask()
    with pytest.raises(ResponseError, match="before the response was started"):
        connection.send_external(5)
    connection.start_response(200, [])
    connection.send_body(b"x", True)
    with pytest.raises(ResponseError, match="already started"):
        connection.send_external(5)


# ------------------------------------------------------------------------------ whether it persists


def test_a_small_unread_body_is_drained_and_the_connection_kept() -> None:
    connection = ask(UPLOAD)
    assert one(send(connection, b"x")).header("connection") is None
    assert connection.next_event() is NEED_DATA
    connection.receive_data(b"1234567890" + GET)
    head = connection.next_event()
    assert isinstance(head, RequestHead)
    assert head.method == "GET"


def test_a_large_unread_body_is_not_waited_for() -> None:
    connection = ask(UPLOAD, Limits(drain=9))
    assert one(send(connection, b"x")).header("connection") == b"close"
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger


def test_a_body_that_may_still_be_read_does_not_end_the_connection() -> None:
    connection = ask(UPLOAD, Limits(drain=9))
    wire = send(connection, b"x", last=False)
    connection.receive_data(b"1234567890")
    assert connection.next_event() == b"1234567890"
    assert connection.next_event() is END_OF_BODY
    wire += joined(connection.send_body(b"", False))
    assert one(wire).header("connection") is None
    assert connection.next_event() is NEED_DATA


def test_an_answer_while_draining_the_server_is_the_last_one() -> None:
    connection = ask(GET + GET)
    connection.close_after = True
    assert one(send(connection, b"x")).header("connection") == b"close"
    assert connection.next_event() is MUST_CLOSE


def test_an_answer_to_a_half_closed_client_is_the_last_one() -> None:
    connection = ask()
    connection.receive_eof()
    assert one(send(connection, b"x")).header("connection") == b"close"
    assert connection.next_event() is MUST_CLOSE
    assert not connection.linger


def test_requests_sent_before_a_half_close_are_all_answered() -> None:
    connection = ask(GET + GET)
    connection.receive_eof()
    assert one(send(connection, b"x")).header("connection") is None
    assert isinstance(connection.next_event(), RequestHead)
    assert one(send(connection, b"x")).header("connection") == b"close"


# ------------------------------------------------------------------------- the server's own answers


def test_an_error_answer_is_complete_and_the_last() -> None:
    connection = ask()
    seen = one(connection.error_response(RequestError(503, "Come b\u00e4ck later.")))
    assert (seen.status, seen.header("connection")) == (503, b"close")
    assert seen.header("content-type") == b"text/plain; charset=utf-8"
    assert seen.body == "Come b\u00e4ck later.\n".encode()
    assert connection.bytes_sent == len(seen.body)
    assert connection.status == 503
    assert (connection.phase, connection.response_complete) == (CLOSED, True)
    assert connection.next_event() is MUST_CLOSE
    assert connection.linger


def test_an_error_may_bring_headers() -> None:
    error = RequestError(426, "Not here.", b"Upgrade: websocket\r\n")
    assert one(ask().error_response(error)).header("upgrade") == b"websocket"


def test_there_is_no_error_answer_in_the_middle_of_another() -> None:
    connection = ask()
    send(connection, b"part", last=False)
    assert connection.error_response(RequestError(500, "Sorry.")) == b""
    assert connection.next_event() is MUST_CLOSE


def test_there_is_no_error_answer_behind_a_complete_one() -> None:
    connection = ask(UPLOAD)
    send(connection, b"done")
    assert connection.error_response(RequestError(408, "Too slow.")) == b""


def test_a_head_that_is_late_behind_a_good_request_is_answered() -> None:
    for late, body in ((b"GET / HT", True), (b"HEAD / HT", False)):
        for first in (GET, HEAD):
            connection = ask(first + late)
            send(connection, b"done")
            assert connection.next_event() is NEED_DATA
            wire = connection.error_response(RequestError(408, "Too slow."))
            assert wire.endswith(b"Too slow.\n" if body else b"\r\n\r\n")
            assert one(wire, "GET" if body else "HEAD").status == 408


def test_a_bad_request_behind_a_good_one_is_answered() -> None:
    connection = ask(GET + b"BAD\r\n\r\n")
    send(connection, b"done")
    with pytest.raises(RequestError) as caught:
        connection.next_event()
    assert not connection.response_started
    assert one(connection.error_response(caught.value)).status == 400


def test_a_fault_in_the_body_is_answered_unless_the_answer_has_begun() -> None:
    bad = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"
    for begun in (False, True):
        connection = ask(bad)
        if begun:
            send(connection, b"part", last=False)
        with pytest.raises(RequestError) as caught:
            connection.next_event()
        wire = connection.error_response(caught.value)
        assert bool(wire) is not begun


# ------------------------------------------------------------------------------------- the memo


def test_the_memo_of_header_lines_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memo: dict[tuple[bytes, bytes], bytes] = {}
    monkeypatch.setattr(response, "_memo", memo)
    headers = [(b"A", b"b"), (b"Connection", b"close"), (b"Content-Length", b"1"), (b"a", b"b")]
    first, second = (send(ask(), b"x", headers=headers) for _ in range(2))
    assert first == second
    assert set(memo) == {(b"A", b"b"), (b"a", b"b"), (b"Content-Length", b"1")}


def test_the_memo_holds_no_cookies_and_no_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    memo: dict[tuple[bytes, bytes], bytes] = {}
    monkeypatch.setattr(response, "_memo", memo)
    send(ask(), b"", headers=[(b"Set-Cookie", b"session=secret"), (b"X", b"y" * 300)])
    assert memo == {}


def test_the_memo_is_emptied_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    memo: dict[tuple[bytes, bytes], bytes] = {}
    monkeypatch.setattr(response, "_memo", memo)
    monkeypatch.setattr(response, "MEMO_ENTRIES", 3)
    for number in range(7):
        send(ask(), b"", headers=[(b"N", b"%d" % number)])
        assert (b"N", b"%d" % number) in memo
        assert len(memo) <= 3


def test_the_phase_during_an_answer() -> None:
    connection = ask()
    assert connection.phase == RESPONSE
    send(connection, b"x")
    assert connection.phase == 0


# -------------------------------------------------------------- blocks of fields are remembered


def facts(fields: ResponseFields) -> tuple[object, ...]:
    return fields.block, fields.length, fields.close, fields.date, fields.upgrade, fields.lines


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5")],
        [(b"Connection", b"close"), (b"Date", b"today"), (b"Upgrade", b"websocket")],
        [(b"A", b"b"), (b"a", b"b"), (b"A", b"b")],
    ],
)
def test_a_block_that_repeats_is_as_if_made_anew(headers: list[tuple[bytes, bytes]]) -> None:
    first, again = response_fields(iter(headers)), response_fields(headers)
    assert again is first
    assert facts(again) == facts(ResponseFields(headers))


@pytest.mark.parametrize(
    "headers", [[(b"Set-Cookie", b"sid=secret")], [(b"X-Large", b"x" * MEMO_BLOCK_BYTES)]]
)
def test_what_is_meant_for_one_client_or_large_is_not_remembered(
    headers: list[tuple[bytes, bytes]],
) -> None:
    for _ in range(2):  # also where its lines are
        assert response_fields(headers) is not response_fields(headers)


def test_no_more_than_so_many_blocks_are_remembered() -> None:
    for number in range(MEMO_BLOCKS + 10):
        response_fields([(b"X-Number", b"%d" % number)])
        assert len(response._blocks) <= MEMO_BLOCKS


@pytest.mark.parametrize("status", [205, 426])
def test_a_status_with_rules_of_its_own_changes_no_block(status: int) -> None:
    headers = [(b"Content-Length", b"4"), (b"Upgrade", b"x")]
    before = facts(response_fields(headers))
    for _ in range(2):
        connection = ask()
        connection.start_response(status, headers)
        connection.send_body(b"oops", False)
    assert facts(response_fields(headers)) == before


def test_a_body_sent_from_outside_changes_no_block() -> None:
    headers = [(b"Content-Type", b"text/plain")]
    before = facts(response_fields(headers))
    connection = ask()
    connection.start_response(200, headers)
    assert b"Content-Length: 77\r\n" in connection.send_external(77)[0]
    assert facts(response_fields(headers)) == before


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (412, b"Precondition Failed"),
        (413, b"Content Too Large"),
        (414, b"URI Too Long"),
        (415, b"Unsupported Media Type"),
        (416, b"Range Not Satisfiable"),
        (417, b"Expectation Failed"),
        (421, b"Misdirected Request"),
        (422, b"Unprocessable Content"),
        (423, b"Locked"),
    ],
)
def test_phrases_are_those_of_rfc_9110_whatever_the_python(status: int, phrase: bytes) -> None:
    assert status_line(status) == b"HTTP/1.1 %d %b\r\n" % (status, phrase)
