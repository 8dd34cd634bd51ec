"""A minimal application, or caller, for each clause of WSGI: it breaks that one and no other."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from tests.testing.drivers import Answer, environ

TYPE = ("Content-Type", "text/plain")


def answers(
    status: Any = "200 OK", headers: Any = None, body: Any = (b"hello",)
) -> Callable[[Any, Any], Any]:
    """An application that answers so."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [TYPE] if headers is None else headers)
        return list(body) if isinstance(body, tuple) else body

    return app


def yields(*pieces: Any, headers: Any = (TYPE,)) -> Callable[[Any, Any], Any]:
    """An application that is a generator function."""

    def app(environ: Any, start_response: Any) -> Iterator[Any]:
        start_response("200 OK", list(headers))
        yield from pieces

    return app


def with_header(name: Any, value: Any) -> Callable[[Any, Any], Any]:
    return answers(headers=[TYPE, (name, value)])


def no_start(environ: Any, start_response: Any) -> Any:
    return [b"hello"]


def starts_twice(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE])
    start_response("404 Not Found", [TYPE])
    return [b"hello"]


def writes_text(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE])("text")
    return []


def writes(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE])(b"hello")
    return []


def writes_while_iterating(environ: Any, start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [TYPE])
    write(b"hello")
    yield b"more"


def wrong_exc_info(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE], ValueError("x"))
    return [b"hello"]


def starts_behind_a_body(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE])(b"hello")
    start_response("500 Failed", [TYPE], (None, None, None))
    return []


def hints_late(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TYPE])(b"hello")
    environ["wsgi.early_hints"]([])
    return []


def by_keyword(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", headers=[TYPE])
    return [b"hello"]


def closes_input(environ: Any, start_response: Any) -> Any:
    environ["wsgi.input"].close()
    return answers()(environ, start_response)


def closes_errors(environ: Any, start_response: Any) -> Any:
    environ["wsgi.errors"].close()
    return answers()(environ, start_response)


def writes_bytes_to_errors(environ: Any, start_response: Any) -> Any:
    environ["wsgi.errors"].write(b"x")
    return answers()(environ, start_response)


def reads(environ: Any, start_response: Any) -> Any:
    environ["wsgi.input"].read()
    return answers()(environ, start_response)


class Miscounted:
    """An iterable whose length is wrong."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a", b"b"])


class Keeper:
    """Keeps start_response beyond its request."""

    def __init__(self) -> None:
        self.kept: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if self.kept is not None:
            self.kept("200 OK", [TYPE])
        self.kept = start_response
        return answers()(environ, start_response)


def twice(app: Any) -> None:
    """Call an application twice, each time for a request of its own."""
    for _ in range(2):
        answer = Answer()
        app(environ(), answer.start_response)


def reads_after_close(app: Any) -> None:
    result = app(environ(), Answer().start_response)
    result.close()
    next(result)


def never_closes(app: Any) -> None:
    list(app(environ(), Answer().start_response))


def no_callable(app: Any) -> None:
    app(environ(), None)


def returns_nothing(app: Any) -> None:
    list(app(environ(), lambda status, headers: None))


class Dict(dict[str, Any]):
    """No dict of Python itself."""


LONG = [TYPE, ("Content-Length", "4")]
SHORT = [TYPE, ("Content-Length", "6")]

APPLICATIONS: dict[str, Any] = {
    "http-field-name": with_header("X Y", "z"),
    "http-field-value": with_header("X-A", "a\r\nSet-Cookie: b"),
    "http-field-underscore": with_header("X_A", "b"),
    "http-status-final": answers("103 Early Hints"),
    "http-status-class": answers("999 Mine"),
    "http-status-range": answers("099 Low"),
    "http-reason-phrase": answers("200 O\x00K"),
    "http-content-length": with_header("Content-Length", "five"),
    "http-content-length-differs": answers(headers=[*SHORT, ("Content-Length", "5")]),
    "http-content-length-repeated": answers(headers=[*LONG, LONG[1]], body=(b"four",)),
    "http-transfer-encoding": with_header("Transfer-Encoding", "gzip"),
    "http-content-type": answers(headers=[]),
    "http-answer-once": starts_behind_a_body,
    "http-no-content": answers("204 No Content"),
    "wsgi-start-missing": no_start,
    "wsgi-start-twice": starts_twice,
    "wsgi-start-over": Keeper(),
    "wsgi-start-exc-info": wrong_exc_info,
    "wsgi-start-positional": by_keyword,
    "wsgi-status-str": answers(b"200 OK"),
    "wsgi-status-digits": answers("OK"),
    "wsgi-status-reason": answers("200"),
    "wsgi-headers-list": answers(headers=(TYPE,)),
    "wsgi-headers-tuple": answers(headers=[["Content-Type", "text/plain"]]),
    "wsgi-headers-str": with_header("Content-Length", 5),
    "wsgi-headers-hop-by-hop": with_header("Connection", "close"),
    "wsgi-headers-status": with_header("Status", "200 OK"),
    "wsgi-latin1": with_header("X-A", "\N{SNOWMAN}"),
    "wsgi-body-iterable": answers(body=b"hello"),
    "wsgi-body-bytes": answers(body=("hello",)),
    "wsgi-body-count": answers(body=Miscounted()),
    "wsgi-length-over": answers(headers=LONG),
    "wsgi-length-short": answers(headers=SHORT),
    "wsgi-write-iterating": writes_while_iterating,
    "wsgi-write-used": writes,
    "wsgi-input-close": closes_input,
    "wsgi-errors-close": closes_errors,
    "wsgi-errors-str": writes_bytes_to_errors,
}
"""Each clause that an application breaks."""

SERVER_ONLY: dict[str, Any] = {"http-interim": hints_late}
"""Clauses of what servers offer by names of their own."""

MORE: list[tuple[str, Any]] = [
    ("wsgi-body-bytes", writes_text),
    ("wsgi-body-bytes", answers(body=(bytearray(b"x"),))),
    ("wsgi-body-bytes", yields("text")),
    ("wsgi-body-iterable", answers(body=None)),
    ("wsgi-body-iterable", answers(body="text")),
    ("wsgi-start-missing", lambda environ, start_response: []),
    ("wsgi-start-missing", lambda environ, start_response: (piece for piece in [b"x"])),
    ("wsgi-headers-hop-by-hop", with_header("Transfer-Encoding", "chunked")),
    ("wsgi-headers-hop-by-hop", with_header("Upgrade", "websocket")),
    ("wsgi-length-over", yields(b"one", b"two", headers=LONG)),
    ("wsgi-length-short", yields(b"one", b"t", headers=SHORT)),
]
"""The same clauses, broken in other ways."""

ENVIRONS: dict[str, Any] = {
    "wsgi-environ-dict": Dict(environ()),
    "wsgi-environ-missing": environ(SERVER_NAME=None),
    "wsgi-environ-str": environ(SERVER_PORT=80),
    "wsgi-environ-latin1": environ(PATH_INFO="/\N{SNOWMAN}"),
    "wsgi-environ-method": environ(REQUEST_METHOD=""),
    "wsgi-environ-path": environ(SCRIPT_NAME="/", PATH_INFO="x"),
    "wsgi-environ-length": environ(CONTENT_LENGTH="-1"),
    "wsgi-environ-header": environ(HTTP_CONTENT_TYPE="text/plain"),
    "wsgi-environ-version": environ(wsgi_version=[1, 0]),
    "wsgi-environ-scheme": environ(wsgi_url_scheme="ftp"),
    "wsgi-environ-streams": environ(wsgi_input=iter([b"x"])),
    "wsgi-environ-input": environ(wsgi_input=io.StringIO("text")),
}
"""Each clause that whoever calls an application breaks by its environ."""

CALLERS: dict[str, Any] = {
    "wsgi-start-callable": no_callable,
    "wsgi-start-returns": returns_nothing,
    "wsgi-start-over": twice,
    "wsgi-close-read": reads_after_close,
    "wsgi-close-caller": never_closes,
}
"""Each clause that a caller breaks otherwise; `twice` is how an application is found out."""
