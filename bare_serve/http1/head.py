"""The head of a request, and the rules of framing and smuggling, once for both parsers.

What lives here: `RequestHead`, and `build_head`, which turns tokens (method, target, version,
field lines) into a head or raises `RequestError`. What must not: finding lines, sockets.

Two servers in a row that read one request differently are what smuggling is made of. So each rule
below refuses where the RFC would allow a guess: one Content-Length, one Transfer-Encoding that
is exactly `chunked`, never both, exactly one Host. Both parsers come through here, so they agree.
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http1 import grammar

Field = tuple[bytes, bytes]

# Fields that decide how the message is read. Each may stand once (RFC 9112, 6.3; RFC 9110, 5.3
# allows lists elsewhere); Content-Type is here because two of them are read differently by
# different frameworks.
_SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect"))
_WATCHED = _SINGLE | {b"connection", b"upgrade"}


class RequestHead:
    """A request line and its fields, checked. Immutable by convention.

    `headers` keeps order and duplicates, names in lower case (RFC 9110, 5.1: names are
    case-insensitive). A keep-alive client that repeats its head byte for byte is given the same
    object again, so `head is last_head` may key whatever a caller derived from it.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "has_body",
        "headers",
        "keep_alive",
        "logged",
        "method",
        "minor",
        "query",
        "raw_path",
        "target",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, minor: int, headers: list[Field]) -> None:
        self.method: str = method.decode("ascii")
        self.target: bytes = target  # as sent
        self.minor: int = minor  # HTTP/1.<minor>; higher ones are served as 1 (RFC 9110, 2.5)
        self.headers: list[Field] = headers
        self.raw_path: bytes = b""  # percent-encoded, without the query
        self.query: bytes = b""  # without "?"
        self.content_length: int | None = None
        self.chunked: bool = False
        self.has_body: bool = False
        self.expect_continue: bool = False
        self.keep_alive: bool = minor == 1
        self.upgrade: bytes | None = None  # lower case; only with "Connection: upgrade"
        self.logged: str | None = None  # what the access log makes of it

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.target!r} HTTP/1.{self.minor}>"


def parse_request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Return method, target and minor version of a request line (RFC 9112, 3).

    Raises:
        RequestError: 400 for a malformed line, 505 for a major version that is not 1.
    """
    match = grammar.REQUEST_LINE.fullmatch(line)
    if match is None:
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
        raise RequestError(400, "A header line is malformed.")
    name, value = match.groups()
    return name.lower(), value.rstrip(b" \t")


def build_head(method: bytes, target: bytes, minor: int, headers: list[Field]) -> RequestHead:
    """Check what a parser found, and make the head of it.

    Raises:
        RequestError: 400 for framing that could be read two ways, 417, 501; see each rule.
    """
    head = RequestHead(method, target, minor, headers)
    single: dict[bytes, bytes] = {}
    connection: list[bytes] = []
    for name, value in headers:
        if name in _WATCHED:
            if name == b"connection":
                connection.append(value)
            elif name not in single:
                single[name] = value
            elif name in _SINGLE:
                raise RequestError(400, f"More than one {name.decode()} header.")
    _check_target(head, single.get(b"host"))
    _frame_body(head, single)
    _connection_options(head, connection, single.get(b"upgrade"))
    expect = single.get(b"expect")
    if expect is not None and minor == 1:  # RFC 9110, 10.1.1: ignored in HTTP/1.0
        if expect.lower() != b"100-continue":
            raise RequestError(417, "The only expectation met here is 100-continue.")
        head.expect_continue = head.has_body
    return head


def _check_target(head: RequestHead, host: bytes | None) -> None:
    """Check Host (RFC 9112, 3.2) and the form of the target (3.2.1 to 3.2.4)."""
    if host is None:
        if head.minor == 1:
            raise RequestError(400, "An HTTP/1.1 request needs a Host header.")
    elif not _is_host(host):
        raise RequestError(400, "The Host header is malformed.")
    if head.method == "CONNECT":
        raise RequestError(501, "This is not a proxy: CONNECT is not supported.")
    target = head.target
    if target.startswith(b"/"):
        head.raw_path, _, head.query = target.partition(b"?")
    elif target == b"*" and head.method == "OPTIONS":
        head.raw_path = target
    else:
        _absolute_form(head, host)


def _absolute_form(head: RequestHead, host: bytes | None) -> None:
    """Take the host from the target (RFC 9112, 3.2.2); refuse one that differs from Host.

    A proxy that routed the request may have believed the other one.
    """
    match = grammar.ABSOLUTE_FORM.fullmatch(head.target)
    if match is None:
        raise RequestError(400, "The request target is malformed.")
    authority, path, query = match.groups()
    if not authority or not _is_host(authority):
        raise RequestError(400, "The request target is malformed.")
    if host is None:
        head.headers.append((b"host", authority))
    elif _origin(host, head.target) != _origin(authority, head.target):
        raise RequestError(400, "The request target and the Host header name different hosts.")
    head.raw_path = path or b"/"
    head.query = query or b""


def _origin(authority: bytes, target: bytes) -> bytes:
    """For comparison (RFC 9110, 4.2.3): the port that the scheme has by itself may be left out."""
    port = b":443" if target[:5].lower() == b"https" else b":80"
    return authority.lower().removesuffix(b":").removesuffix(port)


def _is_host(value: bytes) -> bool:
    match = grammar.HOST.fullmatch(value)
    return match is not None and int(match[1] or b"0") <= 65535


def _frame_body(head: RequestHead, single: dict[bytes, bytes]) -> None:
    """How long the body is (RFC 9112, 6.3), or why nobody can say so."""
    length = single.get(b"content-length")
    coding = single.get(b"transfer-encoding")
    if coding is not None:
        if head.minor == 0:  # RFC 9112, 6.1: faulty framing
            raise RequestError(400, "Transfer-Encoding is not part of HTTP/1.0.")
        if length is not None:  # RFC 9112, 6.1: ought to be handled as an error
            raise RequestError(400, "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != b"chunked":
            raise _coding_error(coding.lower())
        head.chunked = head.has_body = True
    elif length is not None:
        if grammar.CONTENT_LENGTH.fullmatch(length) is None:
            raise RequestError(400, "The Content-Length header is not a number of bytes.")
        head.content_length = int(length)
        head.has_body = head.content_length > 0


def _coding_error(coding: bytes) -> RequestError:
    """Return 400 where chunked is misused (RFC 9112, 6.3), 501 for an unknown coding (6.1)."""
    codings = [item.strip(b" \t") for item in coding.split(b",")]
    malformed = any(grammar.TOKEN.fullmatch(item) is None for item in codings)
    if malformed or b"chunked" in codings[:-1]:
        return RequestError(400, "The Transfer-Encoding header is malformed.")
    return RequestError(501, "The only transfer coding understood here is chunked.")


def _connection_options(head: RequestHead, lines: list[bytes], upgrade: bytes | None) -> None:
    """Apply Connection (RFC 9112, 9.3; RFC 9110, 7.6.1): the tokens of all its lines."""
    if not lines:
        return
    options = {item.strip(b" \t").lower() for item in b",".join(lines).split(b",")}
    if head.minor == 0:
        head.keep_alive = b"keep-alive" in options
    if b"close" in options:
        head.keep_alive = False
    if upgrade is not None and b"upgrade" in options and head.minor == 1:  # RFC 9110, 7.8
        head.upgrade = upgrade.lower()
