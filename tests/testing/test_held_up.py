"""Applications that hold the test up where it does not wait for an answer, or hide that they do."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.testing import AsyncTestClient, ClientTimeout, TestClient
from tests.testing.apps import asgi_site

SHORT = 0.05
START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
ACCEPT = {"type": "websocket.accept"}


async def sends_to_nobody(scope: Any, receive: Any, send: Any) -> None:
    """Send on, whatever `send` raises."""
    await send(START if scope["type"] == "http" else ACCEPT)
    piece = PIECE if scope["type"] == "http" else {"type": "websocket.send", "text": "x"}
    while True:
        try:
            await send(piece)
            await asyncio.sleep(0)
        except (Exception, asyncio.CancelledError):
            continue


async def blocks_on_a_message(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    await receive()
    time.sleep(1000)


async def swallows(scope: Any, receive: Any, send: Any) -> None:
    try:
        time.sleep(1000)
    except BaseException:
        pass
    await asgi_site(scope, receive, send)


async def swallows_in_the_lifespan(scope: Any, receive: Any, send: Any) -> None:
    try:
        time.sleep(1000)
    except BaseException:
        pass
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def swallows_wsgi(environ: Any, start_response: Any) -> Any:
    try:
        time.sleep(1000)
    except BaseException:
        pass
    start_response("204 No Content", [])
    return []


async def blocks() -> None:
    time.sleep(1000)


async def blocks_beside(scope: Any, receive: Any, send: Any) -> None:
    task = asyncio.create_task(blocks())
    await asyncio.wait([task])
    await asyncio.Event().wait()


def leaves_a_stream(client: TestClient) -> None:
    with client.stream("GET", "/") as answer:
        next(iter(answer))


def leaves_a_websocket(client: TestClient) -> None:
    with client.websocket("/") as ws:
        assert ws.receive() == "x"


def sends_a_message(client: TestClient) -> None:
    with client.websocket("/") as ws:
        ws.send("hi")


def gets(client: TestClient) -> None:
    client.get("/twice")


def streams(client: TestClient) -> None:
    with client.stream("GET", "/twice"):
        pass


def enters(client: TestClient) -> None:
    with client:
        pass


CASES: list[tuple[Any, Callable[[TestClient], None], str]] = [
    (sends_to_nobody, leaves_a_stream, "although the test had left; it was at .* sends_to_nobody"),
    (sends_to_nobody, leaves_a_websocket, "it was at .* in sends_to_nobody"),
    (blocks_on_a_message, sends_a_message, "for more than 0.05 s; it was at .* in blocks_on_a_me"),
    (swallows, gets, "for more than 0.05 s; it was at .* in swallows"),
    (swallows, streams, "for more than 0.05 s; it was at .* in swallows"),
    (swallows_in_the_lifespan, enters, "in its lifespan; it was at .* in swallows"),
    (swallows_wsgi, gets, "did not go on within 0.05 s; it was at .* in swallows_wsgi"),
    (blocks_beside, gets, "for more than 0.05 s; it was at .* in blocks"),
]


@pytest.fixture(autouse=True)
def no_alarm() -> Iterator[None]:
    """Take away the alarm of pytest-timeout: it would be put back sooner."""
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


@pytest.mark.parametrize(("app", "act", "said"), CASES)
def test_it_is_named_and_the_test_goes_on(
    app: Any, act: Callable[[TestClient], None], said: str
) -> None:
    with pytest.raises(ClientTimeout, match=said):
        act(TestClient(app, timeout=SHORT, lint=False))
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_task_that_blocks_the_end_of_the_client_is_named() -> None:
    async def blocks_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            time.sleep(1000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"]["tasks"].append(asyncio.create_task(blocks_at_its_end()))
        await asgi_site(scope, receive, send)

    with (
        pytest.raises(ClientTimeout, match=r"blocks the event loop at .* in blocks_at_its_end"),
        TestClient(app, state={"tasks": []}) as client,
    ):
        client.get("/twice")


def test_a_call_in_another_thread_is_not_interrupted_by_its_alarm_here() -> None:
    """Only the main thread takes signals; an alarm for another one would hit what runs here."""
    answers: list[str] = []

    def slow(environ: Any, start_response: Any) -> Any:
        time.sleep(0.1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"slow"]

    def app(environ: Any, start_response: Any) -> Any:
        def other() -> None:
            answers.append(TestClient(slow, timeout=SHORT).get("/").text)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"main"]

    assert TestClient(app).get("/").text == "main"
    assert answers == ["slow"]


# ------------------------------------------------------------- request after request, one loop


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def test_a_task_that_a_request_makes_runs_before_the_next_one() -> None:
    begun: list[int] = []
    tasks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def begins() -> None:
            begun.append(len(tasks))

        tasks.append(asyncio.create_task(begins()))
        await hello(scope, receive, send)

    async def main() -> None:
        client = AsyncTestClient(app)
        for number in range(1, 20):
            await client.get("/")
            assert begun == list(range(1, number + 1))

    asyncio.run(main())


def test_a_test_that_never_waits_is_still_ended_by_its_timeout() -> None:
    async def main() -> None:
        client = AsyncTestClient(hello)
        async with asyncio.timeout(SHORT):
            while True:
                await client.get("/")

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_no_alarm_is_kept_beyond_a_turn_of_the_loop() -> None:
    async def main() -> None:
        client = AsyncTestClient(hello)
        await client.get("/")
        await client.get("/")
        await asyncio.sleep(0.01)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        await client.get("/")

    asyncio.run(main())
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_an_application_that_sets_its_own_alarm_keeps_it() -> None:
    seen: list[int] = []

    async def main() -> None:
        client = AsyncTestClient(hello)
        await client.get("/")
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))  # the alarm is kept by now
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        await client.get("/")
        while not seen:
            await asyncio.sleep(0.001)

    try:
        asyncio.run(asyncio.wait_for(main(), 20))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert seen == [1]


def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    import gc

    async def main() -> int:
        client = AsyncTestClient(hello, lint=False)
        await client.get("/")
        gc.collect()
        for _ in range(50):
            await client.get("/")
        return gc.collect()

    gc.disable()
    try:
        # Other threads of the tests may leave some meanwhile; each request would leave more.
        assert asyncio.run(main()) < 50
    finally:
        gc.enable()
