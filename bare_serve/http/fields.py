"""Header fields: what a name and a value may hold, and which fields an answer may not carry.

What lives here: the checks that every version of HTTP shares. What must not: how fields are
written (http1/response.py), what a field decides about framing (http1/head.py).

An application's names and values are checked here, so that no application can be talked into
splitting a response (RFC 9112, 11.1): a fault is raised into it.
"""

from __future__ import annotations

import re
from typing import Final

from bare_serve.clauses import mistake
from bare_serve.http import grammar

Field = tuple[bytes, bytes]
"""A name and its value."""

# Fields of the connection, not of the answer (RFC 9110, 7.6.1). They are the server's business:
# what an application says of them is taken as a wish (close) or dropped.
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade")
)

# RFC 9110, 6.5.1: what decides how the message is framed, routed, understood or kept comes first.
_NOT_IN_TRAILERS = HOP_BY_HOP | {
    *(b"content-length", b"content-encoding", b"content-type", b"content-range", b"trailer"),
    *(b"host", b"cache-control", b"expires", b"date", b"location", b"retry-after", b"vary"),
    *(b"age", b"set-cookie", b"www-authenticate", b"authorization", b"proxy-authenticate"),
}


# Names of fields whose values are secrets, or are meant to differ for each request.
_SECRET: Final = re.compile(
    rb"cookie|auth|token|key|secret|session|passw|signature|csrf|xsrf|jwt|credential|nonce"
)
# No name of so many bytes, and no field of so many, is remembered.
NAME_BYTES: Final = 64
REPEATS_BYTES: Final = 256


def harmless(name: bytes) -> bool:
    """Return whether a field of this lower-case name may be kept in a memo that connections share.

    A secret is not to outlive the connection that it came on, and mostly differs for each client,
    so it would only fill the memo. A name of NAME_BYTES is not looked through: that takes ten times
    as long as all else that is done for its line.
    """
    return len(name) < NAME_BYTES and _SECRET.search(name) is None


def check_field(name: bytes, value: bytes) -> None:
    """Refuse a field that must not be sent (RFC 9110, 5.1 and 5.5).

    Raises:
        ResponseError: the name is no token, the value holds CR, LF, NUL or another control
            character, or either is not bytes.
    """
    if type(name) is not bytes or type(value) is not bytes:
        raise mistake(
            "asgi-headers-pairs", f"header names and values must be bytes, not {name!r}: {value!r}"
        )
    if grammar.TOKEN.fullmatch(name) is None:
        raise mistake("http-field-name", f"the header name {name!r} is not a token")
    if grammar.FIELD_VALUE.fullmatch(value) is None:
        raise mistake(
            "http-field-value",
            f"the value of the header {name!r} holds a control character: {value!r}",
        )


def check_trailer(name: bytes, value: bytes) -> None:
    """Refuse a field that must not be sent in a trailer section (RFC 9110, 6.5.1).

    Raises:
        ResponseError: see `check_field`; also for a field that belongs into the head.
    """
    check_field(name, value)
    if name.lower() in _NOT_IN_TRAILERS:
        raise mistake("http-trailer-field", f"the header {name!r} must not be sent as a trailer")


def content_length(value: bytes) -> int:
    """Return the number of bytes that a Content-Length of an answer declares (RFC 9110, 8.6).

    Raises:
        ResponseError: it is no number.
    """
    if grammar.CONTENT_LENGTH.fullmatch(value) is None:
        raise mistake(
            "http-content-length", f"Content-Length must be a number of bytes, not {value!r}"
        )
    return int(value)
