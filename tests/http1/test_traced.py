"""What a connection under the x-ray tells of HTTP: why an answer is framed so, and who closes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.http1.traced import TracedConnection, TracedRedirecting
from tests.xray.driving import Shown

PLAIN = [(b"Content-Type", b"text/plain")]
SIX = [*PLAIN, (b"Content-Length", b"6")]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


def whole(http: ServerConnection) -> None:
    http.start_response(200, PLAIN)
    http.send_body(b"hello", False)


def pieces(http: ServerConnection) -> None:
    http.start_response(200, PLAIN)
    http.send_body(b"he", True)
    http.send_body(b"llo", False)


def declared(http: ServerConnection) -> None:
    http.start_response(200, SIX)
    http.send_body(b"hello!", False)


def short(http: ServerConnection) -> None:
    http.start_response(200, SIX)
    http.send_body(b"hello", False)


def no_content(http: ServerConnection) -> None:
    http.start_response(204, [])
    http.send_body(b"", False)


def asked_to_close(http: ServerConnection) -> None:
    http.start_response(200, [*PLAIN, (b"Connection", b"close")])
    http.send_body(b"hello", False)


def identified(http: ServerConnection) -> None:
    http.start_response(200, [*PLAIN, (b"X-Request-Id", b"abc-1")])
    http.send_body(b"hello", False)


def leaving(http: ServerConnection) -> None:
    http.close_after = True
    whole(http)


def hinted(http: ServerConnection) -> None:
    http.informational(103, [(b"Link", b"</a>")])
    whole(http)


def continued(http: ServerConnection) -> None:
    http.continue_expected()
    whole(http)


def trailed(http: ServerConnection) -> None:
    http.start_response(200, PLAIN)
    http.send_body(b"hello", True)
    http.send_trailers([(b"x-sum", b"1")])


def a_file(http: ServerConnection) -> None:
    http.start_response(200, PLAIN)
    http.send_external(5)
    http.send_body(b"", False)


def broken(http: ServerConnection) -> None:
    http.start_response(200, SIX)
    http.send_body(b"he", True)
    http.break_off()


KEPT = "the connection is kept"
CLOSED = "the connection will be closed: "
CASES: dict[str, tuple[bytes, Callable[[ServerConnection], None], tuple[str, ...]]] = {
    "whole": (GET, whole, ("Content-Length by the server", "+ 5 B of body", KEPT)),
    "pieces": (GET, pieces, ("in chunks", "+ a chunk: 2\\r\\n...\\r\\n", "0\\r\\n\\r\\n", KEPT)),
    "declared": (GET, declared, ("Content-Length by the application", KEPT)),
    "short": (GET, short, (f"{CLOSED}the body is shorter than its Content-Length",)),
    "no content": (GET, no_content, ("no body leaves, because of 204", "without a body")),
    "HEAD": (b"HEAD / HTTP/1.1\r\nHost: a\r\n", whole, ("no body leaves, because of HEAD",)),
    "1.0": (b"GET / HTTP/1.0\r\n", pieces, ("the body ends with the connection: HTTP/1.0",)),
    "1.0, whole": (b"GET / HTTP/1.0\r\n", whole, (f"{CLOSED}HTTP/1.0 without keep-alive",)),
    "client closes": (
        GET + b"Connection: close\r\n",
        whole,
        (f"{CLOSED}the client asked for it",),
    ),
    "application closes": (GET, asked_to_close, (f"{CLOSED}the application says Connection",)),
    "an id": (GET, identified, ("request id abc-1",)),
    "server leaves": (GET, leaving, (f"{CLOSED}the server is stopping",)),
    "hints": (GET, hinted, ("HTTP/1.1 103 Early Hints\\r\\n", "Link: </a>")),
    "continue": (
        GET + b"Content-Length: 5\r\nExpect: 100-continue\r\n",
        continued,
        ("held back until 100 Continue", "100 Continue: the client waits for leave"),
    ),
    "trailers": (GET, trailed, ("0\\r\\n  x-sum: 1\\r\\n",)),
    "file": (GET, a_file, ("5 B of a file, sent by the kernel",)),
    "broken": (GET, broken, ("x  broken off", "the client can tell")),
}


def traced(shown: Shown, kind: type[TracedConnection] = TracedConnection) -> TracedConnection:
    last = (443,) if kind is TracedRedirecting else ()
    http = kind(select_parser("python").make(), Limits(), b"", *last)
    http.tracer, http.parser = shown.tracer, "python"
    return http


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_of_an_answer(name: str) -> None:
    raw, answer, wanted = CASES[name]
    shown = Shown()
    http = traced(shown)
    http.receive_data(raw + b"\r\n")
    http.next_event()
    answer(http)
    assert http.trace is not None
    http.trace.finish()
    text = " ".join(shown.text.split("\n")).replace("  ", " ").replace("  ", " ")
    for part in wanted:
        assert " ".join(part.split()) in " ".join(text.split()), shown.text


def test_a_head_that_is_repeated_is_told_from_one_that_is_parsed() -> None:
    shown = Shown()
    http = traced(shown)
    told = []
    for line in (b"GET /a", b"GET /a", b"GET /b"):
        http.receive_data(line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        http.next_event()
        whole(http)
        assert http.trace is not None
        told.append(next(step.text for step in http.trace.steps if step.name == "head"))
    assert "split by the python parser" in told[0]
    assert "the same bytes as the head before" in told[1]
    assert "only the request line was read anew" in told[2]


def test_bytes_that_come_piece_by_piece_are_one_step() -> None:
    shown = Shown()
    http = traced(shown)
    for byte in GET + b"\r\n":
        http.receive_data(bytes([byte]))
        event = http.next_event()
    assert http.trace is not None
    (step,) = [step for step in http.trace.steps if step.name == "bytes in"]
    assert step.text.startswith(f"{len(GET) + 2} B in {len(GET) + 2} reads   GET / HTTP/1.1\\r\\n")
    assert event is http.head


@pytest.mark.parametrize("host", [b"Host: a.test\r\n", b""])
def test_a_redirection_is_a_refusal_that_is_told(host: bytes) -> None:
    shown = Shown()
    http = traced(shown, TracedRedirecting)
    http.receive_data(b"GET /x?token=hunter2 HTTP/1.1\r\n" + host + b"\r\n")
    with pytest.raises(RequestError) as caught:
        http.next_event()
    http.error_response(caught.value)
    assert http.trace is not None
    http.trace.finish()
    assert str(caught.value.status) in shown.text
    assert "hunter2" not in shown.text


def test_a_request_that_is_not_admitted_leaves_no_record() -> None:
    shown = Shown(pattern="POST /x*")
    http = traced(shown)
    http.receive_data(GET + b"\r\n")
    http.next_event()
    whole(http)
    assert http.trace is None
    http.receive_data(b"POST /x/y?z HTTP/1.1\r\nHost: a\r\n\r\n")
    http.next_event()
    assert http.trace is not None
