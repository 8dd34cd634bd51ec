"""What a connection remembers of a head changes nothing: a sequence of heads, against fresh parses.
See fresh.py. The fuzzer plays such sequences as well (tests/fuzz/targets.py).
"""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import ResponseFields, ServerConnection
from bare_serve.http1.connection import LARGE
from bare_serve.http1.parser_python import PythonHeadParser
from bare_serve.http1.response import NOT_READY
from tests.http1.fresh import facts, same_as_fresh
from tests.http1.harness import PARSERS, connect

TIGHT = Limits(request_line=60, headers=4, header_size=120, body=40)

METHODS = [b"GET", b"GET", b"HEAD", b"POST", b"get", b"OPTIONS", b"CONNECT", b"M-X", b"G(T"]
TARGETS = [
    *(
        b"/",
        b"/a?b",
        b"/a?b?c",
        b"/b%20c",
        b"?",
        b"*",
        b"//x",
        b"/\xff",
        b"/\x7f",
        b"/\x1f",
        b"/\t",
        b'/"|',
        b"/#",
        b"/a b",
        b"",
    ),
    *(b"http://x/", b"http://y/", b"http://x", b"x:1", b"/" + b"a" * 44, b"/" + b"a" * 90),
]
VERSIONS = [b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1\r"]
BLOCKS = [
    b"Host: x\r\n",
    b"Host: x\r\nA: b\r\n",
    b"",
    b"A: b\r\n",
    b"Host: y\r\nConnection: close\r\n",
    b"Host: x\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n",
    b"Host: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
    b"Host: x\r\nConnection: upgrade\r\nConnection: close\r\nUpgrade: h2c\r\n",
    b"Host: x\r\nCookie: a=1\r\nCookie: b=2\r\n",
    b"Host: x\r\nHost: x\r\n",
    b"Host: x y\r\n",
    b"Host: x:99999\r\n",
    b"Host: x\r\nContent-Length: 0\r\n",
    b"Host: x\r\nContent-Length: 41\r\n",
    b"Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
    b"Host: x\r\nTransfer-Encoding: gzip\r\n",
    b"Host: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n",
    b"Host: x\r\nExpect: x\r\n",
    b"Host: x\r\nAuthorization: Basic eDp5\r\nX: " + b"v" * 40 + b"\r\n",
    b"Host: x\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n",
    b"Host: x\r\nA : b\r\n",
    b"Host: x\r\nA: \x01\r\n",
    b"Host: x\r\nA: b\r\n c\r\n",
]


# Values that take the place of each other in a block: the names stay.
VALUES = [
    *(b"", b"x", b"y", b"a=1; b", b"\t", b"x\ty ", b"\xe9", b"\x7f", b"\0", b"\n", b"\r", b"x\r\n"),
    *(
        b"x\r\n\r\n",
        b"x\r\n\r\nGET /2 HTTP/1.1\r\nHost: y",
        b"\r\nHost: z",
        b"0",
        b"41",
        b"close",
        b"chunked",
        b"100-continue",
        b"a" * 60,
    ),
]
SHAPES = [
    b"Host: x\r\nA:%b\r\nB: c\r\n",
    b"Host: x\r\nCookie: %b\r\nB: %b\r\n",
    b"Cookie: %b\r\nHost: %b\r\nCookie: c\r\n",
    b"Host:%b\r\nB:b%b\r\n",
    b"Host: x\r\nConnection: %b\r\nB:  %b\r\n",
    b"Host: x\r\nContent-Length: %b\r\nContent-Type: %b\r\n",
    b"Host: x\r\nTransfer-Encoding: %b\r\nTE: %b\r\n",
    b"Host: x\r\nUpgrade: %b\r\nConnection: upgrade\r\nExpect: %b\r\n",
    b"Host: x\r\nA%b: b\r\nB: %b\r\n",
]


def varied(random: Random) -> list[bytes]:
    """Some heads in a row whose fields have the same names, mostly, and other values."""
    shape = random.choice(SHAPES)
    raws = []
    for _ in range(random.randrange(2, 8)):
        block = shape
        while b"%b" in block:
            value = random.choice(VALUES[:4]) if random.random() < 0.8 else random.choice(VALUES)
            block = block.replace(b"%b", value, 1)
        target = random.choice(TARGETS[:4]) if random.random() < 0.9 else random.choice(TARGETS)
        raws.append(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, block))
    return raws


def walk(random: Random) -> list[bytes]:
    """Some heads in a row; mostly the fields stay while the request line changes."""
    block = random.choice(BLOCKS)
    stays = random.random() < 0.6
    raws = []
    for _ in range(random.randrange(2, 7)):
        line = (random.choice(METHODS), random.choice(TARGETS), random.choice(VERSIONS))
        raws.append(b"%b %b %b\r\n%b\r\n" % (*line, block if stays else random.choice(BLOCKS)))
    return raws


KNOWN = [
    [b"GET http://x/ HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET /a HTTP/1.0\r\n\r\n"],
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"],
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("limits", [TIGHT, Limits()])
def test_a_sequence_of_heads_equals_each_head_alone(parser: str, limits: Limits) -> None:
    random = Random(1)
    for raws in (
        *KNOWN,
        *(walk(random) for _ in range(700)),
        *(varied(random) for _ in range(700)),
    ):
        same_as_fresh(raws, parser, limits)


@pytest.mark.parametrize("parser", PARSERS)
def test_the_fields_are_shared_while_only_the_request_line_differs(parser: str) -> None:
    """The case is met at all, and by a head that comes in two pieces."""
    connection = connect(parser)
    heads = []
    for line in (b"GET /a", b"GET /b?c", b"HEAD /b", b"OPTIONS /d"):
        connection.receive_data(line + b" HTTP/1.1\r\nHo")
        connection.next_event()
        connection.receive_data(b"st: x\r\n\r\n")
        head = connection.next_event()
        assert isinstance(head, RequestHead)
        heads.append(head)
        connection.start_response(200, [])
        connection.send_body(b"", False)
        connection.next_event()
    assert len({id(head.headers) for head in heads}) == 1
    assert len({id(head) for head in heads}) == 4


@pytest.mark.parametrize("parser", PARSERS)
def test_of_fields_that_differ_it_is_told_which(parser: str) -> None:
    """The case is met at all; each list is another one, and a framing field is never derived."""
    connection = connect(parser)
    heads = []
    raw = b"GET /%d HTTP/1.1\r\nHost: %b\r\nCookie: a=%d\r\nA: b\r\nX: %d\r\n\r\n"
    for number, host in enumerate((b"x", b"x", b"x", b"y")):
        connection.receive_data(raw % (number, host, number, number // 2))
        head = connection.next_event()
        assert isinstance(head, RequestHead)
        heads.append(head)
        connection.start_response(200, [])
        connection.send_body(b"", False)
        connection.next_event()
    first, second, third, fourth = heads
    assert first.changes is None
    assert fourth.changes is None
    assert second.changes is not None
    assert third.changes is not None
    assert second.changes[0] is first.headers
    assert third.changes[0] is second.headers
    assert second.changes[1] is second.headers
    assert second.changes[2] == [(b"cookie", b"a=1")]
    assert third.changes[2] == [(b"cookie", b"a=2"), (b"x", b"1")]
    assert first.headers == [(b"host", b"x"), (b"cookie", b"a=0"), (b"a", b"b"), (b"x", b"0")]


def answered(connection: ServerConnection, raw: bytes) -> RequestHead:
    """Return the head in `raw`, once it is answered."""
    connection.receive_data(raw)
    head = connection.next_event()
    assert isinstance(head, RequestHead)
    connection.start_response(200, [])
    connection.send_body(b"", False)
    connection.next_event()
    return head


@pytest.mark.parametrize("parser", PARSERS)
def test_where_all_heads_are_unlike_ever_fewer_are_compared(parser: str) -> None:
    compared = []
    for unlike in range(1, 50):
        connection = connect(parser)
        for number in range(unlike):
            raw = b"GET /%%d HTTP/1.1\r\nHost: x\r\nX-%d: y\r\n\r\n" % number
            head = answered(connection, raw % 1)
        if answered(connection, raw % 2).headers is head.headers:
            compared.append(unlike)
            # Then all is as at the beginning.
            last = answered(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (
                answered(connection, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").headers is last.headers
            )
        assert answered(connection, raw % 3).headers == head.headers
    assert compared == [1, 2, 4, 8, 16, 32, 48]


def test_the_fields_are_not_shared_where_the_target_names_the_host() -> None:
    """Its authority has become the Host of that one head (RFC 9112, 3.2.2)."""
    connection = connect()
    seen = []
    for target in (b"http://a/", b"http://b/", b"/c"):
        found = facts(connection, b"GET " + target + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert isinstance(found, dict)
        seen.append(found["headers"])
    assert [len(each) for each in seen] == [2, 2, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize("parser", PARSERS)
def test_what_http10_may_leave_out_is_asked_of_http11(parser: str) -> None:
    """A Host, of the same fields otherwise (RFC 9112, 3.2)."""
    connection = connect(parser)
    fields = b"Connection: keep-alive\r\nX: y\r\n\r\n"
    answered(connection, b"GET / HTTP/1.0\r\n" + fields)
    connection.receive_data(b"GET /a HTTP/1.1\r\n" + fields)
    with pytest.raises(RequestError, match="Host"):
        connection.next_event()


def test_the_limit_of_a_request_line_holds_for_remembered_fields() -> None:
    limits = Limits(request_line=40)
    for length, status in ((40, None), (41, 414)):
        connection = connect("python", limits)
        facts(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        target = b"/" + b"a" * (length - len(b"GET / HTTP/1.1"))
        found = facts(connection, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        assert (found[0] if isinstance(found, tuple) else None) == status


STARTS: list[tuple[int, list[tuple[bytes, bytes]], bytes]] = [
    (200, [], b""),
    (200, [(b"A", b"b")], b""),
    (200, [(b"A", b"b")], b"Fine"),
    (200, [(b"Content-Length", b"2")], b""),
    (200, [(b"Content-Length", b"3")], b""),
    (200, [(b"Connection", b"close")], b""),
    (200, [(b"Date", b"today")], b""),
    (200, [(b"Set-Cookie", b"a=b")], b""),
    (204, [], b""),
    (205, [(b"A", b"b")], b""),
    (304, [(b"A", b"b")], b""),
    (404, [(b"A", b"b")], b""),
    (426, [(b"Upgrade", b"x")], b""),
]
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
PIECES = [[b"ok"], [b""], [b"three"], [b"o", b"k"], [b"", b"ok"], [b"x" * LARGE]]


def answer(
    fields: ResponseFields, start: tuple[int, bytes], request: bytes, pieces: list[bytes],
    extra: bytes, closing: str,
) -> tuple[object, ...]:  # fmt: skip
    """What leaves for an answer, and what the connection says of it behind each piece."""
    http = ServerConnection(PythonHeadParser(), Limits(), extra)
    http.receive_data(request)
    http.next_event()
    if closing == "eof":
        http.receive_eof()
    http.close_after = closing == "stop"
    http.start_response(start[0], fields, start[1])
    told: list[object] = []
    for number, piece in enumerate(pieces):
        output = http.send_body(piece, number < len(pieces) - 1)
        told.append(output if isinstance(output, bytes) else b"".join(output))
        told += [http.status, http.bytes_sent, http.overrun, http.short, http.whole]
        told += [http.keep_alive, http.response_started, http.response_complete, http.phase]
    with contextlib.suppress(ResponseError):
        told.append(http.send_body(b"again", False))
    told.append(http.break_off())
    return tuple(told)


def test_a_head_that_is_ready_is_that_which_would_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against fields that have none ready, in sequences that mix all that a head depends on."""
    days = [b"Date: one\r\n", b"Date: two\r\n"]
    today = 0
    monkeypatch.setattr("bare_serve.http1.connection.date_line", lambda: days[today])
    monkeypatch.setattr("bare_serve.http1.connection.wall_clock", lambda: today + 0.5)
    kept = [ResponseFields(headers) for _, headers, _ in STARTS]
    extras = [b"", b"Server: x\r\n"]
    random, used = Random(7), 0
    for _ in range(6000):
        place = random.choice(range(len(STARTS)))
        status, headers, reason = STARTS[place]
        if random.random() < 0.3:
            status, reason = random.choice([200, 404, 201]), b""
        request = REQUESTS[0] if random.random() < 0.5 else random.choice(REQUESTS)
        rest = (request, random.choice(PIECES), random.choice(extras))
        closing = random.choice(["", "", "", "eof", "stop"])
        today = random.choice([0, 1])
        used += kept[place].ready is not NOT_READY
        with_memory = answer(kept[place], (status, reason), *rest, closing)
        assert with_memory == answer(ResponseFields(headers), (status, reason), *rest, closing)
    assert used > 1000


def test_a_second_may_end_while_a_head_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock takes its time; no Date is older than its answer."""
    now = 7.0

    def read() -> float:
        nonlocal now
        now += 0.3
        return now

    monkeypatch.setattr("bare_serve.http1.connection.wall_clock", read)
    monkeypatch.setattr("bare_serve.http1.connection.date_line", lambda: b"Date: %d\r\n" % read())
    fields = ResponseFields([(b"A", b"b")])
    for _ in range(50):
        before = int(now)
        head = answer(fields, (200, b""), REQUESTS[0], [b"ok"], b"", "")[0]
        assert isinstance(head, bytes)
        assert before <= int(head.split(b"\r\n")[1].removeprefix(b"Date: ")) <= now


def test_an_application_that_sends_its_own_date_has_no_head_that_is_ready() -> None:
    fields = ResponseFields([(b"Date", b"Mon, 30 Nov 2026 12:00:00 GMT")])
    answer(fields, (200, b""), REQUESTS[0], [b"ok"], b"", "")
    assert fields.ready is NOT_READY


def test_a_head_is_ready_only_where_it_repeats() -> None:
    for headers in [[(b"Set-Cookie", b"a=b")], [(b"X", b"x" * 2000)]]:
        fields = ResponseFields(headers)
        answer(fields, (200, b""), REQUESTS[0], [b"ok"], b"", "")
        assert fields.ready is NOT_READY
    plain = ResponseFields([(b"A", b"b")])
    answer(plain, (200, b""), REQUESTS[0], [b"ok"], b"", "")
    assert plain.ready is not NOT_READY
    assert plain.ready[3:] == (2, answer(plain, (200, b""), REQUESTS[0], [b"ok"], b"", "")[0][:-2])  # type: ignore[index]
