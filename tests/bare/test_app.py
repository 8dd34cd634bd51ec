"""The application: failures and answers, middleware, the life, work after the answer, `run`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

import bare_serve.bare as ours
from bare_serve.bare import (
    BadRequest,
    Bare,
    HTTPError,
    JSONResponse,
    NotFound,
    Request,
    Response,
    StreamResponse,
    TooManyRequests,
    Unauthorized,
    WebSocket,
)
from bare_serve.bare.app import import_string
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.request_id import RequestId
from bare_serve.testing import LifespanFailed, TestClient
from tests.bare.book import roll
from tests.bare.versions import against, both, client


@against()
def test_500_does_not_leak(lib: Any) -> None:
    app = lib.Bare()

    @app.get("/")
    async def page(request: Any) -> Any:
        raise RuntimeError("password=hunter2")

    answer = TestClient(app, raise_app_exceptions=False).get("/")
    assert answer.status == 500
    assert "hunter2" not in answer.text
    assert "hunter2" not in str(answer.headers)


@against()
def test_exception_after_start_sends_no_second_start(lib: Any) -> None:
    class Broken(lib.Response):  # type: ignore[misc, name-defined]
        async def send(self, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("the connection to the backend is lost")

    app = lib.Bare()

    @app.get("/")
    async def page(request: Any) -> Any:
        if lib is ours:

            def pieces() -> Iterator[str]:
                yield "a"
                raise RuntimeError("the connection to the backend is lost")

            return StreamResponse(pieces())
        return Broken("x")

    async def play() -> list[str]:
        sent: list[str] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(event: Any) -> None:
            sent.append(event["type"])

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        with pytest.raises(RuntimeError, match="backend"):
            await app(scope, receive, send)
        return sent

    assert asyncio.run(play()).count("http.response.start") == 1


@against()
def test_sync_handler(lib: Any) -> None:
    app = lib.Bare()

    @app.get("/")
    def page(request: Any) -> Any:
        return {"thread": threading.current_thread() is threading.main_thread()}

    assert TestClient(app, raise_app_exceptions=False).get("/").json() == {"thread": False}


@against()
def test_binary_frame_is_no_disconnect(lib: Any) -> None:
    app = lib.Bare()

    @app.websocket("/")
    async def echo(ws: WebSocket) -> None:
        async with ws:
            while (text := await ws.receive_text()) is not None:
                await ws.send_text(text)

    with TestClient(app).websocket("/") as ws:
        ws.send("a")
        assert ws.receive(timeout=20) == "a"
        ws.send(b"b")
        # A frame of the other type is refused as what it is, and not taken for the end.
        with pytest.raises(ours_closed()) as closed:
            ws.receive(timeout=20)
        assert closed.value.code == 1003


def ours_closed() -> Any:
    from bare_serve.testing import WebSocketClosed

    return WebSocketClosed


@against()
def test_close_after_disconnect_is_silent(lib: Any) -> None:
    assert socket_events(lib, [{"type": "websocket.disconnect", "code": 1001}]) == [
        "websocket.accept"
    ]


@against()
def test_no_double_close(lib: Any) -> None:
    """Of a handler that fails inside `async with`: the framework closes, and nothing else does."""
    sent = socket_events(lib, [{"type": "websocket.receive", "text": "fail"}])
    assert sent == ["websocket.accept", "websocket.close"]


def socket_events(lib: Any, told: list[Any]) -> list[str]:
    """What an application sends for these events after the connect."""
    app = lib.Bare()

    @app.websocket("/")
    async def echo(ws: WebSocket) -> None:
        async with ws:
            text = await ws.receive_text()
            if text == "fail":
                raise RuntimeError

    events = [{"type": "websocket.connect"}, *told]
    sent: list[str] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event["type"])

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    with suppress(RuntimeError):  # the handler's own
        asyncio.run(app(scope, receive, send))
    return sent


@against()
def test_shutdown_errors_are_logged_and_failed(lib: Any) -> None:
    app = lib.Bare()
    log: list[str] = []

    def fails() -> None:
        raise RuntimeError("cannot flush")

    app.on_shutdown(fails)
    app.on_shutdown(lambda: log.append("the others run"))
    with pytest.raises(LifespanFailed, match="cannot flush"), TestClient(app):
        pass
    assert log == ["the others run"]


@against()
def test_run_reload_takes_import_string(lib: Any) -> None:
    import __main__
    import bare_serve

    seen: list[Any] = []
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(bare_serve, "run", lambda target, **options: seen.append((target, options)))
        app = lib.Bare()
        context.setattr(__main__, "shop", app, raising=False)
        context.setattr(__main__, "__file__", "/srv/shop.py", raising=False)
        app.run(port=0, reload=True)
        app.run(workers=2)
        app.run()
    assert seen[0] == ("/srv/shop.py:shop", {"host": "127.0.0.1", "port": 0, "reload": True})
    assert seen[1][0] == "/srv/shop.py:shop"
    assert seen[2][0] is app


def test_run_with_reload_needs_a_name() -> None:
    with pytest.raises(ValueError, match="need a name to import the application by"):
        import_string(Bare())


# ------------------------------------------------------------------ failures


class Odd(Exception):
    pass


class Odder(Odd):
    pass


class Gone(NotFound):
    pass


def failing(app: Bare) -> Bare:
    raised: dict[str, Any] = {
        "odd": Odd("x"),
        "odder": Odder("x"),
        "gone": Gone("away"),
        "conflict": HTTPError(409, "taken", {"x-a": "b"}, where="body.title"),
        "unauthorized": Unauthorized(headers={"www-authenticate": "Basic"}),
        "late": TooManyRequests(),
        "value": ValueError("secret"),
    }

    @app.get("/plain/{name}")
    def plain(name: str) -> None:
        raise raised[name]

    @app.get("/async/{name}")
    async def waiting(name: str) -> None:
        raise raised[name]

    return app


@both
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_failures_have_answers(interface: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    app = failing(Bare())
    tester = client(app, interface)
    for name, status, data in (
        ("gone", 404, {"error": "away"}),
        ("conflict", 409, {"error": "taken", "where": "body.title"}),
        ("unauthorized", 401, {"error": "Unauthorized"}),
        ("late", 429, {"error": "Too Many Requests"}),
    ):
        answer = tester.get(f"/{kind}/{name}")
        assert (answer.status, answer.json()) == (status, data)
    assert tester.get(f"/{kind}/conflict").headers["x-a"] == "b"
    assert caplog.text == "", "what is meant is not logged"
    answer = tester.get(f"/{kind}/odd", headers={"x-request-id": "id1"})
    assert answer.json() == {"error": "Internal Server Error", "request_id": "id1"}
    assert "Odd: x" in caplog.text

    @app.error(Odd)
    def odd(request: Request, error: Odd) -> Any:
        return {"odd": type(error).__name__, "path": request.path}

    @app.error(Gone)
    async def gone(request: Request, error: Gone) -> Response:
        await asyncio.sleep(0)
        return JSONResponse({"gone": str(error)}, 410)

    @app.error(404)
    def missing(request: Request, error: HTTPError) -> str:
        return f"no {request.path}"

    @app.error(409)
    async def fails(request: Request, error: HTTPError) -> None:
        raise RuntimeError("in the handler")

    caplog.clear()
    answer = tester.get(f"/{kind}/odder")
    assert (answer.status, answer.json()) == (500, {"odd": "Odder", "path": f"/{kind}/odder"})
    assert (tester.get(f"/{kind}/gone").status, tester.get("/x").text) == (410, "no /x")
    assert tester.get("/x").status == 404
    assert caplog.text == ""
    assert tester.get(f"/{kind}/conflict").json() == {"error": "Internal Server Error"}
    assert "in the handler" in caplog.text

    @app.error(500)
    def all_others(request: Request, error: Exception) -> str:
        return "sorry"

    answer = tester.get(f"/{kind}/value")
    assert (answer.status, answer.text) == (500, "sorry")
    assert "ValueError: secret" in caplog.text, "what is not foreseen is logged in any case"


def test_what_error_takes() -> None:
    for wrong in (200, "404", object, True, BadRequest()):
        with pytest.raises(TypeError, match="class of exceptions or 400 to 599"):
            Bare().error(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="400 to 599, not 200"):
        HTTPError(200)


# ------------------------------------------------------------------ middleware


@both
def test_middleware_sees_failures_too(interface: str) -> None:
    app = failing(Bare())
    app.add_middleware(Cors, origins=["https://a.example"])
    app.add_middleware(RequestId())
    tester = client(app, interface)
    for path, status in (("/plain/odd", 500), ("/plain/gone", 404), ("/none", 404)):
        answer = tester.get(path, headers={"origin": "https://a.example", "x-request-id": "id1"})
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert answer.headers["x-request-id"] == "id1"
    assert tester.get("/plain/odd").json()["request_id"]


def test_the_first_middleware_is_outermost() -> None:
    app = Bare()
    log: list[str] = []

    class Classic:
        def __init__(self, app: Any, name: str) -> None:
            self.app, self.name = app, name

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            log.append(self.name)
            await self.app(scope, receive, send)

    app.add_middleware(Classic, name="a")
    app.add_middleware(Classic, name="b")
    app.get("/")(lambda: "x")
    assert TestClient(app).get("/").text == "x"
    assert log == ["a", "b"]
    app.add_middleware(Classic, name="c")
    TestClient(app).get("/")
    assert log[2:] == ["a", "b", "c"]
    with pytest.raises(TypeError, match="is no middleware"):
        app.add_middleware(5)
    with pytest.raises(TypeError, match=r"is no middleware that takes \{'header'"):
        app.add_middleware(RequestId(), header="x")


# ------------------------------------------------------------------ life


def managed(kind: str, log: list[str]) -> Any:
    @contextmanager
    def plain(app: Bare) -> Iterator[dict[str, Any]]:
        log.append("enter")
        yield {"db": "opened"}
        log.append("leave")

    @asynccontextmanager
    async def waiting(app: Bare) -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(0)
        log.append("enter")
        yield {"db": "opened"}
        log.append("leave")

    return plain if kind == "plain" else waiting


@pytest.mark.parametrize("kind", ["plain", "async"])
@both
def test_the_life_of_an_application(interface: str, kind: str) -> None:
    log: list[str] = []
    app = Bare(lifespan=managed(kind, log))
    app.on_startup(lambda: log.append("start"))
    app.on_shutdown(lambda: log.append("shut"))

    @app.on_startup
    async def later() -> None:
        if kind == "async":
            await asyncio.sleep(0)

    @app.get("/")
    def page(request: Request) -> Any:
        request.state["own"] = 1
        return request.state

    if interface == "asgi":
        with TestClient(app) as tester:
            assert [tester.get("/").json() for _ in range(2)] == [{"db": "opened", "own": 1}] * 2
    else:
        with app.wsgi.bare_lifespan():
            tester = TestClient(app.wsgi)
            assert [tester.get("/").json() for _ in range(2)] == [{"db": "opened", "own": 1}] * 2
    assert log == ["enter", "start", "shut", "leave"]


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_start_that_fails_ends_what_it_has_started(kind: str) -> None:
    log: list[str] = []
    app = Bare(lifespan=managed(kind, log))

    def fails() -> None:
        raise RuntimeError("no database")

    app.on_startup(fails)
    app.on_shutdown(lambda: log.append("shut"))
    with pytest.raises((LifespanFailed, RuntimeError), match="no database"), TestClient(app):
        pass
    assert log == ["enter", "leave"]
    with pytest.raises(RuntimeError, match="no database"), app.wsgi.bare_lifespan():
        pass


def test_what_a_lifespan_may_yield() -> None:
    @contextmanager
    def lifespan(app: Bare) -> Iterator[Any]:
        yield "a database"

    app = Bare(lifespan=lifespan)
    with pytest.raises(TypeError, match=r"yields a mapping .* not str"), app.wsgi.bare_lifespan():
        pass


def test_wsgi_starts_with_the_first_request_and_once() -> None:
    app = Bare()
    log: list[str] = []
    app.on_startup(lambda: log.append("start"))
    app.get("/")(lambda: "x")
    tester = TestClient(app.wsgi)
    assert log == []
    tester.get("/")
    app.add_middleware(RequestId())
    TestClient(app.wsgi).get("/")
    assert log == ["start"]


def test_wsgi_starts_a_mounted_application_once() -> None:
    inner, outer = Bare(), Bare()
    log: list[str] = []
    inner.on_startup(lambda: log.append("start"))
    inner.on_shutdown(lambda: log.append("end"))
    inner.get("/x")(lambda: "x")
    outer.mount("/in", inner)
    with outer.wsgi.bare_lifespan():
        assert TestClient(outer.wsgi).get("/in/x").text == "x"
        assert log == ["start"]
    assert log == ["start", "end"]


# ------------------------------------------------------------------ background


@both
def test_work_after_the_answer_is_waited_for(
    interface: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Bare()
    go = threading.Event()
    done: list[Any] = []

    def plain(name: str, *, more: str) -> None:
        assert go.wait(20)
        time.sleep(0.01)
        done.append((name, more, threading.current_thread() is threading.main_thread()))

    async def waiting() -> None:
        while not go.is_set():
            await asyncio.sleep(0.001)
        done.append("async")

    def fails() -> None:
        raise OverflowError("lost")

    @app.post("/{how}")
    def page(request: Request, how: str) -> str:
        request.background(plain, "a", more="b")
        request.background(waiting)
        request.background(fails)
        if how == "fail":
            raise NotFound
        return "answered"

    def play(tester: Any) -> None:
        assert tester.post("/fail").status == 404
        assert tester.post("/work").text == "answered"
        assert done == [], "the answer is not waited for"
        go.set()

    if interface == "asgi":
        with TestClient(app) as tester:
            play(tester)
    else:
        with app.wsgi.bare_lifespan():
            play(TestClient(app.wsgi))
    assert sorted(map(str, done)) == ["('a', 'b', False)", "async"]
    assert "The background job" in caplog.text
    assert "OverflowError: lost" in caplog.text


# ------------------------------------------------------------------ debug


SECRET = "hunter" * 1 + "-234"  # a source line of the page does not spell it


@pytest.mark.parametrize("kind", ["plain", "async"])
@both
def test_the_debug_page(interface: str, kind: str) -> None:
    app = failing(Bare(debug=True))

    @app.get("/values/{n}")
    def values(n: str) -> None:
        password, config, shown = SECRET, {"api_key": SECRET}, "<b>visible</b>"
        raise ValueError(f"{n} {len(password)} {len(config)} {len(shown)}")

    here, local = client(app, interface, client=("127.0.0.1", 5)), {"host": "localhost:8000"}
    page = here.get("/values/7", headers=local | {"accept": "text/html", "cookie": f"a={SECRET}"})
    assert page.status == 500
    assert page.headers["content-type"].startswith("text/html")
    assert "ValueError: 7 10 1 14" in page.text
    assert "raise ValueError" in page.text
    assert "test_app.py" in page.text
    assert "&lt;b&gt;visible" in page.text
    assert "<b>visible" not in page.text
    assert SECRET not in page.text
    told = here.get(f"/{kind}/odd", headers=local | {"accept": "application/json"}).json()
    assert (told["type"], told["message"]) == ("tests.bare.test_app.Odd", "x")
    assert told["file"].endswith("test_app.py")
    for address, fields in (
        ("10.0.0.1", {}),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.1"}),
        ("127.0.0.1", {"forwarded": "for=10.0.0.1"}),
        ("127.0.0.1", {"host": "rebound.example"}),
        ("127.0.0.1", {"host": "localhost.example:80"}),
    ):
        away = client(app, interface, client=(address, 5))
        assert away.get(f"/{kind}/odd", headers=local | fields).json() == {
            "error": "Internal Server Error"
        }


# ------------------------------------------------------------------ the chapter

EXAMPLE = """
from LIBRARY import Bare, JSONResponse, HTMLResponse, WebSocket

app = Bare()
tasks = {}
told = []


@app.on_startup
async def startup():
    told.append("up")


@app.on_shutdown
async def shutdown():
    told.append("down")


@app.get("/")
async def index(request):
    return HTMLResponse("<h1>Bare</h1>")


@app.get("/tasks")
async def list_tasks(request):
    done = request.query("done")
    found = list(tasks.values())
    if done:
        found = [task for task in found if str(task["done"]).lower() == done]
    return JSONResponse(found)


@app.post("/tasks")
async def create_task(request):
    data = await request.json()
    if "title" not in data:
        return JSONResponse({"error": "title is required"}, 400)
    task = {"id": str(len(tasks) + 1), "title": data["title"], "done": False}
    tasks[task["id"]] = task
    return JSONResponse(task, 201)


@app.get("/tasks/{task_id}")
async def get_task(request):
    task = tasks.get(request.path_params["task_id"])
    if not task:
        return JSONResponse({"error": "not found"}, 404)
    return JSONResponse(task)


@app.websocket("/ws")
async def chat(ws: WebSocket):
    async with ws:
        await ws.send_text("Welcome!")
        while True:
            message = await ws.receive_text()
            if message is None:
                break
            await ws.send_json({"type": "echo", "upper": message.upper()})


class LoggingMiddleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = [None]

        async def capturing_send(event):
            if event["type"] == "http.response.start":
                status[0] = event["status"]
            await send(event)

        await self.app(scope, receive, capturing_send)
        told.append((scope["method"], scope["path"], status[0]))


app.add_middleware(LoggingMiddleware)
"""


@pytest.mark.parametrize("library", ["bare_serve.bare", "tests.bare.book.roll"])
def test_the_chapters_application_with_another_import(library: str) -> None:
    names: dict[str, Any] = {"__name__": "example_app"}
    exec(EXAMPLE.replace("LIBRARY", library), names)
    chapter = SimpleNamespace(**names)
    with TestClient(chapter.app) as tester:
        assert tester.get("/").text == "<h1>Bare</h1>"
        assert tester.post("/tasks", json={"title": "a"}).status == 201
        assert tester.post("/tasks", json={}).status == 400
        assert tester.get("/tasks/1").json()["title"] == "a"
        assert tester.get("/tasks/2").status == 404
        assert len(tester.get("/tasks?done=false").json()) == 1
        assert tester.get("/tasks?done=true").json() == []
        with tester.websocket("/ws") as ws:
            assert ws.receive(timeout=20) == "Welcome!"
            ws.send("hi")
            assert json.loads(ws.receive(timeout=20))["upper"] == "HI"
    assert chapter.told[0] == "up"
    assert chapter.told[1] == ("GET", "/", 200)
    assert chapter.told[-1] == "down"


def test_the_two_versions_are_two() -> None:
    assert roll.Bare is not ours.Bare


def test_an_application_mounted_twice_has_one_life() -> None:
    app, below, other = Bare(), Bare(), Bare()
    log: list[str] = []
    below.on_startup(lambda: log.append("below"))
    other.on_startup(lambda: log.append("other"))
    app.mount("/a", below)
    app.mount("/b", below)
    with pytest.raises(ValueError, match="already"):
        app.mount("/a", other)  # so it is not mounted, and does not live
    with client(app) as tester:
        assert log == ["below"]
        assert [tester.get(path).status for path in ("/a", "/b/")] == [404, 404]


@both
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_error_handler_that_only_returns_a_coroutine(interface: str, kind: str) -> None:
    app = Bare()

    async def waiting(error: Exception) -> str:
        await asyncio.sleep(0)
        return f"sorry for {error}"

    app.error(LookupError)(lambda request, error: waiting(error))

    @app.get("/plain")
    def plain() -> None:
        raise LookupError("tea")

    @app.get("/async")
    async def page() -> None:
        plain()

    answer = client(app, interface).get(f"/{kind}")
    assert (answer.status, answer.text) == (500, "sorry for tea")
