"""A connection that in use comes under an x-ray, and leaves it: at any moment, nothing stays."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import END_OF_BODY, NEED_DATA, ServerConnection, select_parser
from bare_serve.http1.redirect import Redirecting
from bare_serve.http1.traced import TracedConnection, TracedRedirecting, leave, watch
from bare_serve.xray.options import XrayOptions
from bare_serve.xray.trace import Block, Tracer

GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n"


def plain() -> ServerConnection:
    return ServerConnection(select_parser("python").make(), Limits())


def tracer(shown: list[Block]) -> Tracer:
    return Tracer(XrayOptions(), lambda: 1, shown.append)


def answer(http: ServerConnection) -> bytes:
    http.start_response(200, [(b"Content-Type", b"text/plain")])
    output = http.send_body(b"hello", False)
    assert isinstance(output, bytes)
    return output


def trace_of(http: Any) -> Any:
    return http.trace


@pytest.mark.parametrize("at", range(4))
def test_it_may_begin_at_any_moment_of_a_request(at: int) -> None:
    http, by = plain(), tracer([])
    steps = [
        lambda: http.receive_data(POST + b"bo"),
        lambda: type(http.next_event()) is RequestHead and http.next_event() == b"bo",
        lambda: http.receive_data(b"dy" + GET % b"next"),
        lambda: http.next_event() == b"dy" and http.next_event() is END_OF_BODY,
    ]
    for number, step in enumerate(steps):
        if number == at:
            watch(http, by)
        step()
    assert b"Server-Timing" not in answer(http) or at <= 1
    head = http.next_event()
    assert isinstance(head, RequestHead)
    assert trace_of(http).title == "GET /next"
    assert b"Server-Timing" in answer(http)


def test_it_ends_with_nothing_left() -> None:
    shown: list[Block] = []
    http, by = plain(), tracer(shown)
    watch(http, by)
    http.receive_data(GET % b"a")
    http.next_event()
    assert not leave(http)  # its request is still shown
    answer(http)
    trace_of(http).finish()
    assert leave(http)
    assert leave(http)
    assert type(http) is ServerConnection
    assert not hasattr(http, "notes")
    http.receive_data(GET % b"b")
    http.next_event()
    assert b"Server-Timing" not in answer(http)
    assert len(shown) == 1


def test_a_connection_leaves_by_itself_with_its_next_request() -> None:
    http, by = plain(), tracer([])
    next_event: Any = watch(http, by).next_event  # a loop may have it since before
    http.receive_data(GET % b"a" + GET % b"b" + GET % b"c")
    next_event()
    by.over = True
    answer(http)
    assert next_event().target == b"/b"
    assert type(http) is ServerConnection
    answer(http)
    assert next_event().target == b"/c"
    answer(http)
    assert next_event() is NEED_DATA


def test_a_connection_that_sends_its_clients_on() -> None:
    shown: list[Block] = []
    http = Redirecting(select_parser("python").make(), Limits(), b"", 443)
    watch(http, tracer(shown))
    assert type(http) is TracedRedirecting
    assert isinstance(http, TracedConnection)
    http.receive_data(GET % b"a")
    with pytest.raises(RequestError) as refused:
        http.next_event()
    assert b"Location: https://test/a" in http.error_response(refused.value)
    trace_of(http).finish()
    assert "308" in str(shown)
    assert leave(http)
    assert type(http) is Redirecting
