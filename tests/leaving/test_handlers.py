"""A handler of signals that the application sets makes no worker deaf: both handlers run."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.workers import signal_handlers
from bare_serve.workers.signal_handlers import Handlers
from tests.support import RawClient, eventually, is_alive, serve

APP = """
import asyncio, os, signal, sys
WHERE, HOW = os.environ["WHERE"], os.environ["HOW"]
before = None

def stop(signum, frame):
    print("their own handler", flush=True)
    if HOW == "chained" and callable(before):
        before(signum, frame)
    if HOW == "exits":
        sys.exit(0)
    if HOW == "raises":
        raise RuntimeError("in a handler")

def callback():
    print("their own handler", flush=True)

def put(where):
    global before
    if where != WHERE:
        return
    if HOW == "loop":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, callback)
    elif HOW == "ignored":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif HOW == "default":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    else:
        before = signal.signal(signal.SIGTERM, stop)
    print("put", where, flush=True)

put("import")

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/put":
        put("request")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        put("lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/put":
        put("request")
    if scope["path"] == "/slow":
        print("slow", flush=True)
        await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""

NAMED = "The application handles SIGTERM by app.stop ("
WAYS = [
    ("wsgi", "import", "plain", NAMED),
    ("wsgi", "import", "exits", NAMED),
    ("wsgi", "request", "plain", NAMED),
    ("asgi", "import", "plain", NAMED),
    ("asgi", "import", "raises", NAMED),
    ("asgi", "lifespan", "plain", NAMED),
    ("asgi", "lifespan", "chained", NAMED),
    ("asgi", "lifespan", "exits", NAMED),
    ("asgi", "lifespan", "raises", NAMED),
    ("asgi", "lifespan", "loop", "The application handles SIGTERM by "),
    ("asgi", "lifespan", "ignored", "The application has set SIGTERM to SIG_IGN"),
    ("asgi", "lifespan", "default", "The application has set SIGTERM to SIG_DFL"),
    ("asgi", "request", "plain", NAMED),
    ("asgi", "request", "loop", "The application handles SIGTERM by "),
]


SERVED = {"one": ("--workers", "1"), "alone": ("--workers", "0"), "preload": ("--preload",)}


def _rows() -> Iterator[Any]:
    """In `make test` each way once, and what depends on the loop or on who serves."""
    for served, loop, way in itertools.product(SERVED, ("asyncio", "uvloop"), WAYS):
        interface, where, how, _ = way
        if interface == "wsgi" and loop == "uvloop":
            continue
        if served == "preload" and where != "import":
            continue
        brief = (served, loop) == ("one", "asyncio") or how == "loop"
        brief = (
            brief or (served, how) == ("alone", "chained") or (served, how) == ("preload", "plain")
        )
        yield pytest.param(served, loop, *way, marks=[] if brief else [pytest.mark.long])


@pytest.mark.parametrize(("served", "loop", "interface", "where", "how", "said"), list(_rows()))
def test_both_run(
    tmp_path: Path, served: str, loop: str, interface: str, where: str, how: str, said: str
) -> None:
    args = SERVED[served]
    if where == "request" and interface == "wsgi":
        args = (*args, "--threads", "1")  # in other threads Python allows no handlers
    if interface == "asgi":
        args = (*args, "--loop", loop)
    env = {"WHERE": where, "HOW": how}
    with serve(f"app:{interface}", *args, cwd=tmp_path, source=APP, env=env) as server:
        if where == "request":
            with RawClient(server.address) as client:
                assert client.request("GET", "/put").body == b"ok"
        server.wait_for_output(said)
        assert server.stop(timeout=15) == 0
        output = server.output
        if how not in ("ignored", "default"):
            assert output.count("their own handler") == 1
        assert "did not finish in time" not in output
        assert ("lifespan shutdown" in output) is (interface == "asgi")
        assert output.count(said) == 1
        assert output.count("The application") == 1
        if how == "raises":
            assert "A signal handler of the application failed." in output
        if how == "plain":
            assert str(tmp_path / "app.py") in output


@pytest.mark.parametrize("end", ["term", "hup", "recycling"])
def test_wish_to_stop_is_heard_where_the_signal_is_not(tmp_path: Path, end: str) -> None:
    """The handler is replaced in the moment before the signal: the master's pipe tells."""
    source = APP.replace('print("slow", flush=True)', "signal.signal(signal.SIGTERM, stop)")
    args = ("--max-requests", "1", "--max-requests-jitter", "0") if end == "recycling" else ()
    env = {"WHERE": "", "HOW": "plain"}
    with serve("app:asgi", *args, cwd=tmp_path, source=source, env=env) as server:
        [worker] = server.workers
        with RawClient(server.address) as client:
            client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            if end == "term":
                assert server.stop() == 0
            elif end == "hup":
                server.send_signal(signal.SIGHUP)
            assert client.response().body == b"ok"
        eventually(lambda: not is_alive(worker))
        assert "did not finish in time" not in server.output
        server.wait_for_output("lifespan shutdown")


@pytest.mark.parametrize("how", ["plain", "loop", "raises"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_handler_of_a_startup_is_found_before_the_first_request(
    tmp_path: Path, loop: str, how: str
) -> None:
    """Without a master only the signal tells, and it may come as soon as the worker is ready."""
    env = {"WHERE": "lifespan", "HOW": how}
    args = ("--workers", "0", "--loop", loop)
    with serve("app:asgi", *args, cwd=tmp_path, source=APP, env=env) as server:
        assert server.stop() == 0
        assert "lifespan shutdown" in server.output
        assert server.output.count("their own handler") == 1


BLOCKED = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGQUIT, signal.SIGIO})
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_wish_to_stop_needs_no_signal_at_all(tmp_path: Path, signum: int) -> None:
    with serve("app:app", "--threads", "1", cwd=tmp_path, source=BLOCKED) as server:
        assert server.stop(signum) == 0
        assert "did not finish in time" not in server.output


# ---------------------------------------------------------------- in this process


@pytest.fixture
def ours() -> Iterator[tuple[Handlers, list[str]]]:
    before = signal.getsignal(signal.SIGTERM)
    done: list[str] = []
    made = Handlers()
    made.install({signal.SIGTERM: lambda *_: done.append("ours")}, {})
    yield made, done
    signal.signal(signal.SIGTERM, before)


def _term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_replaced_handler_comes_back_and_both_run(ours: tuple[Handlers, list[str]]) -> None:
    made, done = ours
    signal.signal(signal.SIGTERM, lambda *_: done.append("theirs"))
    _term()
    made.keep()
    made.keep()
    _term()
    assert done == ["theirs", "ours", "theirs"]


def test_theirs_may_call_ours_which_is_no_second_signal(ours: tuple[Handlers, list[str]]) -> None:
    made, done = ours
    for name in ("first", "second"):
        before = signal.getsignal(signal.SIGTERM)

        def theirs(signum: int, frame: object, name: str = name, before: object = before) -> None:
            done.append(name)
            assert callable(before)
            before(signum, frame)

        signal.signal(signal.SIGTERM, theirs)
        made.keep()
    _term()
    assert done == ["ours", "second", "first"]


def test_handler_that_was_there_only_for_a_while_runs_no_more(
    ours: tuple[Handlers, list[str]],
) -> None:
    made, done = ours
    before = signal.signal(signal.SIGTERM, lambda *_: done.append("theirs"))
    made.keep()
    signal.signal(signal.SIGTERM, before)
    made.keep()
    _term()
    assert done == ["ours"]


def test_second_signal_while_theirs_runs_is_a_second_one(ours: tuple[Handlers, list[str]]) -> None:
    made, done = ours

    def theirs(*_: object) -> None:
        done.append("theirs")
        if done.count("theirs") == 1:
            _term()

    signal.signal(signal.SIGTERM, theirs)
    made.keep()
    _term()
    assert done == ["ours", "theirs", "ours", "theirs"]


def test_what_was_before_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made = Handlers()
    made.install({signal.SIGTERM: lambda *_: None}, {})
    signal.signal(signal.SIGTERM, lambda *_: None)
    made.give_back()
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_new_ones_are_the_applications() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = signal_handlers.present()
    try:
        assert signal_handlers.new_since(seen) == {}
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal_handlers.new_since(seen) == {}
        signal.signal(signal.SIGTERM, mine := lambda *_: None)
        assert signal_handlers.new_since(seen) == {signal.SIGTERM: mine}
    finally:
        signal.signal(signal.SIGTERM, before)
