"""The laws of a call: one thread, teardown before the answer, a failed commit is a failure.

Each test runs with plain and with async handlers, by both interfaces.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import pytest

from bare_serve.bare import Bare, ClientLeft, Form, NotFound, StreamResponse, Use, asgi
from bare_serve.middleware import Exchange
from tests.bare.versions import both, client
from tests.support.waiting import eventually

kinds = pytest.mark.parametrize("kind", ["plain", "async"])
place: ContextVar[str] = ContextVar("place", default="nowhere")


def add(app: Bare, kind: str, path: str, handler: Any) -> None:
    """Add a plain function as it is, or as a coroutine function."""
    if kind == "plain":
        app.get(path)(handler)
        return
    import functools

    @functools.wraps(handler)
    async def waiting(**given: Any) -> Any:
        return handler(**given)

    app.get(path)(waiting)


@both
@kinds
def test_one_thread_for_providers_handler_and_teardown(interface: str, kind: str) -> None:
    app = Bare()
    seen: list[int] = []

    def provider() -> Iterator[None]:
        seen.append(threading.get_ident())
        yield
        seen.append(threading.get_ident())

    def page(x: Annotated[None, Use(provider)]) -> None:
        seen.append(threading.get_ident())

    def stream(x: Annotated[None, Use(provider)]) -> Any:
        def pieces() -> Iterator[str]:
            seen.append(threading.get_ident())
            yield "a"
            seen.append(threading.get_ident())

        return StreamResponse(pieces())

    add(app, kind, "/", page)
    add(app, kind, "/stream", stream)
    with client(app, interface) as tester:
        tester.get("/")
        assert len(seen) == 3
        assert len(set(seen)) == 1
        seen.clear()
        assert tester.get("/stream").text == "a"
        assert len(seen) == 4
        assert len(set(seen)) == 1


@both
@kinds
def test_sqlite_works_as_it_is(interface: str, kind: str, tmp_path: Path) -> None:
    """A connection of sqlite3 refuses other threads than the one that has made it."""
    app = Bare()

    def connection() -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(tmp_path / "x.db")
        try:
            yield db
            db.commit()
        finally:
            db.close()

    def page(db: Annotated[sqlite3.Connection, Use(connection)]) -> Any:
        db.execute("create table if not exists t (x)")
        db.execute("insert into t values (1)")
        return db.execute("select count(*) from t").fetchone()[0]

    add(app, kind, "/", page)
    with client(app, interface) as tester:
        assert [tester.get("/").json() for _ in range(3)] == [1, 2, 3]


@both
@kinds
def test_a_failed_commit_is_a_500(interface: str, kind: str) -> None:
    app = Bare()
    log: list[str] = []

    def commit() -> Iterator[None]:
        yield
        raise RuntimeError("the disk is full")

    def outer() -> Iterator[None]:
        try:
            yield
            log.append("committed")
        except RuntimeError:
            log.append("rolled back")
            raise

    def page(a: Annotated[None, Use(outer)], b: Annotated[None, Use(commit)]) -> str:
        return "done"

    add(app, kind, "/", page)
    answer = client(app, interface).get("/")
    assert (answer.status, answer.json()) == (500, {"error": "Internal Server Error"})
    assert log == ["rolled back"]


@both
@kinds
def test_teardown_comes_before_the_answer(interface: str, kind: str) -> None:
    app = Bare()
    log: list[str] = []

    def provider() -> Iterator[None]:
        yield
        log.append("torn down")

    def page(x: Annotated[None, Use(provider)]) -> str:
        return "x"

    add(app, kind, "/", page)

    class Told(Exchange):
        def begin(self, request: Any) -> Any:
            return self

        def start(self, status: int, headers: Any) -> None:
            log.append(f"started {status}")

        def end(self, outcome: Any) -> None: ...

    app.add_middleware(Told)
    client(app, interface).get("/")
    assert log == ["torn down", "started 200"]


@both
@kinds
def test_exceptions_go_through_the_providers(interface: str, kind: str) -> None:
    app = Bare()
    log: list[str] = []

    def named(name: str) -> Any:
        def provider() -> Iterator[str]:
            try:
                yield name
                log.append(f"{name} ended")
            except BaseException as error:
                log.append(f"{name} saw {type(error).__name__}")
                if name == "swallows":
                    return
                if name == "changes":
                    raise NotFound("changed") from None
                raise

        return provider

    def page(
        a: Annotated[str, Use(named("outer"))],
        b: Annotated[str, Use(named("changes"))],
        c: Annotated[str, Use(named("swallows"))],
    ) -> str:
        raise KeyError("x")

    add(app, kind, "/", page)
    answer = client(app, interface).get("/")
    assert (answer.status, answer.json()) == (404, {"error": "changed"})
    assert log == ["swallows saw KeyError", "changes saw KeyError", "outer saw NotFound"]


@both
@pytest.mark.parametrize("count", [0, 2])
def test_a_provider_that_does_not_yield_once(
    interface: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = Bare()

    def provider() -> Iterator[int]:
        yield from range(count)

    @app.get("/")
    def page(x: Annotated[int, Use(provider)]) -> str:
        return "x"

    assert client(app, interface).get("/").status == 500
    assert ("did not yield" if count == 0 else "has yielded twice") in caplog.text


@both
@kinds
def test_a_stream_keeps_its_providers(interface: str, kind: str) -> None:
    app = Bare()
    log: list[str] = []

    def provider() -> Iterator[str]:
        try:
            yield "open"
            log.append("committed")
        except BaseException as error:
            log.append(type(error).__name__)
            raise

    def page(x: Annotated[str, Use(provider)], how: str) -> Any:
        def pieces() -> Iterator[str]:
            yield f"{x} {log}"
            if how == "fails":
                raise OverflowError
            while how == "endless":
                yield "x"

        return StreamResponse(pieces())

    add(app, kind, "/", page)
    with client(app, interface, raise_app_exceptions=False) as tester:
        assert tester.get("/?how=ends").text == "open []"
        assert log == ["committed"]
        log.clear()
        with pytest.raises(Exception, match=r".*"):
            tester.get("/?how=fails")
        assert log == ["OverflowError"]
        log.clear()
        with tester.stream("GET", "/?how=endless") as answer:
            assert next(answer.pieces()) == b"open []"
        for _ in range(200):  # a stream of a thread ends a moment later
            if log:
                break
            time.sleep(0.01)
    assert log, "the providers have their end"
    assert log != ["committed"]


@both
def test_async_providers(interface: str) -> None:
    app = Bare()
    log: list[str] = []

    async def connect() -> str:
        await asyncio.sleep(0)
        return "connected"

    async def session(c: Annotated[str, Use(connect)]) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        try:
            yield c
            log.append("ended")
        except ValueError:
            log.append("failed")
            raise

    @app.get("/{how}")
    async def page(how: str, s: Annotated[str, Use(session)]) -> str:
        if how == "fail":
            raise ValueError
        return s

    with client(app, interface) as tester:
        assert tester.get("/work").text == "connected"
        assert tester.get("/fail").status == 500
    assert log == ["ended", "failed"]


@both
@kinds
def test_context_variables_reach_the_call(interface: str, kind: str) -> None:
    app = Bare()

    def provider() -> Iterator[str]:
        token = place.set(f"{place.get()} > provider")
        yield place.get()
        place.reset(token)

    def page(x: Annotated[str, Use(provider)]) -> Any:
        return [x, place.get()]

    add(app, kind, "/", page)

    def around_wsgi(inner: Any) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            place.set("middleware")
            return inner(environ, start_response)

        return app

    def around_asgi(inner: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            place.set("middleware")
            await inner(scope, receive, send)

        return app

    app.add_middleware(around_asgi if interface == "asgi" else around_wsgi)
    told = "middleware > provider"
    assert client(app, interface).get("/").json() == [told, told]


def test_many_plain_calls_share_a_bounded_number_of_threads() -> None:
    app = Bare(threads=2)
    at_once, most, lock = 0, 0, threading.Lock()

    @app.get("/")
    def page() -> str:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.005)
        with lock:
            at_once -= 1
        return "x"

    async def play() -> list[Any]:
        async def receive() -> Any:
            return {"type": "http.request"}

        sent: list[Any] = []

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await asyncio.gather(*(app({**scope}, receive, send) for _ in range(20)))
        return sent

    assert len(asyncio.run(play())) == 40
    assert most == 2


def test_client_left_is_no_error_of_the_server() -> None:
    assert not issubclass(ClientLeft, OSError)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_form_is_closed_if_the_answer_cannot_be_sent(kind: str) -> None:
    files: list[Any] = []
    app = Bare()

    @app.post("/plain")
    def plain(form: Form) -> str:
        files.append(form["f"])
        return "x"

    @app.post("/async")
    async def waiting(form: Form) -> str:
        return plain(form)

    line = b'content-disposition: form-data; name="f"; filename="a"'
    body = b"--x\r\n" + line + b"\r\n\r\nabc\r\n--x--\r\n"
    fields = [(b"content-type", b"multipart/form-data; boundary=x")]

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(event: Any) -> None:
        raise ConnectionError("the client has left")

    scope = {"type": "http", "method": "POST", "path": f"/{kind}", "headers": fields}
    with pytest.raises(ConnectionError):
        asyncio.run(app(scope, receive, send))
    assert files[0].file.closed


@pytest.mark.parametrize("stopped", [False, True])
def test_a_plain_stream_ends_though_the_server_takes_all(
    stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says that the client has left, or stops; what it is sent, it drops in silence."""
    monkeypatch.setattr(asgi, "_READS_ON", 0 if not stopped else 60)
    app = Bare()
    log: list[str] = []

    def provider() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            log.append(type(error).__name__)
            raise

    @app.get("/")
    def pieces(x: Annotated[None, Use(provider)]) -> Iterator[str]:
        try:
            while True:
                yield "x"
        finally:
            log.append("closed")

    async def play() -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            await (never if stopped else begun).wait()
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            if event.get("body"):
                begun.set()

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        task = asyncio.ensure_future(app(scope, receive, send))
        await begun.wait()
        if stopped:
            task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done()
        assert task.cancelled() == stopped

    asyncio.run(play())
    assert log == ["closed", "ClientLeft"]


@both
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_piece_that_is_none_does_not_end_a_stream(interface: str, kind: str) -> None:
    """What is sent of it must not pass for the whole."""
    app = Bare()

    @app.get("/plain")
    def plain() -> Iterator[Any]:
        yield from ("a", None, "b")

    @app.get("/async")
    async def waiting() -> AsyncIterator[Any]:
        for piece in plain():
            yield piece

    with pytest.raises(TypeError, match="a piece of a stream is str or bytes, not None"):
        client(app, interface).get(f"/{kind}")


@both
def test_an_async_stream_is_one_task(interface: str) -> None:
    """So that its timeouts end it, and its context variables stay."""
    app = Bare()

    @app.get("/")
    async def page() -> AsyncIterator[str]:
        place.set("here")
        try:
            async with asyncio.timeout(None) as limit:
                yield place.get()
                limit.reschedule(asyncio.get_running_loop().time())
                await asyncio.Event().wait()
        except TimeoutError:
            yield f", still {place.get()}"

    assert client(app, interface).get("/").text == "here, still here"


@both
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_iterator_of_an_iterable_is_closed(interface: str, method: str) -> None:
    app = Bare()
    closed: list[str] = []

    class Pieces:
        async def __aiter__(self) -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                closed.append("iterator")

        async def aclose(self) -> None:
            closed.append("iterable")

    kept = Pieces()

    @app.get("/")
    async def page() -> StreamResponse:
        return StreamResponse(kept)

    with client(app, interface).stream(method, "/") as answer:
        next(iter(answer.pieces()), None)
    eventually(lambda: "iterable" in closed)
    assert closed == (["iterator", "iterable"] if method == "GET" else ["iterable"])
