"""Applications that never come to an end: the test does, and says why. Nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.testing import (
    AsyncTestClient,
    ClientTimeout,
    IncompleteAnswer,
    SpecError,
    TestClient,
)
from bare_serve.testing.alarm import Interrupted, arm, disarm
from tests.testing.apps import asgi_site

SHORT = 0.05


async def waits(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def answers_and_waits(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
    await asyncio.Event().wait()


async def begins_and_waits(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await asyncio.Event().wait()


async def sends_for_ever(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def blocks(scope: Any, receive: Any, send: Any) -> None:
    time.sleep(1000)


async def loops(scope: Any, receive: Any, send: Any) -> None:
    while True:
        try:
            time.sleep(0.001)
        except Exception:  # what interrupts it is none
            continue


async def ignores_cancellation(scope: Any, receive: Any, send: Any) -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


ASGI: dict[Any, str] = {
    waits: r"it did not send http.response.start within 0.05 s; it waited at .* in waits",
    begins_and_waits: "it did not send an http.response.body without more_body within",
    answers_and_waits: "it did not return, although its answer is complete within 0.05 s",
    sends_for_ever: "it did not send an http.response.body without more_body within",
    blocks: "blocked the event loop for more than 0.05 s; it was at .* in blocks",
    loops: "blocked the event loop for more than 0.05 s; it was at .* in loops",
    ignores_cancellation: "in ignores_cancellation; it goes on although it was cancelled",
}


@pytest.mark.parametrize("kind", ["sync", "async", "alone"])
@pytest.mark.parametrize("app", ASGI)
def test_an_asgi_application_that_does_not_end(app: Any, kind: str) -> None:
    async def main() -> None:
        with pytest.raises(ClientTimeout, match=ASGI[app]):
            await AsyncTestClient(app).get("/", timeout=SHORT)

    async def either(scope: Any, receive: Any, send: Any) -> None:
        await (asgi_site if scope["path"] == "/twice" else app)(scope, receive, send)

    before = time.perf_counter()
    if kind == "async":
        asyncio.run(main())
    elif kind == "alone":
        with pytest.raises(ClientTimeout, match=ASGI[app]):
            TestClient(app, timeout=SHORT).get("/")
    else:
        with TestClient(either) as client:
            assert client.get("/twice").status == 201
            with pytest.raises(ClientTimeout, match=ASGI[app]):
                client.get("/", timeout=SHORT)
            assert client.get("/twice").status == 201, "the next one is not concerned"
    assert time.perf_counter() - before < 20
    assert threading.active_count() == 1 or all(
        not thread.name.startswith("test-client") for thread in threading.enumerate()
    )


def wsgi_loops(environ: Any, start_response: Any) -> Any:
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            continue


def wsgi_sleeps(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    time.sleep(1000)


def wsgi_waits_for_a_lock(environ: Any, start_response: Any) -> Any:
    lock = threading.Lock()
    with lock:
        lock.acquire()


def wsgi_catches_all(environ: Any, start_response: Any) -> Any:
    try:
        time.sleep(1000)
    except BaseException as error:
        raise LookupError("translated") from error


def wsgi_yields_for_ever(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    while True:
        yield b""


WSGI: dict[Any, str] = {
    wsgi_loops: "did not call start_response within 0.05 s; it was at .* in wsgi_loops",
    wsgi_sleeps: "did not go on within 0.05 s; it was at .* in wsgi_sleeps",
    wsgi_waits_for_a_lock: "in wsgi_waits_for_a_lock",
    wsgi_catches_all: "in wsgi_catches_all",
    wsgi_yields_for_ever: "did not go on within 0.05 s",
}


@pytest.mark.parametrize("app", WSGI)
def test_a_wsgi_application_that_does_not_end(app: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ClientTimeout, match=WSGI[app]):
        TestClient(app, timeout=SHORT).get("/")
    with (
        pytest.raises(ClientTimeout, match=r"within 0.05"),
        TestClient(app, timeout=SHORT).stream("GET", "/") as answer,
    ):
        answer.read()
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_application_that_sends_out_of_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x"})

    with pytest.raises(SpecError, match=r"http\.response\.start"):
        TestClient(app).get("/")
    with pytest.raises(ValueError, match=r"expected 'http\.response\.start', but the application"):
        TestClient(app, lint=False).get("/")
    assert TestClient(app, lint=False, raise_app_exceptions=False).get("/").status == 500


def test_an_application_that_only_returns() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    with pytest.raises(IncompleteAnswer, match="the application ended, but it did not send"):
        TestClient(app, lint=False).get("/")
    with pytest.raises(SpecError):
        TestClient(app).get("/")


def test_an_application_that_cancels_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(IncompleteAnswer, match="has cancelled itself"):
        TestClient(app, lint=False).get("/")


def test_a_test_that_is_cancelled_ends_its_application() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main() -> None:
        async with AsyncTestClient(app) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT):
                    await client.get("/")
        assert ended == [True]

    asyncio.run(main())


def test_each_of_several_requests_is_interrupted_for_itself() -> None:
    async def main() -> None:
        client = AsyncTestClient(either)
        waiting = asyncio.create_task(client.get("/wait", timeout=SHORT))
        await asyncio.sleep(0)
        with pytest.raises(ClientTimeout, match=r"it was at .* in blocks"):
            await client.get("/block", timeout=3 * SHORT)
        with pytest.raises(ClientTimeout, match=r"it waited at .* in waits"):
            await waiting

    async def either(scope: Any, receive: Any, send: Any) -> None:
        await (waits if scope["path"] == "/wait" else blocks)(scope, receive, send)

    asyncio.run(main())


def test_a_task_that_ignores_its_end_is_named(recwarn: pytest.WarningsRecorder) -> None:
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.create_task(ignores_cancellation(scope, receive, send)))
        await asgi_site({**scope, "path": "/twice"}, receive, send)

    with pytest.raises(ClientTimeout, match=r"cannot be ended: a task at .* in ignores_canc"):
        TestClient(app).get("/")
    tasks[0]._log_destroy_pending = False


def test_context_variables_of_the_test_are_seen_and_kept() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        await asyncio.sleep(0)
        variable.set("of the application")
        await asyncio.sleep(0)
        seen.append(variable.get())
        await asgi_site({**scope, "path": "/twice"}, receive, send)

    async def main() -> None:
        variable.set("of the test")
        client = AsyncTestClient(app)
        await client.get("/")
        async with client.stream("GET", "/") as answer:
            await answer.read()
        assert variable.get() == "of the test"

    asyncio.run(main())
    assert seen == ["of the test", "of the application"] * 2


@pytest.mark.parametrize("kind", ["wsgi", "async"])
def test_no_thread_is_started(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise AssertionError("a thread is started")

    async def main() -> None:
        async with AsyncTestClient(asgi_site) as client:
            assert (await client.get("/twice")).status == 201
            async with client.stream("GET", "/twice") as answer:
                assert await answer.read() == b"two"

    monkeypatch.setattr(threading.Thread, "start", refuse)
    if kind == "async":
        asyncio.run(main())
    with TestClient(asgi_site) as client:
        assert client.get("/twice").status == 201


def test_a_wsgi_client_loads_no_asyncio() -> None:
    script = (
        "import sys; from bare_serve.testing import TestClient\n"
        "from tests.testing.apps import wsgi_site\n"
        "assert TestClient(wsgi_site).get('/twice').status == 201\n"
        "print(sorted({'asyncio', 'email', 'ssl', 'http.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


# ---------------------------------------------------------------------- the alarm itself


@pytest.fixture
def rung() -> Iterator[list[int]]:
    """An alarm of somebody else."""
    found: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: found.append(number))
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    yield found
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def interrupted(work: Callable[[], object]) -> bool:
    try:
        work()
    except Interrupted:
        return True
    return False


def test_an_alarm_of_somebody_else_is_put_back(rung: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 500, 7)
    alarm = arm(0.01)
    assert interrupted(lambda: time.sleep(10))
    disarm(alarm)
    seconds, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 400 < seconds < 500
    assert interval == 7
    signal.raise_signal(signal.SIGALRM)
    assert rung == [signal.SIGALRM]


def test_an_alarm_that_comes_sooner_is_left(rung: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 5)
    assert arm(10) is None
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 5
    signal.raise_signal(signal.SIGALRM)
    assert rung == [signal.SIGALRM]


def test_several_alarms(rung: list[int]) -> None:
    late, early = arm(100), arm(0.01)
    assert interrupted(lambda: time.sleep(10))
    assert early is not None
    assert late is not None
    assert ("test_timeouts.py" in early.place, late.place) == (True, "")
    disarm(early)
    assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    disarm(late)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert rung == []


def test_an_alarm_that_is_not_meant_for_this_code(rung: list[int]) -> None:
    alarm = arm(0.001, lambda: False)
    assert not interrupted(lambda: time.sleep(0.05))
    disarm(alarm)


def test_no_alarm_outside_the_main_thread() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(arm(10)))
    thread.start()
    thread.join()
    assert found == [None]
