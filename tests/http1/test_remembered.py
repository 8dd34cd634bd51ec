"""What a connection remembers of a head changes nothing: a sequence of heads, against fresh parses.
See fresh.py. The fuzzer plays such sequences as well (tests/fuzz/targets.py).
"""

from __future__ import annotations

from random import Random

import pytest

from bare_serve.http import Limits, RequestHead
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
    for raws in (*KNOWN, *(walk(random) for _ in range(700))):
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


def test_the_fields_are_not_shared_where_the_target_names_the_host() -> None:
    """Its authority has become the Host of that one head (RFC 9112, 3.2.2)."""
    connection = connect()
    seen = []
    for target in (b"http://a/", b"http://b/", b"/c"):
        found = facts(connection, b"GET " + target + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert isinstance(found, dict)
        seen.append(found["headers"])
    assert [len(each) for each in seen] == [2, 2, 1]  # type: ignore[arg-type]


def test_the_limit_of_a_request_line_holds_for_remembered_fields() -> None:
    limits = Limits(request_line=40)
    for length, status in ((40, None), (41, 414)):
        connection = connect("python", limits)
        facts(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        target = b"/" + b"a" * (length - len(b"GET / HTTP/1.1"))
        found = facts(connection, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        assert (found[0] if isinstance(found, tuple) else None) == status
