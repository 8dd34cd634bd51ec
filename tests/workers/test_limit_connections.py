"""A worker with a limited number of places: who finds none waits until one is free."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from pathlib import Path

import pytest

from tests.support import RawClient, Server, children_of, eventually, serve

SOURCES = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""",
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
""",
}
TOLD = "--limit-connections allows"
KINDS = [("wsgi", "auto"), ("asgi", "asyncio"), ("asgi", "uvloop")]
WEBSOCKET = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


def serving(
    kind: str, *options: str, loop: str = "auto", limit: int = 4
) -> contextlib.AbstractContextManager[Server]:
    source = SOURCES[kind]
    bound = ("--limit-connections", str(limit), "--timeout-keep-alive", "60")
    chosen = ("--loop", loop) if kind == "asgi" else ()
    return serve("app:app", "--no-access-log", *bound, *chosen, *options, source=source)


def ask(client: RawClient) -> None:
    assert client.request("GET", "/").body == b"ok"


def is_silent(client: RawClient) -> bool:
    return not select.select([client.socket], [], [], 0)[0]


def waiting(server: Server) -> RawClient:
    """One that has asked, and has no place."""
    client = RawClient(server.address, 30)
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    return client


@pytest.mark.parametrize(("kind", "loop"), KINDS)
def test_who_finds_no_place_waits_for_one(kind: str, loop: str) -> None:
    with serving(kind, loop=loop) as server, contextlib.ExitStack() as stack:
        inside = [stack.enter_context(RawClient(server.address)) for _ in range(4)]
        for client in inside:
            ask(client)
        outside = [stack.enter_context(waiting(server)) for _ in range(4)]
        server.wait_for_output(TOLD)
        for _ in range(3):
            for client in inside:
                ask(client)  # those who are here have all that they had
        assert all(is_silent(client) for client in outside)
        for number, client in enumerate(outside):
            inside[number].close()
            assert client.response().body == b"ok"
            assert all(is_silent(late) for late in outside[number + 1 :])
            inside.append(client)
        for client in inside[-4:]:
            ask(client)
        assert server.stop() == 0
        assert server.stderr.count(TOLD) == 1


@pytest.mark.parametrize(("kind", "loop"), KINDS)
def test_it_is_told_again_after_there_were_places(kind: str, loop: str) -> None:
    with serving(kind, loop=loop, limit=4) as server:
        for times in 1, 2:

            def is_told(times: int = times) -> bool:
                return server.stderr.count(TOLD) == times

            with contextlib.ExitStack() as stack:
                for _ in range(4):
                    ask(stack.enter_context(RawClient(server.address)))
                stack.enter_context(waiting(server))
                eventually(is_told, "it is told")
            with RawClient(server.address) as after:
                ask(after)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_other_workers_go_on_accepting(kind: str) -> None:
    with serving(kind, "--workers", "2") as server, contextlib.ExitStack() as stack:
        inside = [stack.enter_context(RawClient(server.address, 30)) for _ in range(8)]
        for client in inside:
            ask(client)
        late = stack.enter_context(waiting(server))
        eventually(lambda: server.stderr.count(TOLD) == 2, "both are full")
        assert is_silent(late)
        inside[0].close()
        assert late.response().body == b"ok"


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_all_listeners_share_the_places(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        serving(kind, "--bind", "127.0.0.1:0", "--bind", f"unix:{path}", limit=2) as server,
        contextlib.ExitStack() as stack,
    ):
        inside = [stack.enter_context(RawClient(path)) for _ in range(2)]
        for client in inside:
            ask(client)
        late = RawClient(path, 30)
        late.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for_output(TOLD)
        assert is_silent(late)
        inside[0].close()
        assert late.response().body == b"ok"
        late.close()


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_stop_is_not_held_up(kind: str, workers: str) -> None:
    with (
        serving(kind, "--workers", workers, limit=1) as server,
        RawClient(server.address) as inside,
    ):
        ask(inside)
        with waiting(server):
            server.wait_for_output(TOLD)
            assert server.stop() == 0


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_reload_has_places_of_its_own(kind: str) -> None:
    with serving(kind, limit=1) as server, RawClient(server.address) as inside:
        ask(inside)
        with waiting(server) as outside:
            server.wait_for_output(TOLD)
            (before,) = children_of(server.process.pid)
            server.process.send_signal(signal.SIGHUP)
            assert outside.response().body == b"ok"
            eventually(lambda: before not in children_of(server.process.pid), "it is replaced")


def test_a_websocket_has_a_place() -> None:
    with serving("asgi", limit=1) as server, RawClient(server.address) as inside:
        assert inside.request("GET", "/", *WEBSOCKET).status == 101
        with waiting(server) as outside:
            server.wait_for_output(TOLD)
            assert is_silent(outside)
            inside.close()
            assert outside.response().body == b"ok"


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_who_gives_up_waiting_harms_nobody(kind: str) -> None:
    with serving(kind, limit=1) as server, RawClient(server.address) as inside:
        ask(inside)
        for _ in range(20):
            with socket.create_connection(server.address) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for_output(TOLD)
        inside.close()
        with RawClient(server.address, 30) as after:
            ask(after)
