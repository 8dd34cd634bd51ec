"""RFC 9110 (HTTP semantics), clause by clause, where it binds the server itself.

Most of it binds applications. What is here: versions, Date, Host, Connection, Upgrade, Expect, and
the methods and statuses that change how a message is framed. The wire format is test_rfc9112.py.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http import CLOSED, Limits, RequestHead
from bare_serve.http.date import date_line, format_http_date
from bare_serve.http1 import MUST_CLOSE, NEED_DATA, PAUSED, ServerConnection
from bare_serve.http1.response import status_line
from tests.http1.harness import PARSERS, agreed, connect, parse_answers

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAITING = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


def ask(raw: bytes = GET, parser: str = "python") -> ServerConnection:
    """A connection that has just received the head in `raw`."""
    connection = connect(parser)
    connection.receive_data(raw)
    assert isinstance(connection.next_event(), RequestHead)
    return connection


def answer(connection: ServerConnection, status: int, body: bytes = b"") -> bytes:
    """A complete answer in one piece."""
    connection.start_response(status, [])
    written = connection.send_body(body, False)
    assert isinstance(written, bytes)
    return written


def test_2_5_answers_are_http_1_1_whatever_the_minor_version_asked_for() -> None:
    for version in (b"1.0", b"1.1", b"1.7"):
        written = answer(ask(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n"), 200)
        assert written.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (951782400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (1735689599, b"Tue, 31 Dec 2024 23:59:59 GMT"),
    ],
)
def test_5_6_7_dates_are_imf_fixdate(seconds: int, text: bytes) -> None:
    assert format_http_date(seconds) == text


def test_6_6_1_the_date_moves_with_the_clock_and_is_made_once_a_second() -> None:
    first = date_line(1_000_000_000.1)
    assert first == b"Date: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
    assert date_line(1_000_000_000.9) is first
    assert date_line(1_000_000_001.0) == b"Date: Sun, 09 Sep 2001 01:46:41 GMT\r\n"
    assert parsedate_to_datetime(date_line().decode()[6:].strip()).tzinfo is not None


@pytest.mark.parametrize("status", [200, 204, 301, 304, 404, 500])
def test_6_6_1_every_answer_carries_one_date(status: int) -> None:
    (seen,) = parse_answers(answer(ask(), status))
    assert seen.header("date") is not None


def test_6_6_1_the_date_of_the_application_is_left_alone() -> None:
    connection = ask()
    own = b"Sun, 06 Nov 1994 08:49:37 GMT"
    connection.start_response(200, [(b"Date", own), (b"date", b"another")])
    written = connection.send_body(b"", False)
    assert isinstance(written, bytes)
    (seen,) = parse_answers(written)
    assert seen.header("date") == own


@pytest.mark.parametrize("parser", PARSERS)
def test_6_6_1_the_servers_own_refusals_carry_a_date(parser: str) -> None:
    connection = connect(parser)
    connection.receive_data(b"BAD\r\n\r\n")
    with pytest.raises(RequestError) as caught:
        connection.next_event()
    (seen,) = parse_answers(connection.error_response(caught.value))
    assert parsedate_to_datetime((seen.header("date") or b"").decode()).tzinfo is not None


def test_7_6_1_connection_names_hop_by_hop_fields_that_change_nothing_here() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: X-A, host\r\nX-A: 1\r\n\r\n"
    assert agreed(raw).only.headers[-1] == (b"x-a", b"1")


def test_7_8_upgrade_is_seen_only_with_the_connection_option() -> None:
    lines = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n"
    assert agreed(lines + b"\r\n").only.upgrade is None
    assert agreed(lines + b"Connection: x\r\n\r\n").only.upgrade is None
    assert agreed(lines + b"Connection: x, UPGRADE\r\n\r\n").only.upgrade == b"websocket"


def test_7_8_of_several_upgrade_lines_the_first_counts() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: A\r\nUpgrade: b\r\n\r\n"
    assert agreed(raw).only.upgrade == b"a"


def test_7_8_after_switching_protocols_the_bytes_belong_to_the_other() -> None:
    connection = ask(GET + b"\x81\x00rest")
    wire, rest = connection.upgrade(b"websocket", [(b"Sec-X", b"y"), (b"Upgrade", b"h2c")])
    (seen,) = parse_answers(wire)
    assert (seen.status, seen.header("upgrade")) == (101, b"websocket")
    assert (seen.header("connection"), seen.header("sec-x")) == (b"Upgrade", b"y")
    assert rest == b"\x81\x00rest"
    assert (connection.buffered, connection.phase) == (0, CLOSED)
    assert connection.next_event() is MUST_CLOSE


def test_7_8_no_switch_in_the_middle_of_an_answer_and_no_bad_header_in_it() -> None:
    connection = ask()
    with pytest.raises(ResponseError):
        connection.upgrade(b"websocket", [(b"X", b"a\r\nb")])
    connection.start_response(200, [])
    connection.send_body(b"x", True)
    with pytest.raises(ResponseError, match="already started"):
        connection.upgrade(b"websocket", [])


def test_7_8_upgrade_is_ignored_in_http_1_0() -> None:
    raw = b"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    assert agreed(raw).only.upgrade is None


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"foo/2", b"TLS/1.2, h2c"])
def test_7_8_an_upgrade_takes_neither_the_body_nor_the_next_request(protocol: bytes) -> None:
    """llhttp ends its message at an upgrade; a body must not be lost by that."""
    lines = b"Host: x\r\nUpgrade: " + protocol + b"\r\nConnection: Upgrade\r\n"
    body = b"POST / HTTP/1.1\r\n" + lines + b"Content-Length: 5\r\n\r\nhello"
    story = agreed(body + body + GET)
    assert [exchange.body for exchange in story.exchanges] == [b"hello", b"hello", b""]
    assert story.end == "open"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert agreed(b"POST / HTTP/1.1\r\n" + lines + chunks).only.body == b"hello"


def test_8_6_an_answer_in_one_piece_is_given_its_length() -> None:
    (seen,) = parse_answers(answer(ask(), 200, b"12345"))
    assert (seen.header("content-length"), seen.body) == (b"5", b"12345")
    (seen,) = parse_answers(answer(ask(), 200))
    assert seen.header("content-length") == b"0"


def test_9_1_the_method_is_case_sensitive() -> None:
    assert agreed(b"get / HTTP/1.1\r\nHost: x\r\n\r\n").only.method == "get"


def test_9_3_2_an_answer_to_head_has_the_length_and_no_body() -> None:
    connection = ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    written = answer(connection, 200, b"12345")
    (seen,) = parse_answers(written, ["HEAD"])
    assert seen.header("content-length") == b"5"
    assert written.endswith(b"\r\n\r\n")
    assert connection.bytes_sent == 0
    assert isinstance(connection.next_event(), RequestHead)


def test_9_3_2_a_refused_head_request_gets_no_body_either() -> None:
    for raw in (
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/9.1\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ):
        story = agreed(raw)
        assert story.error is not None
        assert story.wire.endswith(b"\r\n\r\n")
        (seen,) = parse_answers(story.wire, ["HEAD"])
        assert int(seen.header("content-length") or 0) > 0


def test_9_3_6_connect_is_not_implemented() -> None:
    assert agreed(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n").status == 501


def test_9_3_7_options_asks_about_the_server_with_an_asterisk() -> None:
    assert agreed(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").only.path == b"*"


def test_10_1_1_continue_is_sent_once_when_the_body_is_first_wanted() -> None:
    connection = ask(WAITING)
    assert connection.next_event() is NEED_DATA
    assert connection.awaits_continue
    assert connection.continue_expected() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.continue_expected() == b""
    assert not connection.awaits_continue
    connection.receive_data(b"hello")
    assert connection.next_event() == b"hello"
    assert connection.continue_expected() == b""
    written = answer(connection, 200)
    assert [seen.status for seen in parse_answers(written)] == [200]
    assert connection.keep_alive


def test_10_1_1_continue_is_not_sent_when_the_body_is_there() -> None:
    connection = ask(WAITING + b"hel")
    assert connection.continue_expected() == b""
    assert connection.next_event() == b"hel"
    assert connection.continue_expected() == b""


def test_10_1_1_continue_is_not_sent_when_the_body_is_complete() -> None:
    connection = ask(WAITING + b"hello")
    assert connection.next_event() == b"hello"
    assert connection.continue_expected() == b""


def test_10_1_1_continue_is_not_sent_when_the_answer_has_begun() -> None:
    connection = ask(WAITING)
    connection.start_response(200, [])
    connection.send_body(b"x", True)
    assert connection.continue_expected() == b""


def test_10_1_1_a_final_answer_instead_of_continue_ends_the_connection() -> None:
    """The client may send the body or not: what comes next could be either (RFC 9112, 9.3)."""
    connection = ask(WAITING)
    (seen,) = parse_answers(answer(connection, 401))
    assert seen.header("connection") == b"close"
    assert not connection.keep_alive


@pytest.mark.parametrize("expect", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
def test_10_1_1_the_expectation_is_case_insensitive(expect: bytes) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: " + expect + b"\r\nContent-Length: 1\r\n\r\nx"
    assert agreed(raw).only.expect_continue


def test_10_1_1_without_a_body_there_is_nothing_to_wait_for() -> None:
    request = agreed(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n").only
    assert not request.expect_continue
    connection = ask(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
    assert connection.continue_expected() == b""


def test_10_1_1_the_expectation_of_a_1_0_client_is_ignored() -> None:
    raw = WAITING.replace(b"/1.1", b"/1.0")
    assert not agreed(raw + b"hello").only.expect_continue
    assert ask(raw).continue_expected() == b""


@pytest.mark.parametrize(
    "expect", [b"200-ok", b"", b"100-continue, x", b"100-continue;q=1", b" 100 continue", b"100"]
)
def test_10_1_1_another_expectation_is_417(expect: bytes) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: " + expect + b"\r\nContent-Length: 1\r\n\r\nx"
    assert agreed(raw).status == 417


def test_10_1_1_two_expectations_are_refused() -> None:
    lines = b"Expect: 100-continue\r\n" * 2
    assert agreed(b"POST / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n").status == 400


def test_10_1_1_a_body_that_would_be_too_large_is_refused_before_it_is_sent() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"
    assert agreed(raw, limits=Limits(body=10)).status == 413


def test_15_2_an_interim_answer_comes_before_the_final_one() -> None:
    connection = ask()
    early = connection.informational(103, [(b"Link", b"</a.css>; rel=preload")])
    assert early == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    final = answer(connection, 200, b"x")
    assert [seen.status for seen in parse_answers(early + early + final)] == [103, 103, 200]
    with pytest.raises(ResponseError):
        connection.informational(103, [])


def test_15_2_a_1_0_client_gets_no_interim_answer() -> None:
    connection = ask(b"GET / HTTP/1.0\r\n\r\n")
    assert connection.informational(103, []) == b""


def test_15_2_an_interim_answer_has_no_framing() -> None:
    lines = [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"A", b"b")]
    assert ask().informational(103, lines) == b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("status", [100, 101, 200, 99, 0, -1, "103", 103.0, True])
def test_15_2_the_application_sends_102_to_199_as_interim_answers(status: int) -> None:
    with pytest.raises(ResponseError):
        ask().informational(status, [])


@pytest.mark.parametrize("status", [100, 101, 103, 199])
def test_15_2_an_interim_status_is_no_final_one(status: int) -> None:
    with pytest.raises(ResponseError):
        ask().start_response(status, [])


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [True, False])
def test_15_3_5_and_15_4_5_no_content_for_204_and_304(status: int, more: bool) -> None:
    connection = ask(GET + GET)
    connection.start_response(status, [])
    written = connection.send_body(b"oops", more)
    if more:
        rest = connection.send_body(b"more", False)
        assert rest == b""
    assert isinstance(written, bytes)
    (seen,) = parse_answers(written)
    assert (seen.status, seen.header("transfer-encoding")) == (status, None)
    assert isinstance(connection.next_event(), RequestHead)


def test_15_3_5_a_204_has_no_length() -> None:
    connection = ask()
    connection.start_response(204, [(b"Content-Length", b"4")])
    (seen,) = parse_answers(bytes(connection.send_body(b"oops", False)))  # type: ignore[arg-type]
    assert seen.header("content-length") is None
    assert connection.keep_alive


def test_15_3_6_a_205_has_an_empty_body() -> None:
    connection = ask()
    connection.start_response(205, [(b"Content-Length", b"4")])
    (seen,) = parse_answers(bytes(connection.send_body(b"oops", False)))  # type: ignore[arg-type]
    assert seen.header("content-length") == b"0"
    assert seen.body == b""
    assert connection.next_event() is NEED_DATA


def test_15_3_6_a_205_to_head_says_the_same() -> None:
    connection = ask(GET.replace(b"GET", b"HEAD"))
    connection.start_response(205, [(b"Content-Length", b"4")])
    assert b"Content-Length: 0\r\n" in bytes(connection.send_body(b"", False))  # type: ignore[arg-type]


def test_15_5_22_a_426_says_what_to_upgrade_to() -> None:
    connection = ask()
    connection.start_response(426, [(b"Upgrade", b"websocket")])
    (seen,) = parse_answers(bytes(connection.send_body(b"", False)))  # type: ignore[arg-type]
    assert seen.header("upgrade") == b"websocket"
    assert seen.header("connection") == b"Upgrade"
    assert connection.next_event() is NEED_DATA


def test_15_statuses_go_by_the_names_of_the_rfc_on_every_python() -> None:
    names = {413: b"Content Too Large", 414: b"URI Too Long", 422: b"Unprocessable Content"}
    for status, name in names.items():
        assert status_line(status) == b"HTTP/1.1 %d %s\r\n" % (status, name)


def test_15_4_5_a_304_may_tell_the_length_of_what_it_leaves_out() -> None:
    connection = ask()
    connection.start_response(304, [(b"Content-Length", b"4")])
    (seen,) = parse_answers(bytes(connection.send_body(b"", False)))  # type: ignore[arg-type]
    assert seen.header("content-length") == b"4"
    assert not connection.short


def test_15_6_2_and_15_6_6_what_is_not_spoken_here_is_said() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"
    assert agreed(raw).status == 501
    assert agreed(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n").status == 505


def test_paused_until_the_answer_is_complete() -> None:
    """9112, 9.3.2 from the other side: no second request is handed out before."""
    connection = ask(GET + GET)
    assert connection.next_event() is PAUSED
    assert connection.next_event() is PAUSED
    answer(connection, 200)
    assert isinstance(connection.next_event(), RequestHead)
