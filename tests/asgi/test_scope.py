"""What the application is told about a request."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.asgi import asgi2_to_asgi3, listening_address
from bare_serve.asgi.scope import under_root
from bare_serve.net.forwarded import Trust, parse_trust
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, FakeTransport, Recorder, Wire, body, get, start


async def scope_of(data: bytes, *, transport: FakeTransport | None = None, **options: Any) -> Any:
    app = Recorder()
    wire = Wire(app, transport=transport, **options)
    wire.service.state = {"db": "open"}
    await wire.feed(data)
    app.done[0].set()
    await wire.settle()
    return app.scopes[0]


def test_every_key(run: Run) -> None:
    data = (
        b"POST /a%20b/%C3%A9?q=%20&r HTTP/1.1\r\nHost: test\r\n"
        b"X-Two: 1\r\nx-two: 2\r\nContent-Length: 0\r\n\r\n"
    )
    assert run(scope_of(data)) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"q=%20&r",
        "root_path": "",
        "headers": [
            (b"host", b"test"),
            (b"x-two", b"1"),
            (b"x-two", b"2"),
            (b"content-length", b"0"),
        ],
        "client": ("10.0.0.9", 4711),
        "server": ("127.0.0.1", 80),
        "state": {"db": "open"},
        "extensions": {
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
            "http.response.early_hint": {},
        },
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda each: each.update(a=1),
        lambda each: each.clear(),
        lambda each: each.popitem(),
        lambda each: each.__setitem__("version", "1"),
        lambda each: each.__delitem__("version"),
        lambda each: each.__ior__({"a": 1}),
        lambda each: each.setdefault("a", 1),
        lambda each: each.pop("version"),
    ],
)
def test_what_all_clients_share_cannot_be_written_into(
    run: Run, change: Callable[[Any], object]
) -> None:
    scope = run(scope_of(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
    for part in (scope["asgi"], *scope["extensions"].values()):
        with pytest.raises((TypeError, KeyError)):
            change(part)
    again = run(scope_of(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
    assert again["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert {*map(len, again["extensions"].values())} == {0}


@pytest.mark.parametrize(("level", "offered"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_debug_is_offered_where_it_would_be_logged(
    run: Run, level: int, offered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, "bare_serve.app")
    scope = run(scope_of(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
    assert ("http.response.debug" in scope["extensions"]) is offered


def test_what_all_clients_share_is_a_dict_to_readers(run: Run) -> None:
    scope = run(scope_of(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
    scope["extensions"]["mine"] = {}  # the request's own
    shared = scope["asgi"]
    assert isinstance(shared, dict)
    assert json.loads(json.dumps(shared)) == shared
    assert shared.setdefault("version", "x") == "3.0"
    assert shared.pop("other", 5) == 5
    copies = [copy.copy(shared), copy.deepcopy(shared), pickle.loads(pickle.dumps(shared))]
    copies += [shared.copy(), dict(shared), {**shared}, shared | {}]
    for each in copies:
        assert type(each) is dict
        assert each == shared
        each["a"] = 1
    assert type(copy.deepcopy(scope)["extensions"]["http.response.pathsend"]) is dict


def test_http_1_0(run: Run) -> None:
    assert run(scope_of(b"GET / HTTP/1.0\r\n\r\n"))["http_version"] == "1.0"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/%ff", "/\ufffd"),
        (b"/%2F%2f", "///"),
        (b"/%zz%", "/%zz%"),
        (b"//twice//", "//twice//"),
        (b"/%00", "/\0"),
    ],
)
def test_path(run: Run, raw: bytes, path: str) -> None:
    scope = run(scope_of(b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % raw))
    assert (scope["path"], scope["raw_path"]) == (path, raw)


@pytest.mark.parametrize(
    ("path", "root", "result"),
    [
        ("/items", "", "/items"),
        ("/items", "/api", "/api/items"),
        ("/api/items", "/api", "/api/items"),
        ("/api", "/api", "/api"),
        ("/apiary", "/api", "/api/apiary"),
        ("*", "/api", "*"),
    ],
)
def test_path_stands_under_the_root_path(path: str, root: str, result: str) -> None:
    assert under_root(path, root) == result


def test_root_path(run: Run) -> None:
    scope = run(scope_of(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n", root_path="/api"))
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/x", b"/x")


@pytest.mark.parametrize(
    ("extra", "server", "client"),
    [
        (
            {"sockname": ("::1", 80, 0, 0), "peername": ("fe80::1", 9, 0, 2)},
            ("::1", 80),
            ("fe80::1", 9),
        ),
        ({"peername": ""}, ("127.0.0.1", 80), None),
        ({"sockname": None}, None, ("10.0.0.9", 4711)),
    ],
    ids=["ipv6", "no name", "left already"],
)
def test_addresses(run: Run, extra: dict[str, Any], server: Any, client: Any) -> None:
    scope = run(scope_of(GET, transport=FakeTransport(**extra)))
    assert (scope["server"], scope["client"]) == (server, client)


@pytest.mark.parametrize(
    ("family", "name", "server"),
    [
        (socket.AF_INET, ("127.0.0.1", 80), ("127.0.0.1", 80)),
        (socket.AF_INET6, ("::1", 80, 0, 0), ("::1", 80)),
        (socket.AF_INET, ("0.0.0.0", 80), None),
        (socket.AF_INET6, ("::", 80, 0, 0), None),
        (socket.AF_UNIX, "/run/a", ("/run/a", None)),
        (socket.AF_UNIX, b"\0a", ("\0a", None)),
        (socket.AF_UNIX, b"\0\xff", ("\0\udcff", None)),
        (socket.AF_UNIX, "", ("", None)),
    ],
)
def test_an_address_that_all_connections_share(family: int, name: Any, server: Any) -> None:
    listener: Any = SimpleNamespace(family=family, getsockname=lambda: name)
    assert listening_address(listener) == server


def test_nothing_an_application_writes_reaches_the_next_request(run: Run) -> None:
    """A repeated head shares work, not objects that can be changed."""
    seen: list[tuple[Any, ...]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], list(scope["headers"]), dict(scope["state"]), "mine" in scope))
        scope["path"] = "/changed"
        scope["headers"].clear()
        scope["state"]["mine"] = scope["mine"] = True
        await send(start(204))
        await send(body())

    async def scene() -> None:
        wire = Wire(app)
        wire.service.state = {"shared": 1}
        for _ in range(3):
            await wire.feed(GET)
        assert wire.service.state == {"shared": 1}

    run(scene())
    assert seen == [("/", [(b"host", b"test")], {"shared": 1}, False)] * 3


def test_asgi_2(run: Run) -> None:
    seen: list[str] = []

    class Double:
        def __init__(self, scope: Any) -> None:
            seen.append(scope["asgi"]["version"])

        async def __call__(self, receive: Any, send: Any) -> None:
            await send(start())
            await send(body(b"two"))

    async def scene() -> bytes:
        wire = Wire(asgi2_to_asgi3(Double))
        await wire.feed(GET)
        return wire.output

    assert run(scene()).endswith(b"\r\n\r\ntwo")
    assert seen == ["2.0"]


TARGETS = ["/a", "/app/b%20c?d", "/app", "/app/?q=%C3%A9", "/a?b?c", "/appendix", "/%ff", "//x"]
FORWARDED = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Prefix: /app", "TE: trailers"]


@pytest.mark.parametrize("root_path", ["", "/app"])
@pytest.mark.parametrize("trust", [None, parse_trust(["*"])])
def test_a_scope_that_is_only_retargeted_equals_a_new_one(
    run: Run, root_path: str, trust: Trust | None
) -> None:
    """And what an application writes into its own is not seen by the next request."""
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(copy.deepcopy(scope))
        scope["headers"].clear()
        scope["extensions"].clear()
        scope.clear()
        await send(start(200))
        await send(body(b""))

    async def on_one_connection() -> list[Any]:
        wire = Wire(app, root_path=root_path, trust=trust)
        for target in TARGETS:
            await wire.feed(get(target, *FORWARDED))
        return kept

    async def alone(target: str) -> Any:
        return await scope_of(get(target, *FORWARDED), root_path=root_path, trust=trust)

    sequence = run(on_one_connection())
    fresh = [{**run(alone(target)), "state": {}} for target in TARGETS]
    assert sequence == fresh
