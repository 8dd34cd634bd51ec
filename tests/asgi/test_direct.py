"""Answers at hand leave without a call, and everything else is what it was."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.asgi import Connection
from bare_serve.asgi.direct import DirectConnection
from bare_serve.http import RequestHead
from bare_serve.http.direct import DirectAnswer
from tests.asgi import fakes
from tests.asgi.conftest import Run
from tests.asgi.fakes import Wire, bodies, get, hello, post
from tests.support.answers import KeptAnswers

READY = DirectAnswer([(b"content-type", b"text/css"), (b"content-length", b"4")], b"a {}")


def direct(head: RequestHead) -> DirectAnswer | None:
    return READY if head.raw_path == b"/a.css" else None


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    assert issubclass(DirectConnection, Connection)
    monkeypatch.setattr(fakes, "Connection", DirectConnection)


def test_an_answer_without_a_call(run: Run) -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await hello(scope, receive, send)

    async def scene() -> None:
        kept = KeptAnswers()
        wire = Wire(app, direct=direct, on_answered=kept)
        await wire.feed(get("/a.css"), get("/b"), get("/a.css") + get("/a.css") + get("/c"))
        assert bodies(wire.output) == [b"a {}", b"/b", b"a {}", b"a {}", b"/c"]
        assert asked == ["/b", "/c"]
        assert wire.output.count(b"content-type: text/css\r\n") == 3
        told = [(line.target, line.status, line.bytes_sent) for line in kept.kept]
        assert told[0] == (b"/a.css", 200, 4)
        assert len(told) == 5
        assert wire.service.requests == 5
        assert not wire.service.running
        await wire.lose()

    run(scene())


def test_what_is_not_plain_is_a_call(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello, direct=direct)
        lines = ("Content-Length: 1",)
        await wire.feed(get("/a.css").replace(b"GET", b"HEAD"))
        assert b"text/css" not in wire.output
        await wire.feed(get("/a.css", *lines) + b"x", post(b"").replace(b" / ", b" /a.css "))
        assert bodies(wire.output.partition(b"\r\n\r\n")[2]) == [b"/a.css", b"/a.css"]
        await wire.lose()

    run(scene())


def test_the_limit_on_requests_is_kept(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello, direct=direct, concurrency=1)
        await wire.feed(get("/a.css") * 3)
        assert bodies(wire.output) == [b"a {}"] * 3
        await wire.lose()

    run(scene())


def test_a_connection_that_is_to_end_ends(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello, direct=direct)
        await wire.feed(get("/a.css", "Connection: close"))
        assert b"Connection: close\r\n" in wire.output
        assert wire.transport.closed or wire.transport.eof_written

    run(scene())
