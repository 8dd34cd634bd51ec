"""RFC 9112 (HTTP/1.1), clause by clause in its own order, as far as it binds a server.

Each test carries its clause in its name, so a gap shows. Every case goes through `agreed`: whole,
byte by byte, with trailing bytes, on both parsers. Expectations are written from the RFC; where it
leaves a choice, ours is the strict one, and the test says so. Answers: test_response.py.
"""

from __future__ import annotations

from itertools import product

import pytest

from bare_serve.http import Limits
from bare_serve.http1.grammar import CHUNK_LINE
from tests.http1.harness import NEXT, agreed, parse_answers, play

HOST = b"Host: x\r\n"


def cases(*values: bytes) -> pytest.MarkDecorator:
    """One test for each of the byte strings, with ids that can be read."""
    return pytest.mark.parametrize("case", values, ids=[ascii(value[:60]) for value in values])


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    """A GET with Host and the given field lines."""
    return b"GET %s %s\r\n%s%s\r\n" % (target, version, HOST, b"".join(x + b"\r\n" for x in lines))


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with Host and the given field lines."""
    return b"POST / HTTP/1.1\r\n%s%s\r\n%s" % (HOST, b"".join(x + b"\r\n" for x in lines), body)


def chunked(body: bytes) -> bytes:
    """A POST whose body is given in the chunked coding."""
    return post(b"Transfer-Encoding: chunked", body=body)


def refused(raw: bytes, status: int = 400, limits: Limits | None = None) -> None:
    """`raw` is refused: one answer, then the end, and nothing reaches the application whole."""
    story = agreed(raw, limits=limits)
    assert story.status == status
    assert story.end == "closed"
    assert not any(exchange.complete for exchange in story.exchanges)
    method = "HEAD" if raw.startswith(b"HEAD ") else "GET"
    (answer,) = parse_answers(story.wire, [method])
    assert answer.status == status
    assert answer.header("connection") == b"close"
    assert answer.header("content-type") == b"text/plain; charset=utf-8"


# 2. Message ------------------------------------------------------------------------------------


def test_2_1_message_format_is_line_fields_blank_line_and_body() -> None:
    story = agreed(
        b"POST /path?query HTTP/1.1\r\nHost: example.org\r\nContent-Length: 4\r\nX-A: 1\r\n\r\nbody"
    )
    request = story.only
    assert (request.method, request.target, request.version) == ("POST", b"/path?query", "1.1")
    assert request.headers == [
        (b"host", b"example.org"),
        (b"content-length", b"4"),
        (b"x-a", b"1"),
    ]
    assert request.body == b"body"
    assert story.end == "open"


@cases(
    b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    b"GET / HTTP/1.1\r\nHost: x\n\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n\r\n",
    b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
def test_2_2_a_bare_lf_ends_no_line(case: bytes) -> None:
    """The RFC lets a recipient take it for a line end; two that differ on it can be smuggled by."""
    refused(case)


@cases(
    b"GET / HTTP/1.1\rHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\rHost: x\r\n\r\n",
    b"GET /\r HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET\r / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA:\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA\r: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\rA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\r\n",
    b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
def test_2_2_a_bare_cr_is_refused_wherever_it_stands(case: bytes) -> None:
    refused(case)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_2_2_empty_lines_before_the_request_line_are_ignored(count: int) -> None:
    assert agreed(b"\r\n" * count + get()).only.target == b"/"


@pytest.mark.parametrize("count", [1, 8])
def test_2_2_empty_lines_between_two_requests_are_ignored(count: int) -> None:
    body = post(b"Content-Length: 1", body=b"x")
    story = agreed(body + b"\r\n" * count + body + b"\r\n" * count + get())
    assert len(story.exchanges) == 3
    assert story.end == "open"


@pytest.mark.parametrize("count", [9, 10, 500])
def test_2_2_more_than_eight_empty_lines_are_no_request(count: int) -> None:
    refused(b"\r\n" * count + get())


@cases(
    b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\tHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n \r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\t\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n \r\n\r\n",
)
def test_2_2_white_space_before_the_first_field_is_refused(case: bytes) -> None:
    refused(case)


@cases(
    b"\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b" GET / HTTP/1.1\r\n",
    b"\x80abc",
    b"(",
    b"{}\r\n\r\n",
)
def test_2_2_what_does_not_match_the_grammar_is_answered_at_once(case: bytes) -> None:
    """No request line begins so, and waiting for its end would only hold a connection."""
    refused(case)


@cases(b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/1.9")
def test_2_3_every_minor_version_of_1_is_served(case: bytes) -> None:
    """RFC 9110, 2.5: a higher minor version is to be read as the highest one known."""
    assert agreed(get(version=case)).only.version == ("1.0" if case == b"HTTP/1.0" else "1.1")


@cases(b"HTTP/0.9", b"HTTP/2.0", b"HTTP/2.1", b"HTTP/3.0", b"HTTP/9.9")
def test_2_3_another_major_version_is_505(case: bytes) -> None:
    refused(get(version=case), 505)


def test_2_3_the_preface_of_http_2_is_505() -> None:
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


@cases(
    b"http/1.1",
    b"Http/1.1",
    b"HTTP/1",
    b"HTTP/1.",
    b"HTTP/.1",
    b"HTTP/1.1.1",
    b"HTTP/11",
    b"HTTP/1.10",
    b"HTTP/01.1",
    b"HTTP/1.01",
    b"HTTP/1,1",
    b"HTTP/ 1.1",
    b"HTTP/1 .1",
    b"HTTP/+1.1",
    b"HTTP/1.1x",
    b"HTTP/1.\xb9",
    b"HTTP/1.\xd9\xa1",
    b"HTTP/A.B",
    b"HTTP",
    b"HTP/1.1",
    b"HTTPS/1.1",
    b"ICE/1.0",
    b"RTSP/1.0",
    b"",
)
def test_2_3_a_malformed_version_is_400(case: bytes) -> None:
    refused(get(version=case))


# 3. Request line -------------------------------------------------------------------------------


@cases(
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b"GET /\tHTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET / HTTP/1.1\t",
    b"GET /\x0bHTTP/1.1",
    b"GET\x0c/ HTTP/1.1",
    b"GET\xa0/ HTTP/1.1",
    b"GET\x85/ HTTP/1.1",
    b"GET / a HTTP/1.1",
    b"GET /",
    b"GET",
    b"GET HTTP/1.1",
    b"/ HTTP/1.1",
    b"GET /HTTP/1.1",
)
def test_3_request_line_has_three_parts_and_single_spaces(case: bytes) -> None:
    refused(case + b"\r\n" + HOST + b"\r\n")


def test_3_a_request_line_of_8000_bytes_is_taken() -> None:
    target = b"/" + b"a" * (8000 - len(b"GET / HTTP/1.1"))
    assert agreed(get(target=target)).only.target == target


def test_3_a_longer_request_line_is_414() -> None:
    refused(get(target=b"/" + b"a" * 20), 414, Limits(request_line=30))


@cases(b"GET", b"get", b"PURGE", b"M-SEARCH", b"X", b"!#$%&'*+-.^_`|~09azAZ", b"PRI", b"A" * 300)
def test_3_1_a_method_is_any_token_and_keeps_its_case(case: bytes) -> None:
    raw = case + b" / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert agreed(raw).only.method == case.decode()


@cases(
    *(b"G" + bytes([c]) + b"T" for c in b'\x00\x01\x0b\x1f"(),/:;<=>?@[\\]{}\x7f\x80\x85\xa0\xff'),
    b"",
    b"GET:",
    b"\xd0\x93ET",
)
def test_3_1_a_method_that_is_no_token_is_refused(case: bytes) -> None:
    refused(case + b" / HTTP/1.1\r\nHost: x\r\n\r\n")


@cases(
    *(b"/a" + bytes([c]) + b"b" for c in b"\x00\x01\x08\x0b\x0c\x1b\x1f\x7f\x80\x85\xa0\xc3\xff"),
    b"/a\xc3\xa4",
)
def test_3_2_a_target_is_visible_ascii(case: bytes) -> None:
    refused(get(target=case))


@cases(b"/#", b"/a#b", b"/?a#b", b"http://x/#f")
def test_3_2_a_target_has_no_fragment(case: bytes) -> None:
    refused(get(target=case))


def test_3_2_without_host_400() -> None:
    refused(b"GET / HTTP/1.1\r\n\r\n")
    refused(b"GET / HTTP/1.2\r\nX: y\r\n\r\n")
    refused(b"GET http://x/ HTTP/1.1\r\n\r\n")
    refused(b"OPTIONS * HTTP/1.1\r\n\r\n")


@cases(
    b"Host: x\r\nHost: x\r\n",
    b"Host: x\r\nHost: y\r\n",
    b"Host: x\r\nhOST: x\r\n",
    b"Host:\r\nHost: x\r\n",
    b"Host: x\r\nA: b\r\nHost: x\r\n",
)
def test_3_2_with_two_hosts_400(case: bytes) -> None:
    refused(b"GET / HTTP/1.1\r\n" + case + b"\r\n")
    refused(b"GET / HTTP/1.0\r\n" + case + b"\r\n")


@cases(
    b"x y",
    b"x, y",
    b"a@b",
    b"user:pass@x",
    b"http://x",
    b"x/",
    b"x/path",
    b"x?q",
    b"x#f",
    b"x:port",
    b"x:-1",
    b"x:+80",
    b"x:80 80",
    b"x:65536",
    b"x:123456",
    b"x:80:80",
    b"[::1",
    b"::1",
    b"[::1]x",
    b"[::g]",
    b"[]",
    b"x%",
    b"x%zz",
    b"x\\y",
    b"<x>",
    b'"x"',
    b"x\x80",
    b"\xe4",
    b"x\ty",
    b"x:\xb2",
)
def test_3_2_with_a_malformed_host_400(case: bytes) -> None:
    refused(b"GET / HTTP/1.1\r\nHost: " + case + b"\r\n\r\n")
    refused(b"GET / HTTP/1.0\r\nHost: " + case + b"\r\n\r\n")


@cases(
    b"x",
    b"example.org",
    b"EXAMPLE.org:8080",
    b"x:0",
    b"x:65535",
    b"x:00080",
    b"x:",
    b"127.0.0.1:80",
    b"[::1]",
    b"[::1]:8000",
    b"[2001:db8::192.0.2.1]",
    b"[v1.fe80::a+en1]",
    b"a_b.c~d-e",
    b"%41.example",
    b"a!$&'()*+;=b",
    b"",
)
def test_3_2_with_one_good_host_it_is_served(case: bytes) -> None:
    """Also an empty one: a client without an authority sends it so."""
    request = agreed(b"GET / HTTP/1.1\r\nHost: " + case + b"\r\n\r\n").only
    assert request.header(b"host") == case


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a/b", b"/a/b", b""),
        (b"/a?b=c", b"/a", b"b=c"),
        (b"/a?", b"/a", b""),
        (b"/?", b"/", b""),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"//a/b", b"//a/b", b""),
        (b"//evil.example/x", b"//evil.example/x", b""),
        (b"/../a/./b", b"/../a/./b", b""),
        (b"/%2e%2e/%00?%0d%0a", b"/%2e%2e/%00", b"%0d%0a"),
        (b"/%zz%", b"/%zz%", b""),
        (b"/http://x/", b"/http://x/", b""),
        (b"/a:b@c;d=e,f", b"/a:b@c;d=e,f", b""),
        (b'/"<>\\^`{|}', b'/"<>\\^`{|}', b""),
        (b"/*", b"/*", b""),
    ],
)
def test_3_2_1_origin_form(target: bytes, path: bytes, query: bytes) -> None:
    request = agreed(get(target=target)).only
    assert (request.target, request.path, request.query) == (target, path, query)


@cases(b"a", b"a/b", b"?a", b"x:80", b"example.org", b".", b"\\", b"%2f", b"index.html")
def test_3_2_1_a_path_begins_with_a_slash(case: bytes) -> None:
    refused(get(target=case))


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        (b"http://x/", b"x", b"/", b""),
        (b"http://x", b"x", b"/", b""),
        (b"http://x?q", b"x", b"/", b"q"),
        (b"http://x/a/b?c=d?e", b"x", b"/a/b", b"c=d?e"),
        (b"https://x:8443/a", b"x:8443", b"/a", b""),
        (b"HTTP://X/a", b"x", b"/a", b""),
        (b"http://[::1]:80/a", b"[::1]:80", b"/a", b""),
        (b"http://x:80/", b"x", b"/", b""),
        (b"http://X/", b"x:80", b"/", b""),
        (b"https://x/", b"x:443", b"/", b""),
        (b"http://x//a", b"x", b"//a", b""),
        (b"http://x/http://y/", b"x", b"/http://y/", b""),
    ],
)
def test_3_2_2_absolute_form(target: bytes, host: bytes, path: bytes, query: bytes) -> None:
    raw = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    request = agreed(raw).only
    assert (request.target, request.path, request.query) == (target, path, query)
    assert request.header(b"host") == host


def test_3_2_2_the_host_of_an_absolute_target_is_the_host() -> None:
    """In 1.0 Host may be absent; the application still learns which host was asked for."""
    request = agreed(b"GET http://y:81/ HTTP/1.0\r\n\r\n").only
    assert request.header(b"host") == b"y:81"


@cases(b"http://y/", b"http://x:81/", b"https://x:80/", b"http://x.y/", b"https://y:443/x")
def test_3_2_2_another_host_than_that_of_the_target_is_refused(case: bytes) -> None:
    """The target's counts by the RFC, but whoever forwarded this may have gone by the field."""
    refused(get(target=case))


@cases(
    b"ftp://x/",
    b"ws://x/",
    b"http:/x/",
    b"http:x",
    b"http:///a",
    b"http://",
    b"http://?q",
    b"http://a@x/",
    b"http://x:a/",
    b"http://x:65536/",
    b"http://[::1/",
    b"http://x y/",
    b"http://x\\y/",
    b"javascript:alert(1)",
    b"file:///etc/passwd",
    b"://x/",
)
def test_3_2_2_another_absolute_target_is_refused(case: bytes) -> None:
    refused(get(target=case))


@cases(b"x:80", b"example.org:443", b"[::1]:80", b"x", b"/", b"*", b"http://x/")
def test_3_2_3_authority_form_belongs_to_connect_which_is_not_implemented(case: bytes) -> None:
    raw = b"CONNECT " + case + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    refused(raw, 501)


def test_3_2_3_authority_form_without_connect_is_refused() -> None:
    for method in (b"GET", b"OPTIONS", b"POST"):
        refused(method + b" x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")


def test_3_2_4_asterisk_form_belongs_to_options() -> None:
    request = agreed(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").only
    assert (request.method, request.target, request.path) == ("OPTIONS", b"*", b"*")
    assert request.query == b""


@cases(b"GET *", b"POST *", b"options *", b"OPTIONS **", b"OPTIONS *?a", b"OPTIONS */")
def test_3_2_4_asterisk_form_otherwise_is_refused(case: bytes) -> None:
    refused(case + b" HTTP/1.1\r\nHost: x\r\n\r\n")


# 5. Field syntax -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b"A:b", b"a", b"b"),
        (b"A: b", b"a", b"b"),
        (b"A:  \t b \t ", b"a", b"b"),
        (b"A:", b"a", b""),
        (b"A: \t ", b"a", b""),
        (b"A: b: c", b"a", b"b: c"),
        (b"A: b  c\td", b"a", b"b  c\td"),
        (b"A: :", b"a", b":"),
        (b"A: caf\xe9 \x80\xff", b"a", b"caf\xe9 \x80\xff"),
        (b"A: \x85b\xa0", b"a", b"\x85b\xa0"),
        (b"!#$%&'*+-.^_`|~09Zz: v", b"!#$%&'*+-.^_`|~09zz", b"v"),
        (b"UPPER-Case: V", b"upper-case", b"V"),
        (b"a_b: c", b"a_b", b"c"),
        (b"A: " + b"v" * 5000, b"a", b"v" * 5000),
    ],
)
def test_5_field_line_is_name_colon_value(line: bytes, name: bytes, value: bytes) -> None:
    """The name in lower case; of the value only SP and HTAB around it are cut."""
    assert agreed(get(line)).only.headers == [(b"host", b"x"), (name, value)]


def test_5_order_and_repetition_are_kept() -> None:
    request = agreed(get(b"B: 1", b"A: 2", b"b: 3")).only
    assert request.headers[1:] == [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]


@cases(b"A : b", b"A\t: b", b"Host : y", b"Content-Length : 5", b"Transfer-Encoding : chunked")
def test_5_1_white_space_before_the_colon_is_400(case: bytes) -> None:
    refused(get(case))


@cases(
    b": b",
    b":",
    b"A",
    b"A b",
    b" ",
    b"A B: c",
    b"A\x00: b",
    b"\x00A: b",
    b"A\x0b: b",
    b"A\xa0: b",
    b"A\x85: b",
    b"\xe4: b",
    b"A(: b",
    b"A/B: c",
    b"A@: c",
    b'"A": c',
    b"A[]: c",
    b"A{}: c",
    b"A,B: c",
    b"A;: c",
    b"A=: c",
    b"A\\: c",
    b"A<: c",
    b"A?: c",
    b"A\x7f: c",
    b"GET / HTTP/1.1",
)
def test_5_1_a_name_is_a_token_and_stands_before_a_colon(case: bytes) -> None:
    refused(get(case))
    refused(get(case, b"B: c"))


@cases(*(bytes([c]) for c in (*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F)))
def test_5_1_a_control_character_in_a_value_is_refused(case: bytes) -> None:
    """RFC 9110, 5.5 asks it for CR, LF and NUL; the others help nobody but an attacker."""
    for value in (case, b"a" + case, case + b"a", b"a" + case + b"b"):
        refused(get(b"X: " + value))


@cases(
    b"X: a\r\n b",
    b"X: a\r\n\tb",
    b"X:\r\n b",
    b"X: a\r\n ",
    b"X: a\r\n Content-Length: 5",
    b"X: a\r\n\t\r\nY: b",
    b"Transfer-Encoding:\r\n chunked",
    b"Content-Length:\r\n 5",
)
def test_5_2_line_folding_is_refused(case: bytes) -> None:
    refused(get(case))
    refused(get(case, b"Z: z"))


# 6. Message body -------------------------------------------------------------------------------


def test_6_a_body_is_announced_by_its_framing_not_by_its_method() -> None:
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"POST", b"X"):
        raw = method + b" / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        assert agreed(raw).exchanges[0].body == b"body"
        raw = method + b" / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert agreed(raw).only.body == b""


@cases(b"chunked", b"CHUNKED", b"Chunked", b" \tchunked\t ")
def test_6_1_chunked_is_understood(case: bytes) -> None:
    request = agreed(post(b"Transfer-Encoding:" + case, body=b"3\r\nabc\r\n0\r\n\r\n")).only
    assert request.chunked
    assert request.length is None
    assert request.body == b"abc"


@cases(b"gzip", b"gzip, chunked", b"identity", b"deflate,chunked", b"x", b"xchunked", b"chunkedx")
def test_6_1_a_coding_that_is_not_known_is_501(case: bytes) -> None:
    refused(post(b"Transfer-Encoding: " + case, body=b"0\r\n\r\n"), 501)


@cases(
    b"",
    b",",
    b",chunked",
    b"chunked,",
    b"chunked chunked",
    b"chunked,chunked",
    b"chunked, chunked",
    b"chunked, identity",
    b"chunked, gzip",
    b'"chunked"',
    b"'chunked' x",
    b"chunked;a=b",
    b"chunk ed",
    b"chunked\x80",
    b"\xa0chunked",
    b"\x85chunked",
    b"chun\xe2\x84\xaaed",
    b"[chunked]",
    b"chunked;",
    b"chunked,gzip,chunked",
)
def test_6_1_transfer_encoding_is_exactly_chunked(case: bytes) -> None:
    refused(post(b"Transfer-Encoding: " + case, body=b"0\r\n\r\n"))


@cases(
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
    b"Transfer-Encoding: chunked\r\nX: y\r\nTransfer-Encoding: x",
)
def test_6_1_transfer_encoding_stands_once(case: bytes) -> None:
    refused(post(case, body=b"0\r\n\r\n"))


@cases(
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    b"Content-Length: 5\r\nTransfer-Encoding: identity",
    b"Content-Length: x\r\nTransfer-Encoding: chunked",
)
def test_6_1_content_length_beside_transfer_encoding_is_refused(case: bytes) -> None:
    """The RFC allows reading it by the coding, if the connection is closed; this is an attack."""
    refused(post(case, body=b"0\r\n\r\n"))


@cases(b"chunked", b"identity", b"gzip")
def test_6_1_transfer_encoding_in_http_1_0_is_refused(case: bytes) -> None:
    raw = b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: " + case + b"\r\n\r\n0\r\n\r\n"
    refused(raw)
    refused(raw.replace(b"Host", b"Connection: keep-alive\r\nHost"))


@pytest.mark.parametrize(
    ("text", "length"), [(b"0", 0), (b"5", 5), (b"05", 5), (b"0" * 18 + b"5", 5)]
)
def test_6_2_content_length_is_a_number_of_bytes(text: bytes, length: int) -> None:
    request = agreed(post(b"Content-Length: " + text, body=b"12345"[:length])).only
    assert request.length == length
    assert request.body == b"12345"[:length]


@cases(
    b"",
    b"+5",
    b"-5",
    b"-0",
    b"5.0",
    b"5e0",
    b"0x5",
    b"0o5",
    b"5_0",
    b"1_0",
    b"5 5",
    b"5,5",
    b"5, 5",
    b"5, 6",
    b",5",
    b"5,",
    b'"5"',
    b"five",
    b"5;a",
    b"5\x80",
    b"\xb5",
    b"\xa05",
    b"5\x85",
    b"\xd9\xa5",
    b"\xef\xbc\x95",
    b"9" * 20,
    b"0" * 20 + b"5",
    b"18446744073709551621",
    b"9" * 5000,
)
def test_6_2_anything_else_is_no_content_length(case: bytes) -> None:
    refused(post(b"Content-Length: " + case, body=b"12345"))


@cases(
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5\r\ncontent-length: 5",
    b"Content-Length:\r\nContent-Length: 5",
    b"Content-Length: 5\r\nX: y\r\nContent-Length: 0",
)
def test_6_2_content_length_stands_once(case: bytes) -> None:
    refused(post(case, body=b"12345"))


def test_6_2_an_underscore_is_not_a_hyphen() -> None:
    request = agreed(post(b"Content_Length: 5", b"Transfer_Encoding: chunked")).only
    assert request.length is None
    assert not request.chunked


def test_6_3_without_length_and_coding_there_is_no_body() -> None:
    story = agreed(post() + get())
    assert [exchange.body for exchange in story.exchanges] == [b"", b""]


def test_6_3_exactly_content_length_bytes_are_the_body() -> None:
    story = agreed(post(b"Content-Length: 5", body=b"12345") + get(target=b"/second"))
    assert [exchange.body for exchange in story.exchanges] == [b"12345", b""]
    assert story.exchanges[1].target == b"/second"


def test_6_3_a_body_may_look_like_a_request() -> None:
    inner = get(target=b"/inner")
    story = agreed(post(b"Content-Length: %d" % len(inner), body=inner))
    assert story.only.body == inner


def test_6_3_what_follows_a_length_of_zero_is_a_request() -> None:
    story = agreed(post(b"Content-Length: 0", body=get(target=b"/second")))
    assert [exchange.target for exchange in story.exchanges] == [b"/", b"/second"]


# 7. Transfer codings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
        (b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        (b"2\r\n\x00\xff\r\n0\r\n\r\n", b"\x00\xff"),
    ],
)
def test_7_1_chunked_coding(body: bytes, content: bytes) -> None:
    assert agreed(chunked(body)).only.body == content


@cases(
    b"\r\n\r\n",
    b"\r\n",
    b"x\r\n",
    b"g\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b"-5\r\nhello\r\n",
    b"-0\r\n\r\n",
    b"0x5\r\nhello\r\n",
    b"5h\r\nhello\r\n",
    b"5 5\r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"\t5\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"5\t\r\nhello\r\n",
    b"5_0\r\nhello\r\n",
    b"5.\r\nhello\r\n",
    b"5,\r\nhello\r\n",
    b'"5"\r\nhello\r\n',
    b";\r\n\r\n",
    b";a=b\r\n\r\n",
    b"\xb5\r\nhello\r\n",
    b"5\xa0\r\nhello\r\n",
    b"5\x00\r\nhello\r\n",
    b"5\x0b\r\nhello\r\n",
    b"00000000000000005\r\nhello\r\n",
    b"\r\n5\r\nhello\r\n",
)
def test_7_1_a_chunk_size_is_one_to_sixteen_hex_digits(case: bytes) -> None:
    refused(chunked(case + b"0\r\n\r\n"))


@cases(b"10000000000000000", b"10000000000000005", b"f" * 17, b"F" * 400)
def test_7_1_a_chunk_size_does_not_overflow(case: bytes) -> None:
    refused(chunked(case + b"\r\nhello\r\n0\r\n\r\n"))


@cases(b"ffffffffffffffff", b"8000000000000000", b"7fffffffffffffff", b"80000000")
def test_7_1_a_huge_chunk_is_413_before_its_data(case: bytes) -> None:
    refused(chunked(case + b"\r\n"), 413)


@cases(
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\r\n0\r\n\r\n",
    b"5\r\nhello\n\r0\r\n\r\n",
    b"5\r\nhello \r\n0\r\n\r\n",
    b"5\r\nhello!\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
)
def test_7_1_a_chunk_ends_with_its_crlf(case: bytes) -> None:
    story = agreed(chunked(case))
    assert story.status == 400
    assert not story.exchanges[0].complete
    assert story.exchanges[0].body in (b"hello", b"hell", b"hello\r")


@cases(
    b"5\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\r\rhello\r\n0\r\n\r\n",
    b"0\n\r\n",
    b"0\r\n\n",
    b"0\n\n",
    b"0\r\n\r\r\n",
    b"0\r\r\n\r\n",
    b"0\r\nX: y\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\nhello\r\n0\r\n\r\n",
    b"5\r\n\nhello\r\n0\r\n\r\n",  # the LF is data, so the chunk ends too early
)
def test_7_1_lines_of_the_coding_end_with_crlf(case: bytes) -> None:
    refused(chunked(case))


@cases(
    b"5;a",
    b"5;a=b",
    b'5;a="b c"',
    b"5;a=b;c=d",
    b"5 ; a = b",
    b"5\t;a",
    b"5;\t a",
    b"5;a;b;c",
    b"5;a=b;c",
    b'5 ; x = "q" ;y',
    b'5;x="a\\"b;c"',
    b'5;a="\\""',
    b'5;a="\\\\"',
    b'5;a=""',
    b'5;a="\t\\\t\\ \x21\x23[]~"',
    b'5;a="caf\xe9\\\xff"',
    b"5;!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~",
    b"5;" + b"a" * 4000,
)
def test_7_1_1_chunk_extensions_are_ignored(case: bytes) -> None:
    assert agreed(chunked(case + b"\r\nhello\r\n0;last\r\n\r\n")).only.body == b"hello"


MALFORMED_EXTENSIONS = (
    # no name
    b";",
    b"; ",
    b" ;",
    b";;",
    b";;;",
    b";a;",
    b";;a",
    b";=",
    b";=b",
    b';"a"',
    b";(x)=y",
    # a name that is no token
    b";caf\xe9",
    b";a/b",
    b";a@",
    b";a\x00b",
    b";a\x01",
    b";\x7f",
    b";a\x0bb",
    b";a\xa0;b",
    # no value, or none that is a token or a quoted string
    b";x=",
    b";x= ",
    b";x=;y",
    b";x==y",
    b";x=a=b",
    b";x=caf\xe9",
    b";x=(y)",
    b";x=a,b",
    b";x=a/b",
    b";x='a b'",
    # two values, or something behind one
    b";x=a b",
    b';x="a"b',
    b';x="a" b',
    b';x="a""b"',
    b';x=a"b"',
    b';x="a"=b',
    b";x y",
    # a quote that stays open, or holds what it must not
    b';x="',
    b';x="a',
    b';x="a\\"',
    b';x="a\\',
    b';x="\\\\\\"',
    b';x="a\x00"',
    b';x="a\x7f"',
    b';x="\\\x01"',
    b';x="a\x0b"',
    # white space that belongs to nothing
    b";x ",
    b";x=y ",
    b';x="y"\t',
    b";x=y ; ",
    # no semicolon
    b":a",
    b" a",
    b",a",
    b"=a",
    b'"a"',
)


@cases(*MALFORMED_EXTENSIONS)
def test_7_1_1_a_malformed_chunk_extension_is_refused(case: bytes) -> None:
    """Before the data of a chunk, behind that of another, and before the trailers."""
    refused(chunked(b"5" + case + b"\r\nhello\r\n0\r\n\r\n"))
    refused(chunked(b"0" + case + b"\r\n\r\n"))
    story = agreed(chunked(b"5;good\r\nhello\r\n5" + case + b"\r\nhello\r\n0\r\n\r\n"))
    assert story.status == 400
    assert story.exchanges[0].body == b"hello"


def is_chunk_line(line: bytes) -> bool:
    """The grammar of chunk-size and chunk-ext, read byte by byte."""
    token = rb"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    at = 0

    def skip(among: bytes) -> bool:
        nonlocal at
        start = at
        while at < len(line) and line[at] in among:
            at += 1
        return at > start

    def take(byte: bytes) -> bool:
        nonlocal at
        found = line[at : at + 1] == byte
        at += found
        return found

    def quoted() -> bool:
        nonlocal at
        while not take(b'"'):
            take(b"\\")
            if at == len(line) or line[at] == 0x7F or (line[at] < 32 and line[at] != 9):
                return False
            at += 1
        return True

    if not skip(b"0123456789abcdefABCDEF") or at > 16:
        return False
    while at < len(line):
        skip(b" \t")
        if not take(b";"):
            return False
        skip(b" \t")
        if not skip(token):
            return False
        behind_name = at
        skip(b" \t")
        if not take(b"="):
            at = behind_name
            continue
        skip(b" \t")
        if not (quoted() if take(b'"') else skip(token)):
            return False
    return True


def test_7_1_1_the_pattern_of_chunk_lines_is_the_grammar() -> None:
    """All lines of up to five of these parts behind a size."""
    parts = (b"5", b";", b"a", b"=", b'"', b"\\", b" ", b"\xe9", b"\x01")
    good = 0
    for count in range(6):
        for chosen in product(parts, repeat=count):
            line = b"5" + b"".join(chosen)
            good += is_chunk_line(line)
            assert is_chunk_line(line) is (CHUNK_LINE.fullmatch(line) is not None), line
    assert good > 100


@cases(
    b'0;x="\r\n\r\n',
    b'0;x="a\\\r\n\r\n',
    b'1;x="\r\nz\r\n0\r\n\r\n',
    b'0;x="\r\n\r\n"',
    b'0;x="\n\r\n',
    b'0;x="\r\r\n\r\n',
)
def test_7_1_1_a_quote_does_not_reach_across_lines(case: bytes) -> None:
    """A server that reads on to the closing quote finds one request where another finds two."""
    story = agreed(chunked(case) + get(target=b"/smuggled"))
    assert story.status == 400
    assert [exchange.target for exchange in story.exchanges] == [b"/"]
    assert not story.exchanges[0].complete


def test_7_1_1_chunk_extensions_are_limited_over_the_whole_body() -> None:
    limits = Limits(chunk_extensions=10)
    fits = b"1;aaaa\r\nx\r\n" * 2 + b"0\r\n\r\n"
    assert agreed(chunked(fits), limits=limits).only.body == b"xx"
    story = agreed(chunked(b"1;aaaa\r\nx\r\n" * 2 + b"0;a\r\n\r\n"), limits=limits)
    assert story.status == 400


@cases(
    b"X: y\r\n",
    b"X: y\r\nZ:\r\n",
    b"Host: evil\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Authorization: x\r\nHost: a\r\nHost: b\r\n",
    b"X: caf\xe9\r\n",
)
def test_7_1_2_trailers_are_read_and_never_merged(case: bytes) -> None:
    story = agreed(chunked(b"5\r\nhello\r\n0\r\n" + case + b"\r\n"))
    assert story.only.body == b"hello"
    assert story.only.headers == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]
    assert story.end == "open"


@cases(
    b"X\r\n",
    b"X : y\r\n",
    b": y\r\n",
    b" X: y\r\n",
    b"X: a\r\n b\r\n",
    b"X: a\x00\r\n",
    b"X\x00: a\r\n",
    b"X: a\rb\r\n",
    b"GET / HTTP/1.1\r\n",
    b"(: a\r\n",
    b"X: \x0b\r\n",
)
def test_7_1_2_trailers_obey_the_rules_of_fields(case: bytes) -> None:
    refused(chunked(b"0\r\n" + case + b"\r\n"))


def test_7_1_2_the_blank_line_behind_the_last_chunk_is_required() -> None:
    assert agreed(chunked(b"5\r\nhello\r\n0\r\n")).end == "waiting"
    assert agreed(chunked(b"5\r\nhello\r\n0\r\n"), eof=True).end == "gone"
    refused(chunked(b"0\r\n" + get()))


def test_7_1_3_after_decoding_the_next_request_follows() -> None:
    story = agreed(chunked(b"3\r\nabc\r\n0\r\n\r\n") + chunked(b"0\r\nA: b\r\n\r\n") + get())
    assert [exchange.body for exchange in story.exchanges] == [b"abc", b"", b""]
    assert story.end == "open"


# 8. Incomplete messages ------------------------------------------------------------------------


@cases(
    b"G",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r",
    post(b"Content-Length: 5"),
    post(b"Content-Length: 5", body=b"1234"),
    chunked(b""),
    chunked(b"5"),
    chunked(b"5\r\n"),
    chunked(b"5\r\nhell"),
    chunked(b"5\r\nhello"),
    chunked(b"5\r\nhello\r"),
    chunked(b"5\r\nhello\r\n"),
    chunked(b"5\r\nhello\r\n0"),
    chunked(b"5\r\nhello\r\n0\r\n"),
    chunked(b"5\r\nhello\r\n0\r\nX: y"),
    chunked(b"5\r\nhello\r\n0\r\nX: y\r\n"),
    chunked(b"5\r\nhello\r\n0\r\nX: y\r\n\r"),
)
def test_8_a_message_cut_by_the_end_of_the_connection_is_never_complete(case: bytes) -> None:
    waiting = agreed(case)
    assert waiting.end == "waiting"
    assert waiting.wire == b""
    gone = agreed(case, eof=True)
    assert gone.end == "gone"
    assert gone.wire == b""
    assert not any(exchange.complete for exchange in gone.exchanges)


@cases(
    b"", b"\r", b"\r\n", b"\r\n\r\n", get(), get() + b"\r\n", post(b"Content-Length: 1", body=b"x")
)
def test_8_an_end_between_two_messages_is_a_clean_one(case: bytes) -> None:
    story = agreed(case, eof=True)
    assert story.end == "closed"
    assert story.error is None
    assert all(exchange.complete for exchange in story.exchanges)


# 9. Connection management ----------------------------------------------------------------------


@cases(b"Connection: close", b"Connection: CLOSE", b"Connection: x, close", b"Connection: ,close,")
def test_9_3_close_in_1_1_ends_the_connection(case: bytes) -> None:
    story = agreed(get(case))
    assert story.end == "closed"
    (answer,) = parse_answers(story.wire)
    assert answer.header("connection") == b"close"


def test_9_3_close_may_stand_in_any_connection_line() -> None:
    assert agreed(get(b"Connection: keep-alive", b"Connection: close")).end == "closed"
    assert agreed(get(b"Connection: close", b"Connection: keep-alive")).end == "closed"


@cases(b"", b"Connection: keep-alive", b"Connection: closed", b"Connection:", b"Connection: x")
def test_9_3_without_close_1_1_persists(case: bytes) -> None:
    story = agreed(get(case) if case else get())
    assert story.end == "open"
    (answer,) = parse_answers(story.wire)
    assert answer.header("connection") is None


@pytest.mark.parametrize("line", [b"", b"Connection: x", b"Connection: close, keep-alive"])
def test_9_3_1_0_closes(line: bytes) -> None:
    story = agreed(get(*filter(None, [line]), version=b"HTTP/1.0"))
    assert story.end == "closed"


@cases(b"keep-alive", b"Keep-Alive", b"x, keep-alive")
def test_9_3_1_0_with_keep_alive_persists_and_says_so(case: bytes) -> None:
    story = agreed(get(b"Connection: " + case, version=b"HTTP/1.0"))
    assert story.end == "open"
    (answer,) = parse_answers(story.wire)
    assert answer.header("connection") == b"keep-alive"


def test_9_3_2_pipelined_requests_are_answered_in_order() -> None:
    raw = (
        get(target=b"/1")
        + post(b"Content-Length: 3", body=b"two")
        + b"HEAD /3 HTTP/1.1\r\nHost: x\r\n\r\n"
        + chunked(b"4\r\nfour\r\n0\r\n\r\n")
        + get(target=b"/5")
    )
    story = agreed(raw)
    seen = [(exchange.method, exchange.body) for exchange in story.exchanges]
    assert seen == [("GET", b""), ("POST", b"two"), ("HEAD", b""), ("POST", b"four"), ("GET", b"")]
    answers = parse_answers(story.wire, ["GET", "POST", "HEAD", "POST", "GET"])
    assert [answer.body for answer in answers] == [b"answer", b"answer", b"", b"answer", b"answer"]


@cases(b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"\x00")
def test_9_3_2_a_fault_behind_good_requests_is_answered_last(case: bytes) -> None:
    story = agreed(get() + post(b"Content-Length: 1", body=b"x") + case)
    assert [exchange.complete for exchange in story.exchanges] == [True, True]
    answers = parse_answers(story.wire)
    assert [answer.status for answer in answers][:2] == [200, 200]
    assert answers[2].status in (400, 505)
    assert len(answers) == 3


@cases(b"BAD\r\n\r\n", NEXT, b"\x00")
def test_9_6_nothing_behind_close_is_looked_at(case: bytes) -> None:
    story = agreed(get(b"Connection: close") + case)
    assert len(story.exchanges) == 1
    assert story.error is None
    assert len(parse_answers(story.wire)) == 1


def test_9_6_nothing_behind_a_refused_request_is_looked_at() -> None:
    for raw in (b"BAD\r\n\r\n", get(b"A : b"), chunked(b"x\r\n"), b"GET / HTTP/2.0\r\n"):
        story = agreed(raw + NEXT)
        assert len(parse_answers(story.wire)) == 1
        assert [exchange.target for exchange in story.exchanges if exchange.complete] == []


# 11. Security considerations -------------------------------------------------------------------


@cases(
    post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"),
    post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"8\r\nSMUGGLED\r\n0\r\n\r\n"),
    post(b"Content-Length: 4", b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + NEXT),
    post(b"Content-Length: 4", b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + NEXT),
    post(b"Content-Length: 4", b"X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n" + NEXT),
    post(b"Content-Length: 4", b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + NEXT),
    post(b"Content-Length: 4", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n" + NEXT),
    post(b"Content-Length: 0", b"Content-Length: 44", body=NEXT),
    get(b"Content-Length: 5\r\n Content-Length: 0") + b"12345" + NEXT,
    chunked(b"2;\nxx\r\n4c\r\n0\r\n\r\n" + NEXT + b"0\r\n\r\n"),
)
def test_11_2_request_smuggling_is_refused(case: bytes) -> None:
    """What two servers might cut differently is cut by neither: one answer, and the end."""
    story = agreed(case)
    assert story.status in (400, 501)
    assert len(parse_answers(story.wire)) == 1
    assert not any(exchange.complete for exchange in story.exchanges)


def test_the_runs_that_must_agree_do_see_differences() -> None:
    """The helper itself: other bytes tell another story."""
    assert play([get()]) == play([get()])
    assert play([get()]) != play([get(b"X: y")])
    assert play([get(b"X : y")]) != play([get(b"X: y")])
