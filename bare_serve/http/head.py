"""The head of a request, and the rules on its target and its host.

What lives here: `RequestHead`, and what may stand for a target and for a host. What must not: the
syntax of heads and the framing of bodies, which each version of HTTP has its own (http1/head.py).

A target and a Host that name different hosts are refused, because whoever routed the request may
have believed the other one.
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http import grammar
from bare_serve.http.fields import Field
from bare_serve.http.memo import Remembered

_new = object.__new__


Changes = tuple[list[Field], list[Field], list[Field], list[int]]
"""What differs in the fields of a head from those of another one, whose names are the same:

- the list of the other head, for its identity;
- all fields of this head;
- those of them that differ, each of which is the only one of its name;
- the places, counted from 1, that hold all that differ: a guess at what differs next time.

A bare tuple, since a named one takes as long to make as a line takes to read.
"""


class RequestHead:
    """A request's method, target and fields, checked. Immutable by convention.

    `headers` keeps order and duplicates, names in lower case (RFC 9110, 5.1: names are
    case-insensitive). Two identities may key whatever a caller derived from a head, as long as it
    holds on to that head: a keep-alive client that repeats its head byte for byte is given the same
    object again (`head is last_head`), and one that repeats all but method and target is given an
    object with the same list (`head.headers is last_head.headers`), of the same version. Where some
    values differ, and no name does, `head.changes[0] is last_head.headers`, and the rest of
    `head.changes` says which.
    """

    __slots__ = (
        "changes",
        "chunked",
        "content_length",
        "expect_continue",
        "has_body",
        "headers",
        "is_http10",
        "keep_alive",
        "logged",
        "method",
        "query",
        "raw_path",
        "repeats",
        "says_te",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: str, headers: list[Field]) -> None:
        """`version`: 1.0, 1.1 or 2; a higher minor one is served as 1.1 (RFC 9110, 2.5)."""
        self.method: str = method.decode("ascii")
        self.target: bytes = target  # as sent
        self.version: str = version
        # No chunks, no interim answers; and that the connection persists is to be said.
        self.is_http10: bool = version == "1.0"
        self.headers: list[Field] = headers
        self.raw_path: bytes = b""  # percent-encoded, without the query
        self.query: bytes = b""  # without "?"
        self.content_length: int | None = None
        self.chunked: bool = False
        self.has_body: bool = False
        self.expect_continue: bool = False
        self.keep_alive: bool = not self.is_http10
        self.upgrade: bytes | None = None  # lower case; only with "Connection: upgrade"
        self.says_te: bool = True  # False: there is no TE field, so nobody has to look for one
        self.repeats: bool = True  # False: no name comes twice, so nobody has to look for one
        self.changes: Changes | None = None  # from the fields of the head before; None: unknown
        self.logged: str | None = None  # what the access log makes of it

    def similar(
        self, method: str, target: bytes, raw_path: bytes, query: bytes, changes: Changes | None
    ) -> RequestHead:
        """Return a head of the same framing, of HTTP/1.1 as this one, for another request line.

        With `changes` it has other fields, too.

        `target` is in origin form (RFC 9112, 3.2.1), as that of this head is: in another form the
        target has a word on the host. `raw_path` and `query` are its parts.
        """
        head = _new(RequestHead)
        head.method = method
        head.target = target
        head.raw_path = raw_path
        head.query = query
        head.version = "1.1"
        head.is_http10 = False
        head.headers = self.headers if changes is None else changes[1]
        head.content_length = self.content_length
        head.chunked = self.chunked
        head.has_body = self.has_body
        head.expect_continue = self.expect_continue
        head.keep_alive = self.keep_alive
        head.upgrade = self.upgrade
        head.says_te = self.says_te
        head.repeats = self.repeats
        head.changes = changes
        head.logged = None
        return head

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.target!r} HTTP/{self.version}>"


def check_target(head: RequestHead, host: bytes | None) -> None:
    """Take the target of `head` apart, in any of its forms (RFC 9112, 3.2.1 to 3.2.4).

    `host`: what the request says of its host (RFC 9110, 7.2); None if it says nothing.

    Raises:
        RequestError: 400 if one of both is malformed or they differ, 501 for CONNECT.
    """
    if host is not None and not is_host(host):
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


def is_host(value: bytes) -> bool:
    """Return whether `value` names a host, with a port or without (RFC 9110, 7.2)."""
    if value in _hosts:
        return True
    match = grammar.HOST.fullmatch(value)
    if match is None or int(match[1] or b"0") > 65535:
        return False
    if len(value) < 256:
        if len(_hosts) >= _hosts.most:
            _hosts.clear()
        _hosts[value] = True
    return True


# Few hosts are served here, and each request names one of them.
_hosts: Remembered[bytes, bool] = Remembered(1024)


def _absolute_form(head: RequestHead, host: bytes | None) -> None:
    """Apply RFC 9112, 3.2.2: the target's authority wins, and one that differs is refused."""
    match = grammar.ABSOLUTE_FORM.fullmatch(head.target)
    if match is None:
        raise RequestError(400, "The request target is malformed.")
    authority, path, query = match.groups()
    if not authority or not is_host(authority):
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
