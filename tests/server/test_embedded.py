"""A server inside a program: each way to run one, what it leaves behind, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bare_serve
from bare_serve import BareServeError, Server
from bare_serve.config.settings import BY_NAME
from bare_serve.errors import AppLoadError, UsageError
from bare_serve.server.embedded import REFUSED
from tests.support import RawClient, eventually

Messages = Callable[..., Awaitable[Any]]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
        return body


async def answer(send: Messages, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def asgi(scope: Any, receive: Messages, send: Messages) -> None:
    assert scope["type"] == "http"
    await answer(send, b"hello")


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


BOTH = pytest.mark.parametrize("app", [asgi, wsgi], ids=["asgi", "wsgi"])


def in_thread(server: Server) -> None:
    with server:
        assert get(server.urls[0]) == b"hello"


async def _in_block(server: Server) -> None:
    async with server:
        assert await asyncio.to_thread(get, server.urls[0]) == b"hello"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not getattr(asyncio.get_running_loop(), "_scheduled", None), "no timer is left"


async def _until_stopped(server: Server) -> None:
    await server.stopped()  # before a start there is nothing to wait for
    async with server:
        assert await asyncio.to_thread(get, server.urls[0]) == b"hello"
        asyncio.get_running_loop().call_soon(server.stop)
        await server.stopped()


async def _in_task(server: Server) -> None:
    task = asyncio.create_task(server.serve())
    while not server.urls:
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(get, server.urls[0]) == b"hello"
    server.stop()
    await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


def in_block(server: Server) -> None:
    asyncio.run(_in_block(server))


def until_stopped(server: Server) -> None:
    asyncio.run(_until_stopped(server))


def in_task(server: Server) -> None:
    asyncio.run(_in_task(server))


WAYS = pytest.mark.parametrize("way", [in_thread, in_block, in_task, until_stopped])


@pytest.fixture(autouse=True)
def never_frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the program has made is the program's: its collector goes on looking at all of it."""
    frozen: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(None))
    yield
    assert not frozen


def state_of_the_process() -> dict[str, Any]:
    gc.collect()  # what tests before have left open
    names = ("", "bare_serve", "bare_serve.worker", "bare_serve.access")
    loggers = [logging.getLogger(name) for name in names]
    umask = os.umask(0)
    os.umask(umask)
    return {
        "signals": [signal.getsignal(signum) for signum in signal.valid_signals()],
        "wakeup": signal.set_wakeup_fd(-1),
        "switch": sys.getswitchinterval(),
        "thresholds": gc.get_threshold(),
        "umask": umask,
        "directory": Path.cwd(),
        "environment": dict(os.environ),
        "path": sys.path[:],
        "logging": [(each.level, each.propagate, each.handlers[:]) for each in loggers],
        "threads": {thread.ident for thread in threading.enumerate()},
        "descriptors": len(os.listdir("/proc/self/fd")),
        "hook": (sys.excepthook, threading.excepthook),
    }


@BOTH
@WAYS
def test_it_serves_and_leaves_the_process_as_it_was(
    way: Callable[[Server], None], app: Any
) -> None:
    way(Server(app, port=0))  # what is imported the first time stays
    before = state_of_the_process()
    server = Server(app, port=0)
    assert server.urls == server.addresses == []
    way(server)
    assert server.urls == server.addresses == []
    way(server)  # it can be started again
    assert state_of_the_process() == before


@BOTH
def test_nothing_of_the_process_changes_while_it_serves(app: Any) -> None:
    before = state_of_the_process()
    with Server(app, port=0):
        during = state_of_the_process()
    for name in ("threads", "descriptors"):
        del before[name], during[name]
    assert during == before


@BOTH
def test_several_in_one_process(app: Any, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Server(app, port=0) as one, Server(asgi, bind=("127.0.0.1:0", f"unix:{path}")) as two:
        (host, port), unix = two.addresses
        assert (host, unix) == ("127.0.0.1", str(path))
        assert two.urls == [f"http://127.0.0.1:{port}", f"unix:{path}"]
        assert get(one.urls[0]) == get(two.urls[0]) == b"hello"
        with RawClient(str(path)) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().body == b"hello"
    assert not path.exists()


def test_a_server_runs_once_at_a_time() -> None:
    server = Server(wsgi, port=0)
    with server, pytest.raises(BareServeError, match="runs already"), server:
        pass


class Gate:
    """An application of both kinds, whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.cancelled = False

    async def asgi(self, scope: Any, receive: Messages, send: Messages) -> None:
        assert scope["type"] == "http"
        self.entered.set()
        try:
            while not self.let_go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await answer(send, b"hello")

    def wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        self.entered.set()
        self.let_go.wait(30)
        return wsgi(environ, start_response)


@contextlib.contextmanager
def requested(server: Server, gate: Gate) -> Iterator[RawClient]:
    (address,) = server.addresses
    with RawClient(address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert gate.entered.wait(20)
        yield client


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_request_in_progress_is_finished(kind: str) -> None:
    gate = Gate()
    server = Server(getattr(gate, kind), port=0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        client = stack.enter_context(requested(server, gate))
        server.stop()
        assert not server.wait(0.1), "it waits for the request"
        gate.let_go.set()
        assert client.response().body == b"hello"
        assert server.wait(20)


def test_a_request_beyond_the_grace_is_cancelled() -> None:
    gate = Gate()
    server = Server(gate.asgi, port=0)
    with server, requested(server, gate) as client:
        server.stop(grace=0.2)
        assert server.wait(20)
        assert client.read_to_eof().startswith(b"HTTP/1.1 503 ")
    assert gate.cancelled


def test_no_grace_cancels_at_once_also_during_a_stop() -> None:
    gate = Gate()
    server = Server(gate.asgi, port=0)
    with server, requested(server, gate):
        server.stop()
        assert not server.wait(0.1)
        server.stop(grace=0)
        assert server.wait(20)
    assert gate.cancelled


def test_a_call_that_does_not_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server = Server(gate.wsgi, port=0, timeout_graceful_shutdown=0.1)
    try:
        with server, requested(server, gate):
            pass
        assert "Given up at shutdown" in caplog.text
    finally:
        gate.let_go.set()
    eventually(lambda: not any("bare-serve" in each.name for each in threading.enumerate()))


@BOTH
@pytest.mark.parametrize("moment", ["serving", "at once"])
def test_cancelled_it_stops_and_is_cancelled(app: Any, moment: str) -> None:
    async def main() -> None:
        server = Server(app, port=0)
        task = asyncio.create_task(server.serve())
        while moment == "serving" and not server.urls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@BOTH
def test_a_loop_that_ends_without_a_stop(app: Any) -> None:
    async def main() -> str:
        server = Server(app, port=0)
        main.task = asyncio.create_task(server.serve())  # type: ignore[attr-defined]
        while not server.urls:
            await asyncio.sleep(0.01)
        return server.urls[0]

    url = asyncio.run(main())  # cancels all tasks
    with pytest.raises(OSError, match="refused"):
        get(url)


class Lifespan:
    """An application that notes what it is told, and the thread that it is told in."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, scope: Any, receive: Messages, send: Messages) -> None:
        if scope["type"] == "http":
            await answer(send, scope["state"]["word"])
            return
        scope["state"]["word"] = b"hello"
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            self.told.append(event)
            await send({"type": f"lifespan.{event}.complete"})


@WAYS
def test_lifespan(way: Callable[[Server], None]) -> None:
    app = Lifespan()
    server = Server(app, port=0)
    way(server)
    way(server)
    assert app.told == ["startup", "shutdown"] * 2


async def fails(scope: Any, receive: Messages, send: Messages) -> None:
    await receive()
    raise LookupError("no database")


async def leaves(scope: Any, receive: Messages, send: Messages) -> None:
    await receive()
    sys.exit(3)


async def never(scope: Any, receive: Messages, send: Messages) -> None:
    await receive()
    await asyncio.Event().wait()


def start(server: Server, way: Callable[[Server], None]) -> None:
    """As that way does, for a server that is never there."""
    if way is in_task:  # which would wait for its addresses
        asyncio.run(server.serve())
    else:
        way(server)


BAD_STARTS = {
    "fails": (fails, {}, AppLoadError, "raised LookupError in its startup, see its traceback"),
    "exits": (leaves, {}, AppLoadError, r"called sys.exit\(3\) in its lifespan startup"),
    "never ready": (never, {"timeout_boot": 0.3}, AppLoadError, r"not ready within 0.3 s"),
    "no module": ("no_such_module:app", {}, AppLoadError, "no_such_module"),
    "no host": (wsgi, {"host": "no.such.host.invalid"}, UsageError, "is unknown on this machine"),
}


@WAYS
@pytest.mark.parametrize("case", BAD_STARTS)
def test_a_start_that_fails_raises_and_leaves_nothing(
    way: Callable[[Server], None], case: str
) -> None:
    target, settings, kind, message = BAD_STARTS[case]
    before = {thread.ident for thread in threading.enumerate()}
    server = Server(target, **{"port": 0, **settings})  # type: ignore[arg-type]
    with pytest.raises(kind, match=message) as caught:
        start(server, way)
    if case == "fails":
        assert "no database" in "".join(caught.value.__notes__)
    assert {thread.ident for thread in threading.enumerate()} == before


@WAYS
def test_a_port_in_use(way: Callable[[Server], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Server(wsgi, port=other.getsockname()[1])
        with pytest.raises(BareServeError, match="it is in use by"):
            start(server, way)


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_embedded_server_cannot_have_is_refused(name: str) -> None:
    assert name in BY_NAME
    with pytest.raises(UsageError, match=rf"^Server\({name}=...\): .*{REFUSED[name][:20]}"):
        Server(wsgi, **{name: 1})


WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a name": ((wsgi,), {"prot": 1}, "no option prot; did you mean port"),
    "a value": ((wsgi,), {"port": "x"}, r"Server\(port=...\)"),
    "no application": ((), {}, "needs an application"),
    "two applications": ((wsgi,), {"app": "a:b"}, "two applications"),
    "no callable": ((3,), {}, "not 3"),
    "tls": ((wsgi,), {"bind": "tls:127.0.0.1:0"}, "it needs TLS; give --ssl-certfile"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_refused_at_once(case: str) -> None:
    given, settings, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        Server(*given, **settings)


def test_no_file_and_no_variable_has_a_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare-serve.toml").write_text("workers = 3\nnonsense = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARE_SERVE_PORT", "1")
    monkeypatch.setenv("PORT", "1")
    with Server(wsgi, port=0, workers=0) as server:
        assert get(server.urls[0]) == b"hello"


def test_a_target_is_imported_by_the_path_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "embedded_by_name.py").write_text("from tests.server.test_embedded import wsgi\n")
    before = sys.path[:]
    with pytest.raises(AppLoadError, match="embedded_by_name"), Server("embedded_by_name:wsgi"):
        pass
    assert sys.path == before
    monkeypatch.setattr(sys, "path", before[:])
    with Server("embedded_by_name:wsgi", port=0, app_dir=str(tmp_path)) as server:
        assert get(server.urls[0]) == b"hello"
    assert sys.path[0] == str(tmp_path), "app_dir was asked for"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@BOTH
def test_signals_stop_it_if_that_is_asked_for(app: Any, signum: int) -> None:
    before = signal.getsignal(signum)

    async def main() -> None:
        server = Server(app, port=0, signals=True)
        task = asyncio.create_task(server.serve())
        while not server.urls:
            await asyncio.sleep(0.01)
        assert signal.getsignal(signum) is not before
        os.kill(os.getpid(), signum)
        await task

    asyncio.run(main())
    assert signal.getsignal(signum) is before


def test_signals_need_the_main_thread() -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            with Server(wsgi, port=0, signals=True):
                pass
        except UsageError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join(20)
    assert "only the main thread" in str(errors[0])


@BOTH
def test_answers_are_logged_where_the_program_wants_them(
    app: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with Server(app, port=0) as server:
        get(server.urls[0])
    assert "bare_serve.access" not in {record.name for record in caplog.records}
    caplog.set_level(logging.INFO, "bare_serve")
    with Server(app, port=0) as server:
        get(server.urls[0])
    (line,) = [each.getMessage() for each in caplog.records if each.name == "bare_serve.access"]
    assert line.startswith("127.0.0.1 GET / HTTP/1.1 200 5 ")
    assert capfd.readouterr() == ("", "")


@BOTH
def test_an_access_log_that_is_asked_for(app: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with Server(app, port=0, access_log=str(path)) as server:
        get(server.urls[0])
    assert "GET / HTTP/1.1 200 5" in path.read_text()


def test_run_in_a_running_loop_says_what_to_use() -> None:
    async def main() -> None:
        bare_serve.run(asgi, port=0)

    with pytest.raises(UsageError, match=r"use `await bare_serve.Server\(...\).serve\(\)`"):
        asyncio.run(main())


def test_a_loop_that_the_application_holds_up_does_not_hang_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bare_serve.server.embedded.MARGIN", 0.1)
    gate = Gate()

    async def holds(scope: Any, receive: Messages, send: Messages) -> None:
        gate.entered.set()
        gate.let_go.wait(30)

    server = Server(holds, port=0, lifespan="off", timeout_graceful_shutdown=0.1, warn_blocked=0)
    try:
        with (
            pytest.raises(BareServeError, match="the application holds its thread"),
            server,
            requested(server, gate),
        ):
            pass
    finally:
        gate.let_go.set()
    eventually(lambda: not any("bare-serve" in each.name for each in threading.enumerate()))


@pytest.mark.parametrize("way", ["thread", "block"])
def test_a_failure_beside_an_error_of_the_program_is_logged(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(self: object, now: float) -> None:
        raise LookupError("a fault of the server")

    monkeypatch.setattr("bare_serve.workers.wsgi.worker.WsgiWorker._tick", breaks)
    server = Server(wsgi, port=0)

    def fails() -> None:
        with server:
            server.wait(20)
            assert server.urls == []
            raise KeyError("of the program")

    async def fails_in_block() -> None:
        async with server:
            await server.stopped()
            assert server.urls == []
            raise KeyError("of the program")

    with pytest.raises(KeyError):
        fails() if way == "thread" else asyncio.run(fails_in_block())
    assert "a fault of the server" in caplog.text
    with pytest.raises(LookupError), server:
        server.wait(20)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_application_that_wants_the_end_of_the_process_ends_a_request(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Messages, send: Messages) -> None:
        if scope["path"] == "/":
            raise error
        await answer(send, b"hello")

    async def main() -> None:
        async with Server(app, port=0, lifespan="off") as server:
            for path, status in (("/", 500), ("/next", 200)):
                with await asyncio.to_thread(RawClient, server.addresses[0]) as client:
                    got = await asyncio.to_thread(client.request, target=path)
                    assert got.status == status

    asyncio.run(main())
    assert error.__name__ in caplog.text or "sys.exit" in caplog.text


def test_limits_leave_no_timer() -> None:
    in_block(Server(asgi, port=0, timeout_request=5, limit_concurrency=5, limit_connections=5))


def test_to_import_the_package_imports_no_server() -> None:
    code = (
        "import sys, bare_serve; bare_serve.run\n"
        "sys.exit(','.join(n for n in sys.modules if n.startswith('bare_serve.') "
        "and n != 'bare_serve.version'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert {"Server", "BareServeError", "run"} <= {*dir(bare_serve)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(bare_serve, "nothing")  # noqa: B009
