"""Answers that are read while the application makes them, and what happens when the test leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.testing import AsyncTestClient, ClientTimeout, IncompleteAnswer, TestClient

STREAM = [(b"content-type", b"text/event-stream"), (b"set-cookie", b"a=1")]
PLAIN = [(b"content-type", b"text/plain")]


async def begin(send: Any, headers: list[tuple[bytes, bytes]] = STREAM) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def piece(send: Any, data: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


class Clock:
    """Sends an event for each tick; how it ended is in `ended`."""

    def __init__(self, *, listens: bool = False) -> None:
        self.listens = listens
        self.ended = ""
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await receive()
        try:
            await begin(send)
            if self.listens:
                await self.listen(receive, send)
            else:
                await self.tick(send)
        except OSError:
            self.ended = "send raised"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise

    async def listen(self, receive: Any, send: Any) -> None:
        ticks = asyncio.create_task(self.tick(send))
        assert (await receive())["type"] == "http.disconnect"
        ticks.cancel()
        self.ended = "told"

    async def tick(self, send: Any) -> None:
        while True:
            await piece(send, b"id: %d\ndata: %d\n\n" % (self.sent, self.sent))
            self.sent += 1
            await asyncio.sleep(0.001)


def test_events_as_they_are_sent() -> None:
    clock = Clock()
    client = TestClient(clock)
    with client, client.stream("GET", "/clock") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert client.cookies["a"] == "1"
        assert next(answer.events()).data == "0"
        assert next(answer.events()).data == "1"
        assert clock.ended == ""
        before = time.perf_counter()
    assert clock.ended == "send raised"
    assert time.perf_counter() - before < 2  # on a busy machine


def test_leaving_is_told_to_who_listens() -> None:
    clock = Clock(listens=True)
    with TestClient(clock).stream("GET", "/clock") as answer:
        assert next(answer.lines()) == "id: 0"
        assert clock.ended == ""
    assert clock.ended == "told"


def test_leaving_cancels_who_does_not_notice() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send)
        await piece(send, b"x")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with TestClient(app, lint=False).stream("GET", "/") as answer:
        assert next(answer.pieces()) == b"x"
        before = time.perf_counter()
    assert ended == [True]
    assert time.perf_counter() - before < 2


def test_a_stream_waits_for_the_test() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await begin(send, PLAIN)
        for _ in range(100):
            await piece(send, b"x" * 10_000)
            sent += 1
        await piece(send, b"", more=False)

    with TestClient(app) as client:
        with client.stream("GET", "/") as answer:
            assert next(answer.pieces()) == b"x" * 10_000
            assert sent < 10
        assert sent < 10, "leaving under back-pressure ends it"
        with client.stream("GET", "/") as answer:
            assert len(answer.read()) == 1_000_000
        assert sent >= 100


async def until_set(event: asyncio.Event) -> None:
    await event.wait()


def test_what_works_on_behind_a_complete_answer_is_waited_for() -> None:
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send, PLAIN)
        await piece(send, b"all", more=False)
        await asyncio.sleep(0.3)  # longer than the grace of one that has been left
        done.append(True)

    with TestClient(app).stream("GET", "/") as answer:
        assert answer.read() == b"all"
    assert done == [True]


def test_a_failure_in_the_middle_is_raised_where_the_test_reads() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send)
        await piece(send, b"x")
        raise LookupError("in the middle")

    def read(client: TestClient) -> None:
        with client.stream("GET", "/") as answer:
            assert next(answer.pieces()) == b"x"
            next(answer.pieces())

    with pytest.raises(LookupError, match="in the middle"):
        read(TestClient(app))
    with pytest.raises(IncompleteAnswer, match="failed during its answer"):
        read(TestClient(app, raise_app_exceptions=False))


def test_an_application_that_only_returns_in_the_middle() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send, PLAIN)
        await piece(send, b"x")

    with (
        pytest.raises(IncompleteAnswer, match="body without more_body"),
        TestClient(app, lint=False).stream("GET", "/") as answer,
    ):
        answer.read()


def test_a_piece_that_does_not_come() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send)
        await piece(send, b"x")
        await until_set(asyncio.Event())

    with TestClient(app).stream("GET", "/clock", timeout=0.05) as answer:
        assert next(answer.pieces()) == b"x"
        with pytest.raises(ClientTimeout) as caught:
            next(answer.pieces())
    text = str(caught.value)
    assert text.startswith("GET /clock: it did not send an http.response.body without more_body")
    assert "within 0.05 s" in text
    assert "test_streams.py" in text
    assert "in until_set" in text


def test_files_early_hints_and_trailers(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/trailers":
            head = {"type": "http.response.start", "status": 200, "trailers": True}
            await send({**head, "headers": [*PLAIN, (b"trailer", b"x-sum")]})
            await piece(send, b"x", more=False)
            fields = [(b"x-sum", b"1")]
            await send({"type": "http.response.trailers", "headers": fields})
            return
        if scope["path"] == "/path":
            await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
            await begin(send, PLAIN)
            await send({"type": "http.response.pathsend", "path": str(path)})
            return
        await begin(send, PLAIN)
        with path.open("rb") as file:
            file.seek(5)
            message = {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 5}
            await send({**message, "count": 10, "more_body": True})
        await piece(send, b"!", more=False)

    with TestClient(app) as client:
        response = client.get("/path")
        assert response.content == path.read_bytes()
        assert response.early_hints[0]["link"] == "</a.css>; rel=preload"
        assert client.get("/part").content == b"5678901234!"
        response = client.get("/trailers", headers={"TE": "trailers"})
        assert response.trailers["x-sum"] == "1"
        with client.stream("GET", "/trailers", headers={"TE": "trailers"}) as answer:
            assert answer.read() == b"x"
            assert answer.trailers["x-sum"] == "1"


def test_an_open_stream_ends_with_its_client() -> None:
    clock = Clock()
    with TestClient(clock) as client:
        answer = client.stream("GET", "/")
        answer.__enter__()
        assert next(answer.events()).data == "0"
    assert clock.ended == "send raised"


def test_an_asynchronous_test() -> None:
    async def main() -> None:
        clock = Clock(listens=True)
        async with (
            AsyncTestClient(clock) as client,
            client.stream("GET", "/clock") as answer,
        ):
            assert (await anext(answer.events())).id == "0"
            assert await anext(answer.lines()) == "id: 1"
            assert (await anext(answer.pieces())).startswith(b"id: 2")
            async for event in answer.events():
                if event.data == "5":
                    break
        assert clock.ended == "told"

    asyncio.run(main())


# ---------------------------------------------------------------------- WSGI


class Pieces:
    """An iterable that tells what happens to it."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = iter(pieces)
        self.given = self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.given += 1
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


def serving(pieces: Any) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return pieces

    return app


def test_wsgi_pieces_are_made_when_they_are_read() -> None:
    pieces = Pieces(b"data: 0\n\n", b"", b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n", b"end")
    with TestClient(serving(pieces)).stream("GET", "/") as answer:
        assert answer.reason == "OK"
        assert pieces.given == 0
        assert [next(answer.events()).data for _ in range(3)] == ["0", "1", "2"]
        assert pieces.given == 3
        assert pieces.closed == 0
    assert (pieces.given, pieces.closed) == (3, 1)


def test_wsgi_is_closed_once() -> None:
    pieces = Pieces(b"a", b"b")
    with TestClient(serving(pieces)).stream("GET", "/") as answer:
        assert answer.read() == b"ab"
    assert pieces.closed == 1
    pieces = Pieces(b"a", LookupError("in the middle"))
    with pytest.raises(LookupError):
        TestClient(serving(pieces)).get("/")
    assert pieces.closed == 1
    with pytest.raises(IncompleteAnswer, match="failed during its answer"):
        TestClient(serving(Pieces(b"a", LookupError())), raise_app_exceptions=False).get("/")
    failing = TestClient(serving(Pieces(LookupError("first"))), raise_app_exceptions=False)
    with failing.stream("GET", "/") as answer, pytest.raises(IncompleteAnswer):
        answer.read()


def test_wsgi_in_an_asynchronous_test() -> None:
    async def main() -> None:
        pieces = Pieces(b"data: 0\n\n", b"data: 1\n\n")
        async with AsyncTestClient(serving(pieces)) as client:
            async with client.stream("GET", "/") as answer:
                assert (await anext(answer.events())).data == "0"
            assert pieces.closed == 1

    asyncio.run(main())


def test_wsgi_is_told_that_the_client_has_left() -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                seen.append(environ["bare_serve.client_disconnected"]())
                yield b"x"
        finally:
            seen.append(environ["bare_serve.client_disconnected"]())

    with TestClient(app).stream("GET", "/") as answer:
        assert next(answer.pieces()) == b"x"
    assert seen == [False, True]


def test_wsgi_early_hints() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    response = TestClient(app).get("/")
    assert response.early_hints[0]["link"] == "</a.css>; rel=preload"


def test_no_answer_is_read_for_ever() -> None:
    block = b"x" * (1 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send, PLAIN)
        while True:
            await piece(send, block)

    def endless() -> Iterator[bytes]:
        while True:
            yield block

    for client in (TestClient(app, timeout=None), TestClient(serving(endless()), timeout=None)):
        with pytest.raises(IncompleteAnswer, match=r"more than 256 MiB; read it with stream\(\)"):
            client.get("/")
