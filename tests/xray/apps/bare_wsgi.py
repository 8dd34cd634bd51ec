"""The smallest WSGI applications, right and wrong ones, by their path."""

import time
from collections.abc import Iterator


def app(environ, start_response):
    kind = environ["PATH_INFO"].rpartition("/")[2]
    return _PATHS.get(kind, hello)(environ, start_response)


def hello(environ, start_response):
    body = b"Hello " + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "session=abc")])
    return [body]


def ticks(environ, start_response) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield b"tick %d\n" % number
        time.sleep(0.02)  # so that each piece leaves alone


def no_start(environ, start_response):
    return [b"hello"]


def text(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["hello"]


def short(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"hello"]


def boom(environ, start_response):
    raise ValueError("no such order")


def odd(environ, start_response):
    start_response("200", [("Connection", "close"), ("X_A", "b")])
    return [b"hello"]


_PATHS = {f.__name__: f for f in (ticks, no_start, text, short, boom, odd)}
