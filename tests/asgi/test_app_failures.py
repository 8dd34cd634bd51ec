"""Applications that raise, leave too early, or miscount."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

import pytest

from bare_serve.system import forks
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Scope, Wire, bodies, body, get, hello, start


async def raises(scope: Scope, receive: Any, send: Any) -> None:
    raise LookupError("oh dear")


async def raises_after_start(scope: Scope, receive: Any, send: Any) -> None:
    await send(start(200, (b"x-lost", b"1")))
    raise LookupError("oh dear")


async def exits(scope: Scope, receive: Any, send: Any) -> None:
    raise SystemExit("oh dear")


async def pretends_to_be_closed(scope: Scope, receive: Any, send: Any) -> None:
    raise GeneratorExit("oh dear")


async def cancels_itself(scope: Scope, receive: Any, send: Any) -> None:
    raise asyncio.CancelledError("oh dear")


# Python 3.12 and later warn of a fork beside threads, such as those of the test runner.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_copy_of_the_process_ends_where_it_leaves_the_application(run: Run) -> None:
    """The request is the other process's to answer."""
    statuses: list[int] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        pid = os.fork()
        if not pid:
            forks._is_copy = True
            loop.call_soon(os._exit, 3)  # if it goes on
            raise SystemExit(4)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        raise LookupError("oh dear")

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/a"))
        assert bodies(wire.output) == [b"Internal Server Error\n"]

    run(scene())
    assert statuses == [4]


@pytest.mark.parametrize(
    "app", [raises, raises_after_start, exits, pretends_to_be_closed, cancels_itself]
)
def test_an_exception_before_anything_was_sent(
    run: Run, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/a"))
        assert wire.output.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in wire.output
        assert b"x-lost" not in wire.output
        assert bodies(wire.output) == [b"Internal Server Error\n"]
        before = wire.output
        await wire.feed(get("/again"))
        assert len(bodies(wire.output)) == 2, "the connection goes on"
        assert wire.output.startswith(before)

    run(scene())
    assert {record.name for record in caplog.records} == {"bare_serve.app"}
    assert "oh dear" in caplog.text
    assert "test_app_failures.py" in caplog.text, "the application's own traceback"
    assert 'exchange.py", line' not in caplog.text, "and not ours"


def test_an_exception_in_the_middle_of_an_answer(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        raise LookupError("oh dear")

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET + GET)
        assert wire.output.endswith(b"4\r\npart\r\n"), "and no last chunk"
        assert wire.transport.closed
        assert wire.service.requests == 1

    run(scene())
    assert "LookupError: oh dear" in caplog.text


@pytest.mark.parametrize(
    ("messages", "status"),
    [([], b"500"), ([start()], b"500"), ([start(), body(b"p", more=True)], b"200")],
)
def test_an_application_that_returns_too_early(
    run: Run,
    caplog: pytest.LogCaptureFixture,
    messages: list[Any],
    status: bytes,
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert wire.output.split()[1] == status
        assert wire.transport.closed is (status == b"200")

    run(scene())
    [record] = caplog.records
    assert (record.name, record.levelname) == ("bare_serve.app", "ERROR")
    assert re.fullmatch(
        r"GET /: the application returned without a complete answer\. ASGI HTTP, .+",
        record.getMessage(),
    )


def test_an_exception_after_the_answer_is_only_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        raise LookupError("in the background")

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET, GET)
        assert bodies(wire.output) == [b"/", b"/"]

    run(scene())
    assert caplog.text.count("LookupError: in the background") == 2


@pytest.mark.parametrize(("sent", "word"), [(b"abcdef", "more"), (b"ab", "less")])
def test_content_length_is_enforced(
    run: Run, caplog: pytest.LogCaptureFixture, sent: bytes, word: str
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"4")))
        await send(body(sent))

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert wire.output.endswith(b"\r\n\r\n" + sent[:4])
        assert wire.transport.closed is (word == "less")

    run(scene())
    assert f"sent {word} than its Content-Length" in caplog.text


def test_log_lines_cannot_be_forged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        wire = Wire(raises)
        await wire.feed(b"GET /\xe9\xff HTTP/1.1\r\nHost: test\r\n\r\n")

    run(scene())
    for record in caplog.records:
        assert record.getMessage().isascii()


class Stop(BaseException):
    """Neither an Exception nor a cancellation."""


@pytest.mark.parametrize(
    "error",
    [
        Stop("oh dear"),
        BaseExceptionGroup("oh dear", [Stop()]),
        BaseExceptionGroup("oh dear", [asyncio.CancelledError()]),
        KeyboardInterrupt("oh dear"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_the_request_ends(
    run: Run, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise error

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert wire.output.startswith(b"HTTP/1.1 500 ")
        assert not wire.service.running

    run(scene())
    assert "oh dear" in caplog.text


def test_a_task_that_is_cancelled_before_its_first_step(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        wire.connection.data_received(GET)
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await wire.settle()
        wire.service.check_deadlines(wire.loop.time())
        # Where tasks start eagerly there was nothing left to cancel.
        assert wire.output.startswith((b"HTTP/1.1 500 ", b"HTTP/1.1 200 "))
        assert not wire.service.running
        assert wire.connection.current is None

    run(scene())
