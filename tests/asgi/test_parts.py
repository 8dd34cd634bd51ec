"""The small parts by themselves: what a proxy tells, bells, whose fault it is, what comes next."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from bare_serve.asgi import service as service_module
from bare_serve.asgi.failures import says_client_left
from bare_serve.asgi.proxied import apply_forwarded, apply_proxy_header, trust_of
from bare_serve.asgi.scope import connection_scope
from bare_serve.asgi.states import DONE, HELD, SENDING, START, STREAM, TRAILERS, out_of_order
from bare_serve.asgi.upgrade import asks_for_websocket, prepare_websockets
from bare_serve.asgi.wakeup import Wakeup
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.net.forwarded import parse_trust
from bare_serve.net.proxy_protocol import ProxyHeader
from tests.asgi.conftest import Run
from tests.asgi.fakes import Wire, hello
from tests.wsgi.fakes import connection_for, request

PROXY = ("192.0.2.9", 4711)
OURS = ("192.0.2.1", 8000)
TOLD = ("203.0.113.5", 0)

# ------------------------------------------------------------------------------ proxies


@pytest.mark.parametrize(
    ("fields", "changed", "host"),
    [
        ((), {}, "test"),
        (("Forwarded: for=203.0.113.5",), {"client": TOLD}, "test"),
        (('Forwarded: for="203.0.113.5:99"',), {"client": ("203.0.113.5", 99)}, "test"),
        (("Forwarded: for=unknown",), {"client": None}, "test"),
        (
            ("Forwarded: for=203.0.113.5;proto=https",),
            {"client": TOLD, "scheme": "https"},
            "test",
        ),
        (
            ("Forwarded: for=203.0.113.5;host=shop.test;proto=http",),
            {"client": TOLD, "server": ("shop.test", 80)},
            "shop.test",
        ),
        (("X-Forwarded-Prefix: /shop",), {"root_path": "/shop"}, "test"),
    ],
)
def test_each_word_of_a_proxy(fields: tuple[str, ...], changed: dict[str, Any], host: str) -> None:
    trust = parse_trust(["192.0.2.9"], ["forwarded", "x-forwarded-prefix"])
    assert trust is not None
    template = connection_scope("/app", OURS, PROXY)
    before = {**template, "extensions": {**template["extensions"]}}
    head = connection_for(request("GET", "/", *fields))[1]
    scope, headers = apply_forwarded(template, head, trust)
    assert {name: scope[name] for name in scope if scope[name] != template[name]} == changed
    assert [value for name, value in headers if name == b"host"] == [host.encode()]
    assert template == before, "the next request may tell nothing"
    assert head.headers[0] == (b"host", b"test")


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        (None, (OURS, PROXY)),
        (ProxyHeader(local=True), (OURS, PROXY)),
        (ProxyHeader(source=TOLD), (OURS, PROXY)),
        (ProxyHeader(source=TOLD, destination=("a", 1)), (("a", 1), TOLD)),
        (ProxyHeader(destination=("/socket", None)), (("/socket", None), None)),
    ],
)
def test_the_ends_that_a_proxy_tells(told: ProxyHeader | None, ends: Any) -> None:
    assert apply_proxy_header(OURS, PROXY, told) == ends


def test_who_is_trusted() -> None:
    trust = parse_trust(["192.0.2.9", "unix"])
    assert trust is not None
    assert trust_of(OURS, PROXY, trust, None) is trust
    assert trust_of(OURS, ("192.0.2.8", 1), trust, None) is None
    assert trust_of(("/socket", None), None, trust, None) is trust, "a unix socket"
    assert trust_of(OURS, None, trust, None) is None, "a client that has left already"
    assert trust_of(None, None, trust, None) is None
    told = ProxyHeader(source=PROXY, destination=OURS)
    assert trust_of(OURS, PROXY, trust, told) is trust
    anonymous = ProxyHeader()
    assert anonymous.anonymous
    assert trust_of(OURS, PROXY, trust, anonymous) is None


# ------------------------------------------------------------------------------ bells


def test_a_ring_wakes_all_who_wait_and_nobody_later(run: Run) -> None:
    async def scene() -> None:
        wakeup = Wakeup(asyncio.get_running_loop())
        wakeup.wake()  # nobody waits
        tasks = [asyncio.create_task(wakeup.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [False, True, False]
        wakeup.wake()
        wakeup.wake()  # the same ones once more, before they have run
        await asyncio.gather(tasks[0], tasks[2])
        assert tasks[1].cancelled()
        late = asyncio.create_task(wakeup.wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not late.done()
        assert len(wakeup._waiters or ()) == 1, "those that are over are let go"
        wakeup.wake()
        await late

    run(scene())


# ------------------------------------------------------------------------------ failures


class ClientDisconnect(Exception):
    """Starlette's, by its name."""


def caused(cause: BaseException | None, context: BaseException | None = None) -> BaseException:
    error = LookupError("mine")
    error.__cause__, error.__context__ = cause, context
    return error


GONE = ClientGone("left")


@pytest.mark.parametrize(
    ("error", "client"),
    [
        (LookupError(), False),
        (GONE, True),
        (ClientDisconnect(), True),
        (caused(GONE), True),
        (caused(None, GONE), True),
        (caused(caused(ClientDisconnect())), True),
        (caused(LookupError(), GONE), False),
        (ExceptionGroup("", [caused(GONE), ClientDisconnect()]), True),
        (ExceptionGroup("", [GONE, LookupError()]), False),
        (caused(ExceptionGroup("", [GONE])), True),
    ],
)
def test_whose_fault_an_exception_is(error: BaseException, client: bool) -> None:
    assert says_client_left(error) is client


def test_exceptions_in_a_circle() -> None:
    first, second = LookupError(1), LookupError(2)
    first.__cause__, second.__cause__ = second, first
    assert says_client_left(first) is False


# ------------------------------------------------------------------------------ order, upgrades


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (START, "'http.response.start'"),
        (HELD, "'http.response.body'"),
        (STREAM, "'http.response.body'"),
        (SENDING, "nothing, while a file is being sent"),
        (TRAILERS, "'http.response.trailers'"),
        (DONE, "nothing, because the response is complete"),
    ],
)
def test_what_is_expected_next(state: int, wanted: str) -> None:
    error = out_of_order(state, "http.x")
    assert isinstance(error, ResponseError)
    got, clause = str(error).splitlines()
    assert got == f"expected {wanted}, but the application sent 'http.x'"
    assert clause.startswith('ASGI, "Protocol Specifications": ')


@pytest.mark.parametrize(
    ("method", "lines", "asks"),
    [
        ("GET", ("Connection: Upgrade", "Upgrade: websocket"), True),
        ("GET", ("Connection: Upgrade", "Upgrade: WebSocket"), True),
        ("GET", ("Connection: Upgrade", "Upgrade: h2c"), False),
        ("GET", ("Upgrade: websocket",), False),
        ("POST", ("Connection: Upgrade", "Upgrade: websocket"), False),
        ("GET", ("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 1"), False),
        ("GET", (), False),
    ],
)
def test_who_asks_for_a_websocket(method: str, lines: tuple[str, ...], asks: bool) -> None:
    assert asks_for_websocket(connection_for(request(method, "/", *lines))[1]) is asks


def test_what_serves_a_websocket() -> None:
    assert prepare_websockets().__name__ == "WebSocket"


def test_the_code_for_websockets_is_imported_in_pieces_that_leave_nothing_over() -> None:
    program = """
import sys
import bare_serve.workers.asgi.worker
from bare_serve.asgi.upgrade import prepare_websockets, websocket_imports
before, counts = len(sys.modules), []
for piece in websocket_imports():
    counts.append(len(sys.modules) - before)
    before = len(sys.modules)
prepare_websockets()
print(min(counts[-5:]), max(counts), len(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    least, most, left = map(int, done.stdout.split())
    assert least >= 1  # no piece comes with one before, of those that nothing else imports
    assert most < 35  # whole, these are some 75 modules
    assert left == 0


def test_of_the_package_websockets_nothing_is_imported_but_its_c_function() -> None:
    program = """
import sys
from bare_serve.asgi.upgrade import websocket_imports
list(websocket_imports())
print("importlib.metadata" in sys.modules, "bare_serve.asgi.websocket" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]


# ------------------------------------------------------------------------------ all of a worker


class Ended:
    """A call whose task is over, or not."""

    gone = timed = False
    begun = cancelled = 0.0

    def __init__(self, task: Any) -> None:
        self.task = task
        self.told = 0

    def never_ran(self) -> None:
        self.told += 1


def test_when_a_worker_is_quiet(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        service = wire.service
        counts: list[int] = []
        service.on_change = counts.append
        connection = wire.connection
        call: Any = Ended(None)
        service.running.add(call)
        service.look_whether_quiet()
        assert not service.quiet.is_set()
        service.gone(connection)
        assert counts == [0]
        service.ended(call)
        assert not service.quiet.is_set(), "nobody has asked for it to end"
        service.draining = True
        service.running.add(call)
        service.gone(connection)
        assert not service.quiet.is_set(), "a call still runs"
        service.ended(call)
        assert service.quiet.is_set()

    run(scene())


def test_calls_that_never_began_are_settled(run: Run) -> None:
    async def scene() -> None:
        service = Wire(hello).service
        over = asyncio.create_task(asyncio.sleep(0))
        await over
        lasting = asyncio.create_task(asyncio.sleep(60))
        calls: list[Any] = [Ended(None), Ended(over), Ended(lasting)]
        service.running.update(calls)
        service.sweep()
        assert [call.told for call in calls] == [0, 1, 0]
        lasting.cancel()

    run(scene())


class Waiting:
    """A connection whose request begins when it is told to go on."""

    def __init__(self, service: Any, begun: list[int], number: int) -> None:
        self.service, self.begun, self.number = service, begun, number

    def go_on(self) -> None:
        self.service.requests += 1
        self.begun.append(self.number)
        if self.number == 3:
            raise LookupError("one that fails")


def test_lots_follow_each_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "BATCH", 8)

    async def scene() -> None:
        service = Wire(hello).service
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        begun: list[int] = []
        call: Any = Ended(None)
        for number in range(20):
            service.wait(Waiting(service, begun, number))
        service.batch_ends = 0
        service.ended(call)
        assert service.batch_ends == 0, "some still wait for their turn"
        counts = []
        while len(begun) < 20:
            await asyncio.sleep(0)
            counts.append(len(begun))
            assert service.batch_ends >= len(begun)
            assert service.batch_ends <= len(begun) + 8
        assert begun == list(range(20)), "in their order, and the one that fails is no matter"
        assert counts[0] <= 8
        service.requests = 100
        service.ended(call)
        assert service.batch_ends == 108, "nobody waits: tasks have their turn"

    run(scene())
