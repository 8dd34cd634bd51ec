"""What a worker makes of its options for each connection."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError, UsageError
from bare_serve.http import Limits, RequestHead, Timeouts
from bare_serve.http1 import MUST_CLOSE, ServerConnection
from bare_serve.workers.exchanges import exchanges
from bare_serve.workers.options import ServeOptions

GET = b"GET /a?b HTTP/1.1\r\nHost: test\r\n\r\n"


def answered(connection: ServerConnection) -> bytes:
    connection.receive_data(GET)
    assert type(connection.next_event()) is RequestHead
    connection.start_response(200, [])
    output = connection.send_body(b"hello", False)
    assert isinstance(output, bytes)
    return output


@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_each_connection_has_its_own(parser: str) -> None:
    made = exchanges(ServeOptions(parser=parser, headers=(("X-One", "1"), ("X-Two", "é"))))
    assert made.parser == parser
    one, two = made.new_exchange(), made.new_exchange()
    one.receive_data(GET[:9])
    output = answered(two)
    assert b"\r\nX-One: 1\r\nX-Two: \xe9\r\n" in output
    assert two.keep_alive
    one.receive_data(GET[9:])
    assert type(one.next_event()) is RequestHead


def test_limits_hold() -> None:
    connection = exchanges(ServeOptions(limits=Limits(request_line=5))).new_exchange()
    connection.receive_data(GET)
    with pytest.raises(RequestError) as caught:
        connection.next_event()
    assert caught.value.status == 414


def test_without_keep_alive_an_answer_is_the_last() -> None:
    connection = exchanges(ServeOptions(timeouts=Timeouts(keep_alive=0))).new_exchange()
    assert b"Connection: close" in answered(connection)
    assert connection.next_event() is MUST_CLOSE


@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_a_redirect_leads_to_the_port_of_https(parser: str) -> None:
    options = ServeOptions(parser=parser, headers=(("X-One", "1"),), https_port=8443)
    connection = exchanges(options).new_redirect()
    connection.receive_data(GET)
    with pytest.raises(RequestError) as caught:
        connection.next_event()
    answer = connection.error_response(caught.value)
    assert b"Location: https://test:8443/a?b\r\n" in answer
    assert b"X-One: 1\r\n" in answer


def test_a_parser_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown parser"):
        exchanges(ServeOptions(parser="quick"))
