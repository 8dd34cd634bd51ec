"""The requests the core is fed with, as bytes: one small, one with a browser's 14 headers."""

from __future__ import annotations

SMALL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"

_BROWSER = (
    b"Host: www.example.com",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    b"Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Referer: https://www.example.com/catalogue/shoes?page=3",
    b"Connection: keep-alive",
    b"Cookie: session=5d1f2c8e9b7a4460a1f3; theme=dark; consent=yes; cart=83-12-7",
    b"Upgrade-Insecure-Requests: 1",
    b"Sec-Fetch-Dest: document",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-User: ?1",
    b"Priority: u=0, i",
)


def browser(target: bytes = b"/") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + b"\r\n".join(_BROWSER) + b"\r\n\r\n"


def small(target: bytes = b"/") -> bytes:
    return SMALL.replace(b"/", target, 1)


def clients(count: int) -> list[bytes]:
    """Browser requests of clients that differ in path and cookie."""
    return [
        browser(b"/items/%d?q=%d" % (i, i)).replace(b"session=", b"session=%d" % i)
        for i in range(count)
    ]


def strangers(count: int) -> list[bytes]:
    """Browser requests no two of which share a line: no memo helps."""
    return [
        b"GET /%d HTTP/1.1\r\n" % i
        + b"\r\n".join(line + b";n=%d" % i for line in _BROWSER[1:])
        + b"\r\nHost: h%d.example.com\r\n\r\n" % i
        for i in range(count)
    ]


def post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def chunked(size: int, pieces: int) -> bytes:
    piece = b"%x\r\n" % (size // pieces) + b"x" * (size // pieces) + b"\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + piece * pieces + b"0\r\n\r\n"
