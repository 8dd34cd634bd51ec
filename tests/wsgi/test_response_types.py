"""What an application hands over that is no answer, and how much of good ones is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.wsgi import response as module
from bare_serve.wsgi.response import Exchange
from tests.wsgi.fakes import PLAIN, Answer, FakeTransport, call, connection_for, request

# ---------------------------------------------------------------- types


@pytest.mark.parametrize("data", ["text", 5, None, [b"one"], memoryview(b"one"), bytearray(b"one")])
def test_write_takes_bytes_and_nothing_else(data: Any) -> None:
    """PEP 3333, "The write() Callable": the mistake is raised into the application."""
    raised: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN])
        try:
            write(data)
        except ResponseError as error:
            raised.append(str(error).splitlines()[0])
        return [b"good"]

    answer = call(app)
    assert raised == [f"a WSGI body consists of bytes, not {type(data).__name__}"]
    assert (answer.status, answer.body) == ("200 OK", b"good")
    assert answer.headers["content-length"] == "4", "nothing had left"


def test_write_takes_a_kind_of_bytes() -> None:
    class Mine(bytes):
        pass

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(Mine(b"one"))
        return [Mine(b"two")]

    assert call(app).body == b"onetwo"


# ---------------------------------------------------------------- what is remembered


def app_with(*headers: tuple[str, str], status: str = "200 OK") -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, list(headers))
        return [b"x"]

    return app


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    module._fields.clear()
    module._blocks.clear()
    module._statuses.clear()


def number_of(answer: Answer) -> str:
    return answer.headers["x-number"]


def test_the_headers_that_are_remembered_are_bounded() -> None:
    most = module.MEMO_ENTRIES
    for number in range(most + 10):
        [field] = module.encode_fields([("X-Number", str(number))])
        assert field == (b"X-Number", b"%d" % number)
        assert len(module._fields) <= most
    assert len(module._fields) == 10, "when it is full it begins anew"
    assert number_of(call(app_with(("X-Number", "7")))) == "7"


def test_what_is_not_remembered() -> None:
    longest = module.MEMO_PAIR_CHARS - len("X-Long") - 1
    for value, kept in (("x" * longest, True), ("x" * (longest + 1), False)):
        module._fields.clear()
        module.encode_fields([("X-Long", value)])
        assert bool(module._fields) is kept
    module._fields.clear()
    module.encode_fields([("Set-Cookie", "secret=1"), ("SET-COOKIE", "secret=2")])
    assert not module._fields


def test_a_header_is_made_once() -> None:
    first = module.encode_fields([("X-Number", "1")])
    again = module.encode_fields([("X-Number", "1")])
    assert first[0] is again[0]


def test_the_blocks_that_are_remembered_are_bounded() -> None:
    most = module.MEMO_BLOCKS
    for number in range(most + 10):
        assert number_of(call(app_with(("X-Number", str(number))))) == str(number)
        assert len(module._blocks) <= most
    assert len(module._blocks) == 10
    assert number_of(call(app_with(("X-Number", "3")))) == "3"


def test_blocks_with_cookies_are_not_remembered() -> None:
    assert call(app_with(("Set-Cookie", "secret=1"))).headers["set-cookie"] == "secret=1"
    assert not module._blocks


def test_the_statuses_that_are_remembered_are_bounded() -> None:
    for number in range(module.MEMO_ENTRIES + 10):
        assert call(app_with(status=f"299 Mine {number}")).status == f"299 Mine {number}"
    assert len(module._statuses) == module.MEMO_ENTRIES
    module._statuses.clear()
    for length, kept in ((module.MEMO_PAIR_CHARS - 1, True), (module.MEMO_PAIR_CHARS, False)):
        module._statuses.clear()
        status = "299 " + "x" * (length - 4)
        for _ in range(2):
            assert call(app_with(status=status)).status == status
        assert bool(module._statuses) is kept


# ---------------------------------------------------------------- callables that outlive their call


def test_a_write_that_was_kept_is_dead_in_the_next_request() -> None:
    connection, _ = connection_for(request() + request())
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        kept.append(start_response("200 OK", [PLAIN]))
        kept.append(start_response)
        return [b"one"]

    transport = FakeTransport(connection)
    exchange = Exchange(connection, transport)
    exchange.send(app({}, exchange.start_response))
    with pytest.raises(ResponseError, match="already complete"):
        kept[0](b"late")
    connection.next_event()
    with pytest.raises(ResponseError, match="another request has begun"):
        kept[0](b"late")
    with pytest.raises(ResponseError, match="another request has begun"):
        kept[1]("200 OK", [PLAIN])
    assert not connection.response_started


@pytest.mark.parametrize("header", [["X", "y"], ("X", ["y"]), ({}, "y"), ("X", "y", "z"), "XY"])
def test_a_header_that_is_no_pair_of_texts(header: Any) -> None:
    with pytest.raises(AssertionError, match="header"):
        call(app_with(("X-Good", "1"), header))
