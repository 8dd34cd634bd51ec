"""Pieces of a body that the caller writes itself, and trailer sections (RFC 9112, 7.1.2)."""

from __future__ import annotations

import pytest

from bare_serve.errors import ResponseError
from bare_serve.http import RequestHead
from bare_serve.http1 import ServerConnection
from tests.http1.harness import Fields, connect, parse_answers

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(raw: bytes = GET, headers: Fields = ()) -> ServerConnection:  # type: ignore[assignment]
    connection = connect()
    connection.receive_data(raw)
    assert isinstance(connection.next_event(), RequestHead)
    connection.start_response(200, headers)
    return connection


def piece(connection: ServerConnection, data: bytes) -> bytes:
    before, count, after = connection.external_piece(len(data))
    connection.count_external(count)
    return before + data[:count] + after


@pytest.mark.parametrize("headers", [[], [(b"Content-Length", b"9")]])
def test_pieces_from_elsewhere_among_others(headers: Fields) -> None:
    connection = ask(GET + GET, headers)
    wire = piece(connection, b"abc")
    wire += bytes(connection.send_body(b"def", True))  # type: ignore[arg-type]
    wire += piece(connection, b"")
    wire += piece(connection, b"ghi")
    wire += bytes(connection.send_body(b"", False))  # type: ignore[arg-type]
    assert parse_answers(wire, ["GET"])[0].body == b"abcdefghi"
    assert connection.bytes_sent == 9
    assert isinstance(connection.next_event(), RequestHead)


def test_a_piece_that_is_too_much_is_cut() -> None:
    connection = ask(headers=[(b"Content-Length", b"4")])
    assert piece(connection, b"abc").endswith(b"\r\n\r\nabc")
    assert piece(connection, b"def") == b"d"
    assert connection.overrun


def test_a_head_has_no_pieces() -> None:
    connection = ask(HEAD)
    assert piece(connection, b"abc").endswith(b"\r\n\r\n")
    assert piece(connection, b"def") == b""


def test_nothing_behind_the_end() -> None:
    connection = ask()
    connection.send_body(b"x", False)
    with pytest.raises(ResponseError, match="already complete"):
        connection.external_piece(1)
    with pytest.raises(ResponseError, match="at the end"):
        connection.send_trailers([])


def test_trailers_end_the_chunks() -> None:
    connection = ask(GET + GET)
    with pytest.raises(ResponseError, match="at the end"):
        connection.send_trailers([])
    connection.send_body(b"x", True)
    assert connection.send_trailers([(b"A", b"b"), (b"a", b"c")]) == b"0\r\nA: b\r\na: c\r\n\r\n"
    assert isinstance(connection.next_event(), RequestHead)


@pytest.mark.parametrize(("raw", "headers"), [(GET, [(b"Content-Length", b"1")]), (HEAD, [])])
def test_without_chunks_there_are_none(raw: bytes, headers: Fields) -> None:
    connection = ask(raw + GET, headers)
    connection.send_body(b"x", True)
    assert connection.send_trailers([(b"a", b"b")]) == b""
    assert connection.response_complete


@pytest.mark.parametrize(
    "field",
    [
        *((b"Content-Length", b"1"), (b"transfer-encoding", b"chunked"), (b"Host", b"x")),
        *((b"Set-Cookie", b"a=b"), (b"a b", b"c"), (b"a", b"b\r\nc: d")),
    ],
)
def test_what_must_not_stand_there_is_refused(field: tuple[bytes, bytes]) -> None:
    connection = ask()
    connection.send_body(b"x", True)
    with pytest.raises(ResponseError):
        connection.send_trailers([field])
    assert not connection.response_complete


def test_an_empty_first_piece_says_nothing_of_the_length() -> None:
    connection = ask()
    wire = piece(connection, b"") + piece(connection, b"abc")
    wire += bytes(connection.send_body(b"", False))  # type: ignore[arg-type]
    [answer] = parse_answers(wire)
    assert (answer.body, answer.framing) == (b"abc", "chunked")
