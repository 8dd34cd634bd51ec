"""The head of an HTTP/1.1 request: its lines, and the rules of framing, once for both parsers.

What lives here: the request line, field lines, and `build_head`, which turns tokens (method,
target, version, field lines) into a head or raises `RequestError`. What must not: the rules on
target and host (http/head.py), finding lines, sockets.

Two servers in a row that read one request differently are what smuggling is made of. So each rule
below refuses where the RFC would allow a guess: one Content-Length, one Transfer-Encoding that
is exactly `chunked`, never both, exactly one Host. Both parsers come through here, so they agree.
"""

from __future__ import annotations

from itertools import compress, count
from operator import ne

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http.grammar import CONTENT_LENGTH, TOKEN
from bare_serve.http.head import Changes, RequestHead, check_target
from bare_serve.http1 import grammar

# Fields that decide how the message is read. Each may stand once (RFC 9112, 6.3; RFC 9110, 5.3
# allows lists elsewhere); Content-Type is here because two of them are read differently by
# different frameworks.
_SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect"))

# All that `build_head` looks at.
_RULED = _SINGLE | {b"connection", b"upgrade", b"te"}

_VERSIONS = ("1.0", "1.1")


def parse_request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Return method, target and minor version of a request line (RFC 9112, 3).

    Raises:
        RequestError: 400 for a malformed line, 505 for a major version that is not 1.
    """
    match = grammar.REQUEST_LINE.fullmatch(line)
    if match is None:
        if not line.isascii():
            raise RequestError(400, "The request line has bytes beyond ASCII: %-encode these.")
        raise RequestError(400, "The request line is malformed.")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise RequestError(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    return method, target, 0 if minor == b"0" else 1


def parse_field_line(line: bytes) -> Field:
    """Return lower-case name and trimmed value of one field line (RFC 9112, 5).

    Raises:
        RequestError: 400; white space before the colon, line folding and control characters
            are among the reasons (RFC 9112, 5.1 and 5.2).
    """
    match = grammar.FIELD_LINE.fullmatch(line)
    if match is None:
        raise malformed_line()
    name, value = match.groups()
    return name.lower(), value.rstrip(b" \t")


def malformed_line() -> RequestError:
    """Return the refusal of a line that is no field."""
    return RequestError(400, "A header line is malformed.")


def build_head(method: bytes, target: bytes, minor: int, headers: list[Field]) -> RequestHead:
    """Check what a parser found, and make the head of it.

    Raises:
        RequestError: 400 for framing that could be read two ways, 417, 501; see each rule.
    """
    head = RequestHead(method, target, _VERSIONS[minor], headers)
    # In C, and mostly all that is needed. Case "rules on 14 headers".
    single = dict(headers)
    head.repeats = len(single) != len(headers)
    if head.repeats:
        single = _without_repetitions(headers)
    head.says_te = b"te" in single
    host = single.get(b"host")
    if host is None and minor == 1:  # RFC 9112, 3.2
        raise RequestError(400, "An HTTP/1.1 request needs a Host header.")
    check_target(head, host)
    if b"content-length" in single or b"transfer-encoding" in single:
        _frame_body(head, single)
    if (connection := single.get(b"connection")) is not None:
        _connection_options(head, connection, single.get(b"upgrade"))
    expect = single.get(b"expect")
    if expect is not None and minor == 1:  # RFC 9110, 10.1.1: ignored in HTTP/1.0
        if expect.lower() != b"100-continue":
            raise RequestError(417, "The only expectation met here is 100-continue.")
        head.expect_continue = head.has_body
    return head


def _without_repetitions(headers: list[Field]) -> dict[bytes, bytes]:
    """Return fields by name: all values of Connection, joined, and the first one of any other.

    Raises:
        RequestError: 400, one that may stand once stands twice.
    """
    single: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in single:
            single[name] = value
        elif name in _SINGLE:
            raise RequestError(400, f"More than one {name.decode()} header.")
        elif name == b"connection":
            single[name] += b"," + value
    return single


def changed_fields(
    last: RequestHead, lines: list[bytes], last_lines: list[bytes]
) -> Changes | None:
    """Return what differs in a head of these lines from `last`, which was made of `last_lines`.

    Both lists are all that stands behind the request line, split at each CRLF. Only the lines that
    differ are read: such a line is well-formed if its name and colon are those of the last one, and
    what follows is printable ASCII, of which FIELD_LINE takes more. What the rules say of the
    others they have said of `last`. None if only parsing can tell: other names or another number of
    them, a line of another form, a field that the rules look at, a name that comes twice.

    Case "all varies".
    """
    if len(lines) != len(last_lines) or last.repeats:
        return None
    # Mostly the same lines differ each time: one comparison of lists in C tells.
    indexes = [] if last.changes is None else last.changes[3]
    expected = last_lines.copy()
    for index in indexes:
        expected[index] = lines[index]
    if expected != lines:
        indexes = list(compress(count(), map(ne, lines, last_lines)))
    headers = last.headers.copy()
    fields = []
    for index in indexes:
        line, last_line = lines[index], last_lines[index]
        if line == last_line:
            continue
        if index > len(headers):
            return None
        name = headers[index - 1][0]
        value_at = len(name) + 1
        if (
            name in _RULED
            or line[:value_at] != last_line[:value_at]
            or not line.isascii()
            or not line.decode().isprintable()
        ):
            return None
        headers[index - 1] = field = (name, line[value_at:].strip(b" \t"))
        fields.append(field)
    return last.headers, headers, fields, indexes


def _frame_body(head: RequestHead, single: dict[bytes, bytes]) -> None:
    """How long the body is (RFC 9112, 6.3), or why nobody can say so."""
    length = single.get(b"content-length")
    coding = single.get(b"transfer-encoding")
    if coding is not None:
        if head.is_http10:  # RFC 9112, 6.1: faulty framing
            raise RequestError(400, "Transfer-Encoding is not part of HTTP/1.0.")
        if length is not None:  # RFC 9112, 6.1: ought to be handled as an error
            raise RequestError(400, "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != b"chunked":
            raise _coding_error(coding.lower())
        head.chunked = head.has_body = True
    elif length is not None:
        if CONTENT_LENGTH.fullmatch(length) is None:
            raise RequestError(400, "The Content-Length header is not a number of bytes.")
        head.content_length = int(length)
        head.has_body = head.content_length > 0


def _coding_error(coding: bytes) -> RequestError:
    """Return 400 where chunked is misused (RFC 9112, 6.3), 501 for an unknown coding (6.1)."""
    codings = [item.strip(b" \t") for item in coding.split(b",")]
    malformed = any(TOKEN.fullmatch(item) is None for item in codings)
    if malformed or b"chunked" in codings[:-1]:
        return RequestError(400, "The Transfer-Encoding header is malformed.")
    return RequestError(501, "The only transfer coding understood here is chunked.")


def _connection_options(head: RequestHead, tokens: bytes, upgrade: bytes | None) -> None:
    """Apply Connection (RFC 9112, 9.3; RFC 9110, 7.6.1): the tokens of all its lines."""
    options = {item.strip(b" \t").lower() for item in tokens.split(b",")}
    if head.is_http10:
        head.keep_alive = b"keep-alive" in options
    if b"close" in options:
        head.keep_alive = False
    if upgrade is not None and b"upgrade" in options and not head.is_http10:  # RFC 9110, 7.8
        head.upgrade = upgrade.lower()
