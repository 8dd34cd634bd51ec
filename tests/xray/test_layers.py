"""Layers: which application wraps which, and whose the time is, with the real frameworks.

Where times matter the clock is one that the applications set, so they are exact on a busy machine.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bare_serve.xray.layer_codes import IDLE_CALLS
from bare_serve.xray.layer_tree import DEEPEST, WIDEST
from bare_serve.xray.layer_watching import WatchingLayers
from bare_serve.xray.layers import MARK, Layers, LayersError, Tree, install
from tests.xray import stacks
from tests.xray.stacks import ASGI, STACKS, call, call_asgi, driver, fastapi, flask, shape, timed

GOLDEN = Path(__file__).parent / "golden"
BY_MONITORING = sys.version_info >= (3, 12)


class Clock:
    """Nanoseconds that pass where an application says so."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_ms(self, milliseconds: float) -> None:
        self.now += int(milliseconds * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layers() -> Iterator[Layers]:
    made = install(every=1)
    yield made
    made.uninstall()


@pytest.fixture
def timed_layers(clock: Clock) -> Iterator[Layers]:
    made = install(every=1, clock=clock)
    yield made
    made.uninstall()


def golden(name: str) -> list[str]:
    """Return the layers of a stack that no version of a framework is without."""
    lines = (GOLDEN / f"{name.replace(' ', '_')}.txt").read_text("utf-8").splitlines()
    # Before Python 3.12 other threads are not seen: Django calls this view in one.
    return lines[: -1 if name == "django asgi" and not BY_MONITORING else None]


def names(lines: list[str]) -> set[str]:
    return {line.split()[0] for line in lines}


def times(tree: Tree | None) -> list[tuple[str, float, float, float]]:
    assert tree is not None
    return [(each.name, each.total, each.own, each.waiting) for _, each in tree.walk()]


def run(layers: Layers, app: Any, path: str = "/hello") -> Tree | None:
    return asyncio.run(call_asgi(layers, app, path))[0]


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_has_its_tree(layers: Layers, name: str) -> None:
    app = STACKS[name]()

    async def twice() -> list[Tree | None]:
        return [(await call_asgi(layers, app))[0] for _ in range(2)]

    trees = asyncio.run(twice()) if name in ASGI else [call(layers, app)[0] for _ in range(2)]
    expected = golden(name)
    for tree in trees:
        assert shape(tree, names(expected)) == expected


def test_fifty_at_once_have_fifty_equal_trees(layers: Layers) -> None:
    app = fastapi()

    async def many() -> list[Tree | None]:
        calls = [call_asgi(layers, app) for _ in range(50)]
        return [tree for tree, _ in await asyncio.gather(*calls)]

    shapes = [shape(tree) for tree in asyncio.run(many())]
    assert len(shapes) == 50
    assert shapes[0][-2].strip() == "fastapi.hello()  tests/xray/stacks.py"
    assert all(each == shapes[0] for each in shapes)


def test_threads_stay_apart(layers: Layers) -> None:
    app = flask()
    call(layers, app)
    barrier = threading.Barrier(4)

    def some() -> list[list[str]]:
        barrier.wait(30)
        return [shape(call(layers, app)[0]) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        shapes = [each for part in [pool.submit(some) for _ in range(4)] for each in part.result()]
    assert len(shapes) == 40
    assert all(each == shapes[0] for each in shapes)
    assert shapes[0][0] == "Flask  flask"


def test_the_time_is_whose_layer_it_is(timed_layers: Layers, clock: Clock) -> None:
    def inner(environ: Any, start_response: Any) -> Any:
        clock.pass_ms(5)
        start_response("200 OK", [])
        return [b""]

    def outer(environ: Any, start_response: Any) -> Any:
        clock.pass_ms(1)
        result = inner(environ, start_response)
        clock.pass_ms(2)
        return result

    assert [each[1:] for each in times(call(timed_layers, outer)[0])] == [(8, 3, 0), (5, 5, 0)]


def test_a_generator_s_time_is_its_maker_s(timed_layers: Layers, clock: Clock) -> None:
    def pieces() -> Iterator[bytes]:
        clock.pass_ms(2)
        yield b"1"
        clock.pass_ms(3)
        yield b"2"

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        clock.pass_ms(1)
        return pieces()

    tree = call(timed_layers, app)[0]
    assert [each[1:] for each in times(tree)] == [(6, 1, 0), (5, 5, 0)]
    assert tree is not None
    assert tree.children[0].name.endswith("pieces()")


def test_a_view_s_stream_is_below_the_view(layers: Layers) -> None:
    lines = [line.strip() for line in shape(call(layers, flask(), "/stream")[0])]
    place = lines.index("flask.stream()  tests/xray/stacks.py")
    assert lines[place + 1] == "flask.stream.pieces()  tests/xray/stacks.py"


def test_what_awaits_is_waiting(timed_layers: Layers, clock: Clock) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        clock.pass_ms(1)
        asyncio.get_running_loop().call_soon(clock.pass_ms, 7)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        clock.pass_ms(2)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        clock.pass_ms(4)
        await inner(dict(scope), receive, send)

    tree = run(timed_layers, outer)
    assert [each[1:] for each in times(tree)] == [(14, 4, 0), (10, 10, 7)]


def test_tasks_of_a_view_sum_up(timed_layers: Layers, clock: Clock) -> None:
    async def first() -> None:
        clock.pass_ms(1)
        await asyncio.sleep(0)
        clock.pass_ms(2)

    async def second() -> None:
        clock.pass_ms(3)
        await asyncio.sleep(0)
        clock.pass_ms(4)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.pass_ms(5)
        await asyncio.gather(first(), second())

    tree = run(timed_layers, app)
    assert tree is not None
    assert [each[2] for each in times(tree)] == [5, 3, 7]
    assert tree.total == 15


def test_pieces_of_an_async_generator_are_its_own(timed_layers: Layers, clock: Clock) -> None:
    from starlette.responses import StreamingResponse

    async def pieces() -> AsyncIterator[bytes]:
        clock.pass_ms(1)
        yield b"1"
        await asyncio.sleep(0)
        clock.pass_ms(2)
        yield b"2"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(pieces())(scope, receive, send)

    tree = run(timed_layers, app)
    assert tree is not None
    found = [each for each in times(tree) if each[0].endswith("pieces()")]
    assert [each[1:3] for each in found] == [(3, 3)]
    assert tree.total == 3


def test_an_exception_ends_layers(timed_layers: Layers, clock: Clock) -> None:
    def inner(environ: Any, start_response: Any) -> Any:
        clock.pass_ms(1)
        raise ZeroDivisionError

    def outer(environ: Any, start_response: Any) -> Any:
        try:
            return inner(environ, start_response)
        except ZeroDivisionError:
            clock.pass_ms(2)
            raise

    environ = driver.environ()
    timed_layers.begin(environ)
    with pytest.raises(ZeroDivisionError):
        driver.call_wsgi(outer, environ)
    clock.pass_ms(100)  # of the server
    assert [each[1:3] for each in times(timed_layers.end(environ))] == [(3, 2), (1, 1)]


def test_a_cancelled_call_has_a_tree(timed_layers: Layers, clock: Clock) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        clock.pass_ms(1)
        await asyncio.Event().wait()

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        finally:
            clock.pass_ms(2)

    async def cancelled() -> Tree | None:
        scope = driver.http_scope()
        timed_layers.begin(scope)
        task = asyncio.create_task(driver.call_asgi(outer, scope))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return timed_layers.end(scope)

    tree = asyncio.run(cancelled())
    assert tree is not None
    assert tree.total == 3
    if BY_MONITORING:
        assert [each[2] for each in times(tree)] == [2, 1]


def test_a_decorated_view_is_below_its_decorator(layers: Layers) -> None:
    from flask import Flask

    def decorated(view: Any) -> Any:
        def wrapper(*args: Any) -> Any:
            return view(*args)

        return wrapper

    def view() -> str:
        return helper()

    def helper() -> str:
        return "hello"

    app = Flask("site")
    app.add_url_rule("/hello", "hello", decorated(view))
    lines = [each.name.rpartition("<locals>.")[2] for _, each in _walk(call(layers, app)[0])]
    ends = [name.rpartition(".")[2] for name in lines]
    assert ends[ends.index("wrapper()") + 1] == "view()"
    assert "helper()" not in ends


def _walk(tree: Tree | None) -> Iterator[tuple[int, Tree]]:
    assert tree is not None
    return tree.walk()


@pytest.mark.skipif(not BY_MONITORING, reason="other threads are seen from Python 3.12 on")
def test_a_view_in_a_thread_is_seen(layers: Layers) -> None:
    lines = [line.strip() for line in shape(run(layers, fastapi(), "/thread"))]
    assert "fastapi.thread()  tests/xray/stacks.py" in lines


def test_a_websocket_has_a_tree(layers: Layers) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    scope = driver.websocket_scope()
    layers.begin(scope)
    asyncio.run(driver.call_asgi(app, scope))
    assert len(shape(layers.end(scope))) == 1


def test_the_mark_is_gone_afterwards(layers: Layers) -> None:
    environ = driver.environ()
    keys = set(environ)
    layers.begin(environ)
    assert set(environ) == keys | {MARK}
    driver.call_wsgi(STACKS["bare"](), environ)
    assert layers.end(environ) is not None
    assert set(environ) == keys
    assert layers.end(environ) is None


def test_one_of_so_many_has_a_tree() -> None:
    layers = install(every=3)
    try:
        app = STACKS["bare"]()
        seen = [call(layers, app)[0] is not None for _ in range(7)]
    finally:
        layers.uninstall()
    assert seen == [True, False, False, True, False, False, True]


def test_a_second_has_no_more_trees_than_asked_for(clock: Clock) -> None:
    layers = install(every=1, per_second=2, clock=clock)
    try:
        app = STACKS["bare"]()
        seen = [call(layers, app)[0] is not None for _ in range(4)]
        clock.pass_ms(1000)
        seen += [call(layers, app)[0] is not None for _ in range(3)]
    finally:
        layers.uninstall()
    assert seen == [True, True, False, False, True, True, False]


@pytest.mark.parametrize("name", STACKS)
def test_a_tree_stays_whole_whatever_goes_by_without_one(layers: Layers, name: str) -> None:
    """Requests that have no turn call the same code, in other tasks and threads."""
    app = STACKS[name]()
    asks = run if name in ASGI else lambda *given: call(*given)[0]
    asks(layers, app)
    before = shape(asks(layers, app))

    async def go_by_asgi() -> None:
        for _ in range(IDLE_CALLS + 10):
            scope = driver.http_scope(path="/hello", raw_path=b"/hello")
            await driver.call_asgi(app, scope, stays=True)

    def go_by() -> None:
        if name in ASGI:
            asyncio.run(go_by_asgi())
        else:
            for _ in range(IDLE_CALLS + 10):
                driver.call_wsgi(app, driver.environ(PATH_INFO="/hello"))

    given: dict[str, Any] = driver.http_scope()
    layers.begin(given)
    thread = threading.Thread(target=go_by)
    thread.start()
    thread.join()
    layers.end(given)
    assert shape(asks(layers, app)) == before


@pytest.mark.skipif(not BY_MONITORING, reason="setprofile is called in sampled requests only")
@pytest.mark.parametrize("name", STACKS)
def test_between_requests_nothing_is_watched(
    layers: Layers, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    monkeypatch.setattr("bare_serve.xray.layer_monitoring._AWAKE", 0.0)
    assert isinstance(layers, WatchingLayers)

    def watched() -> int:
        tool = layers._tool  # type: ignore[attr-defined]
        codes = [each.code for each in layers._codes.values() if each.watched]
        return sum(bool(monitoring.get_local_events(tool, code)) for code in codes) + bool(
            monitoring.get_events(tool)
        )

    app = STACKS[name]()
    assert not watched()
    for _ in range(2):
        if name in ASGI:
            first, second = run(layers, app), run(layers, app)
        else:
            first, second = call(layers, app)[0], call(layers, app)[0]
        assert names(shape(first)) >= names(golden(name))
        assert shape(first) == shape(second)
        given: dict[str, Any] = driver.environ()
        layers.begin(given)
        layers.rest()
        assert watched() > 1, "a request is under way"
        layers.end(given)
        layers.rest()
        assert not watched()
        # What runs now unwatched has Python take its instruments out of it.
        asyncio.run(driver.call_asgi(app, driver.http_scope(), stays=True)) if (
            name in ASGI
        ) else driver.call_wsgi(app, driver.environ())


def test_the_total_is_what_the_server_measures(layers: Layers) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        time.sleep(0.02)
        start_response("200 OK", [])
        return pieces()

    def pieces() -> Iterator[bytes]:
        time.sleep(0.02)
        yield b""

    def apart() -> float:
        tree, took = call(layers, timed(app))
        assert tree is not None
        return abs(tree.total - took) / took

    # Another process may get the processor between the two measurements.
    assert any(apart() < 0.02 for _ in range(10))


def test_a_tree_is_bounded(layers: Layers) -> None:
    def deep(left: int) -> Any:
        def layer(environ: Any, start_response: Any) -> Any:
            return deep(left - 1)(environ, start_response)

        return layer if left else stacks.hello

    tree = call(layers, deep(200))[0]
    assert tree is not None
    assert max(depth for depth, _ in tree.walk()) == DEEPEST - 2

    def wide(environ: Any, start_response: Any) -> Any:
        for number in range(100):
            names: dict[str, Any] = {"hello": stacks.hello}
            head = f"def hello{number}(environ, start_response):"
            source = f"{head} return hello(environ, start_response)"
            exec(compile(source, "/wide.py", "exec"), names)
            names[f"hello{number}"](environ, start_response)
        return []

    tree = call(layers, wide)[0]
    assert tree is not None
    assert len(tree.children) == WIDEST + 1
    assert tree.children[-1].name == "..."
    assert tree.children[-1].calls == 100 - WIDEST


def test_a_proxy_without_an_object_does_no_harm(layers: Layers) -> None:
    from werkzeug.local import LocalProxy

    def fails() -> Any:
        raise RuntimeError("no object")

    def inner(first: Any, second: Any) -> Any:
        return first

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        inner(LocalProxy(fails), LocalProxy(fails))
        return [b""]

    assert len(shape(call(layers, app)[0])) == 1


def test_what_outlives_its_request_is_let_go(layers: Layers) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    async def background() -> None:
        await go.wait()
        await app_of_task({"asgi": {}}, go.wait, go.wait)

    async def app_of_task(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def all_of_them() -> list[Tree | None]:
        for _ in range(3):
            await call_asgi(layers, app_of_task)  # so it is known as a layer
        tree, _ = await call_asgi(layers, app)
        other = driver.http_scope()
        layers.begin(other)
        go.set()
        await left[0]
        return [tree, layers.end(other)]

    left: list[asyncio.Task[None]] = []
    go = asyncio.Event()
    tree, other = asyncio.run(all_of_them())
    assert len(shape(tree)) == 2
    assert other is None
    assert not layers._paused
    assert not layers._makers
    assert not layers._marked


@pytest.mark.parametrize("name", STACKS)
def test_debuggers_and_coverage_may_be_at_work(layers: Layers, name: str) -> None:
    app = STACKS[name]()
    before = sys.gettrace()
    seen: list[str] = []

    def trace(frame: Any, event: str, value: Any) -> Any:
        seen.append(event)
        return trace

    sys.settrace(trace)
    try:
        tree = run(layers, app) if name in ASGI else call(layers, app)[0]
    finally:
        sys.settrace(before)
    assert "line" in seen
    assert shape(tree, names(golden(name))) == golden(name)


if BY_MONITORING:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]

    def test_nothing_is_left_behind() -> None:
        layers = install()
        app = STACKS["bare"]()
        call(layers, app)
        layers.uninstall()
        layers.uninstall()
        assert monitoring.get_tool(4) is None
        monitoring.use_tool_id(4, "a test")
        try:
            assert monitoring.get_events(4) == 0
            assert monitoring.get_local_events(4, app.__code__) == 0
            assert monitoring.register_callback(4, monitoring.events.PY_START, None) is None
        finally:
            monitoring.free_tool_id(4)

    def test_a_second_start_sees_what_the_first_one_has_disabled() -> None:
        app = STACKS["flask"]()
        for _ in range(2):
            layers = install()
            try:
                tree = call(layers, app)[0]
            finally:
                layers.uninstall()
            assert shape(tree, names(golden("flask"))) == golden("flask")

    def test_another_tool_id_is_taken() -> None:
        monitoring.use_tool_id(4, "another tool")
        try:
            layers = install()
            try:
                assert layers.how == "layers by sys.monitoring, tool id 3"
                assert call(layers, STACKS["bare"]())[0] is not None
                with pytest.raises(LayersError, match=r"4 \(another tool\) and 3 \(bare-serve"):
                    install()
            finally:
                layers.uninstall()
        finally:
            monitoring.free_tool_id(4)

    def test_code_that_is_no_layer_is_disabled(layers: Layers) -> None:
        app = STACKS["bare"]()
        call(layers, app)
        known = layers._codes  # type: ignore[attr-defined]
        assert id(stacks.hello.__code__) in known
        assert known[id(stacks.helper.__code__)].hopeless

else:

    def test_nothing_is_left_behind() -> None:
        layers = install(every=1)
        call(layers, STACKS["bare"]())
        assert sys.getprofile() is None
        environ = driver.environ()
        layers.begin(environ)
        assert sys.getprofile() is not None
        layers.uninstall()
        assert sys.getprofile() is None
        assert layers.end(environ) is None

    def test_a_profiler_is_left_alone() -> None:
        layers = install(every=1)
        sys.setprofile(lambda *event: None)
        try:
            assert call(layers, STACKS["bare"]())[0] is None
            assert sys.getprofile() is not None
            with pytest.raises(LayersError, match="a profiler holds"):
                install()
        finally:
            sys.setprofile(None)
        assert call(layers, STACKS["bare"]())[0] is not None

    def test_only_sampled_requests_are_slowed_down() -> None:
        layers = install()
        app = STACKS["bare"]()
        assert call(layers, app)[0] is not None
        for _ in range(19):
            environ = driver.environ()
            layers.begin(environ)
            assert sys.getprofile() is None
            assert layers.end(environ) is None
        layers.uninstall()
