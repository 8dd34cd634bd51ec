"""What popular frameworks do is in order: no error, and no advice; notes at most."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.testing import SpecAdvice, lint
from tests.testing import framework_apps
from tests.testing.drivers import (
    call_asgi,
    call_wsgi,
    environ,
    http_scope,
    lifespan_scope,
    websocket_scope,
)

WSGI: dict[str, Any] = {
    "flask": framework_apps.flask,
    "django": lambda: framework_apps.django("wsgi"),
}
ASGI: dict[str, Any] = {
    "django": lambda: framework_apps.django("asgi"),
    "starlette": framework_apps.starlette,
    "fastapi": framework_apps.fastapi,
    "quart": framework_apps.quart,
    "litestar": framework_apps.litestar,
}
FILE = framework_apps.FILE.read_bytes()
BODIES = {"/hello": b"hello", "/stream": b"tick 0\ntick 1\n", "/file": FILE}
STATUSES = {"/missing": 404}


def check(path: str, status: int, body: bytes, said: list[SpecAdvice]) -> None:
    assert [str(advice) for advice in said if advice.clause.weight != "note"] == []
    assert status == STATUSES.get(path, 200)
    wanted = BODIES.get(path)
    assert body == wanted or wanted is None


@pytest.mark.parametrize("name", WSGI)
def test_wsgi_frameworks(name: str) -> None:
    pytest.importorskip(name)
    app = WSGI[name]()
    for path in ("/hello", "/json", "/stream", "/file", "/missing"):
        for method in ("GET", "HEAD"):
            said: list[SpecAdvice] = []
            checked = lint(lint(app, on_advice=said.append), on_advice=said.append)
            answer = call_wsgi(checked, environ(PATH_INFO=path, REQUEST_METHOD=method))
            if method == "GET":
                check(path, int(answer.status[:3]), b"".join(answer.pieces), said)
            assert [str(advice) for advice in said if advice.clause.weight != "note"] == []


@pytest.mark.parametrize("name", ASGI)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:StreamingHttpResponse")
def test_asgi_frameworks(name: str) -> None:
    pytest.importorskip(name)
    app = ASGI[name]()
    said: list[SpecAdvice] = []
    checked = lint(lint(app, "asgi", on_advice=said.append), "asgi", on_advice=said.append)

    async def scene() -> None:
        up, down = asyncio.Event(), asyncio.Event()
        life = asyncio.ensure_future(_live(checked, up, down))
        await asyncio.wait([life, asyncio.ensure_future(up.wait())], return_when="FIRST_COMPLETED")
        for path in ("/hello", "/json", "/stream", "/file", "/missing"):
            scope = http_scope(path=path, raw_path=path.encode())
            del scope["extensions"]["http.response.debug"]
            sent = await call_asgi(checked, scope, _request(), stays=True)
            body = b"".join([_body(message) for message in sent])
            check(path, sent[0]["status"], body, said)
            head = http_scope(path=path, raw_path=path.encode(), method="HEAD", extensions={})
            await call_asgi(checked, head, _request(), stays=True)
        if name != "django":
            sent = await call_asgi(
                checked, websocket_scope(path="/ws", raw_path=b"/ws"), stays=True
            )
            assert [message.get("text") for message in sent][1] == "hello"
        down.set()
        await asyncio.wait([life])

    asyncio.run(scene())
    assert [str(advice) for advice in said if advice.clause.weight != "note"] == []


async def _live(app: Any, up: asyncio.Event, down: asyncio.Event) -> None:
    """A lifespan that ends when `down` is set; an application without one ends it by raising."""
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        if up.is_set():
            await down.wait()
        return {"type": next(events)}

    async def send(message: Any) -> None:
        up.set()

    try:
        await app(lifespan_scope(), receive, send)
    except AssertionError:
        raise
    except Exception:
        up.set()


def _request() -> Any:
    """An empty body, then a client that stays: frameworks listen for its end."""
    yield {"type": "http.request", "body": b"", "more_body": False}


def _body(message: Any) -> bytes:
    if message["type"] == "http.response.pathsend":
        return framework_apps.Path(message["path"]).read_bytes()
    body: bytes = message.get("body", b"")
    return body


def test_a_middleware_of_starlette_between_two_lints_and_a_client_of_httpx() -> None:
    httpx, base = pytest.importorskip("httpx"), pytest.importorskip("starlette.middleware.base")

    class Marks(base.BaseHTTPMiddleware):  # type: ignore[misc, name-defined]
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            body = await request.body()
            response = await call_next(request)
            response.headers["x-mark"] = str(len(body))
            return response

    async def scene() -> None:
        app = lint(Marks(lint(framework_apps.starlette())), "asgi")
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/hello", "/stream", "/file"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["x-mark"]) == (200, "0")
                assert answer.content == BODIES[path]
            assert (await client.post("/hello", content=b"abc")).status_code == 405

    asyncio.run(scene())


def test_a_middleware_of_werkzeug_between_two_lints_and_a_client_of_httpx() -> None:
    httpx, fix = pytest.importorskip("httpx"), pytest.importorskip("werkzeug.middleware.proxy_fix")
    app = lint(fix.ProxyFix(lint(framework_apps.flask(), "wsgi")), "wsgi")
    transport = httpx.WSGITransport(app=app)
    with httpx.Client(transport=transport, base_url="http://test") as client:
        for path in ("/hello", "/stream", "/file"):
            answer = client.get(path, headers={"x-forwarded-proto": "https"})
            assert (answer.status_code, answer.content) == (200, BODIES[path])
