"""The lifespan of an application, from entering a client to leaving it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.testing import AsyncTestClient, ClientTimeout, LifespanFailed, TestClient
from tests.testing.apps import asgi_site, wsgi_site


class Lifespan:
    """Runs one step at startup and one at shutdown; anything else is answered by the site."""

    def __init__(self, startup: Any = None, shutdown: Any = None) -> None:
        self.startup = startup
        self.shutdown = shutdown
        self.steps: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await asgi_site(scope, receive, send)
            return
        await receive()
        self.steps.append("startup")
        if self.startup is not None:
            await self.startup(send)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.steps.append("shutdown")
        if self.shutdown is not None:
            await self.shutdown(send)
        await send({"type": "lifespan.shutdown.complete"})


async def raises(send: Any) -> None:
    raise LookupError("of the application")


async def hangs(send: Any) -> None:
    await asyncio.Event().wait()


async def blocks(send: Any) -> None:
    while True:
        pass


async def exits(send: Any) -> None:
    raise SystemExit(3)


async def says_failed(send: Any) -> None:
    await send({"type": "lifespan.shutdown.failed", "message": "still in use"})
    await asyncio.Event().wait()


async def says_failed_and_raises(send: Any) -> None:
    await send({"type": "lifespan.startup.failed", "message": "a traceback as text"})
    raise LookupError("of the application")


STARTUPS: dict[Any, tuple[type[Exception], str]] = {
    raises: (LookupError, "of the application"),
    says_failed_and_raises: (LookupError, "of the application"),
    hangs: (ClientTimeout, "lifespan.startup within 0.1 s; it waits at .*test_lifespan.py"),
    blocks: (ClientTimeout, "blocked the event loop in its lifespan"),
    exits: (LifespanFailed, r"SystemExit\(3\)"),
}


@pytest.mark.parametrize("startup", STARTUPS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_startup_that_fails(startup: Any, kind: str) -> None:
    error, message = STARTUPS[startup]
    app = Lifespan(startup=startup)
    with pytest.raises(error, match=message):
        enter(app, kind)


SHUTDOWNS: dict[Any, tuple[type[Exception], str]] = {
    raises: (LookupError, "of the application"),
    says_failed: (LifespanFailed, "still in use"),
    hangs: (ClientTimeout, r"shutdown took longer than 0.1 s.* at .*test_lifespan.py"),
    blocks: (ClientTimeout, "blocked the event loop in its lifespan"),
    exits: (LifespanFailed, r"sys.exit\(3\)|SystemExit\(3\)"),
}


@pytest.mark.parametrize("shutdown", SHUTDOWNS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_shutdown_that_fails(shutdown: Any, kind: str) -> None:
    error, message = SHUTDOWNS[shutdown]
    app = Lifespan(shutdown=shutdown)
    with pytest.raises(error, match=message):
        enter(app, kind)
    assert app.steps == ["startup", "shutdown"]


def enter(app: Any, kind: str) -> None:
    """Enter a client, make a request, and leave."""

    async def main() -> None:
        async with AsyncTestClient(app, timeout=0.1) as client:
            assert (await client.get("/twice")).status == 201

    if kind == "async":
        asyncio.run(main())
        return
    with TestClient(app, timeout=0.1) as client:
        assert client.get("/twice", timeout=30).status == 201


def test_the_tests_own_failure_is_the_one_to_show() -> None:
    with pytest.raises(ZeroDivisionError), TestClient(Lifespan(shutdown=raises)):
        raise ZeroDivisionError


def test_without_with_there_is_no_lifespan() -> None:
    app = Lifespan()
    assert TestClient(app).get("/twice").status == 201
    assert app.steps == []


def test_the_state_of_the_test_is_there_at_the_startup() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            seen.append(dict(scope["state"]))
            scope["state"]["b"] = 2
            await Lifespan()(scope, receive, send)
        else:
            seen.append(dict(scope["state"]))
            await asgi_site(scope, receive, send)

    with TestClient(app, state={"a": 1}) as client:
        client.get("/twice")
    assert seen == [{"a": 1}, {"a": 1, "b": 2}]


def test_background_tasks_go_on_while_something_is_awaited() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def start(send: Any) -> None:
        tasks.append(asyncio.create_task(tick()))

    tasks: list[asyncio.Task[None]] = []
    with TestClient(Lifespan(startup=start)) as client:
        before = ticks
        client.run(asyncio.sleep(0.01))
        assert ticks > before
        before = ticks
        client.get("/twice")
        assert ticks > before
    assert tasks[0].cancelled()


def test_requests_let_other_tasks_have_their_turn() -> None:
    async def main() -> None:
        async with AsyncTestClient(asgi_site) as client:
            work = asyncio.create_task(asyncio.sleep(0))
            for _ in range(20):
                await client.get("/twice")
            assert work.done()

    asyncio.run(main())


def test_a_wsgi_application_is_entered_too() -> None:
    enter(wsgi_site, "sync")
    enter(wsgi_site, "async")


def test_a_client_may_be_entered_again() -> None:
    app = Lifespan()
    client = TestClient(app)
    for _ in range(2):
        with client:
            assert client.get("/twice").status == 201
    assert app.steps == ["startup", "shutdown"] * 2
