"""Streams that never end, by each framework's own class, and clients that leave them.

Whatever the framework: when the client has left, the generator's `finally` runs and the call ends,
no matter whether it waits for something to send or for the client to take it; those who have left
take no place from a newcomer; and a stop ends what never ends long before the grace period.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import RawClient, Server, eventually, serve

APPS = Path(__file__).parent / "apps"
GRACE = 60
LIMIT = 6

# Whose calls go on until they send something, though their client has left.
DEAF = ("raw_deaf",)
FRAMEWORKS = (
    *("starlette", "starlette_threads", "starlette_middleware", "starlette_mounted"),
    *("fastapi", "sse_starlette", "django", "quart", "litestar", "raw_listening", *DEAF),
)
FLOWING = [name for name in FRAMEWORKS if name not in (*DEAF, "starlette_threads")]
WITH_FILES = ("starlette", "starlette_middleware", "starlette_mounted", "fastapi")


def stops() -> list[Any]:
    """Each framework with TERM; with HUP, which sends a worker the same, two and the long tests."""
    return [
        pytest.param(name, number, marks=[pytest.mark.long] if is_long else [], id=f"{name}-{kind}")
        for name in FRAMEWORKS
        for kind, number, is_long in (
            ("TERM", signal.SIGTERM, False),
            ("HUP", signal.SIGHUP, name not in ("fastapi", "django")),
        )
    ]


@contextmanager
def serving(framework: str, *options: str) -> Iterator[Server]:
    known = ("--app-dir", str(APPS), "--timeout-graceful-shutdown", str(GRACE))
    env = {"STREAMS_BY": framework}
    with serve("streams:app", "--workers", "1", *known, *options, env=env) as server:
        yield server


def facts(server: Server) -> Any:
    with RawClient(server.address) as client:
        answer = client.request("GET", "/facts")
    assert answer.status == 200, "a newcomer is served"
    return json.loads(answer.body)


def opened(server: Server, path: str) -> RawClient:
    """A client that has got the beginning of the stream."""
    client = RawClient(server.address)
    client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    client.read_until(b"\r\n\r\n")
    client.read_until(b"\n\n" if path in ("/idle", "/ticks") else b"x" * 1000)
    return client


def held_back(server: Server, path: str) -> RawClient:
    """A client that takes nothing any more, so that the application waits for it."""
    before = facts(server)["pieces"]
    client = RawClient(server.address)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    client.read_until(b"\r\n\r\n")
    if path == "/flood":
        eventually(lambda: facts(server)["pieces"] > before)
        last = [-1]

        def stands_still() -> bool:
            before, last[0] = last[0], facts(server)["pieces"]
            return before == last[0]

        eventually(stands_still, "back-pressure")
    return client


def ended(server: Server, before: list[str], cleaned: list[str]) -> None:
    """Wait until these have cleaned up, beside those before, and no call goes on."""

    def fact() -> bool:
        seen = facts(server)
        return sorted(seen["cleaned"]) == sorted([*before, *cleaned]) and seen["running"] == 0

    eventually(fact, f"{cleaned} cleaned up, no call going on", 20)


def seconds_to_stop(server: Server, number: int = signal.SIGTERM) -> float:
    begun = time.monotonic()
    assert server.stop(number, timeout=GRACE) == 0, server.output
    return time.monotonic() - begun


def leave_streams_that_wait(server: Server) -> None:
    """More clients than may be served at once, so whoever is still counted is in the way."""
    before = facts(server)["cleaned"]
    for _ in range(2 * LIMIT):
        opened(server, "/idle").close()
        facts(server)
    ended(server, before, ["idle"] * (2 * LIMIT))


def leave_a_stream_that_waits_for_its_client(server: Server) -> None:
    before = facts(server)["cleaned"]
    held_back(server, "/flood").close()
    ended(server, before, ["flood"])


def leave_a_file(server: Server) -> None:
    before = facts(server)["cleaned"]
    client = held_back(server, "/file")
    assert facts(server)["running"] == 1
    client.close()
    ended(server, before, [])


@pytest.mark.parametrize(("framework", "number"), stops())
def test_clients_leave_and_a_stop_ends_the_rest(framework: str, number: int) -> None:
    """Clients leave streams and files; then one stop finds each kind of call in the midst of it.

    What never ends is ended; a stream that flows comes to its end (an export, the tokens of a
    model), also where it began long before; work on an answer has its grace, also where the
    framework listens for the end beside it, and would drop the work for it.
    """
    # The limit for those that are stopped by TERM: so the others are without.
    options = ("--limit-concurrency", str(LIMIT)) if number == signal.SIGTERM else ()
    with serving(framework, *options) as server, ExitStack() as stack:
        if framework not in DEAF:
            leave_streams_that_wait(server)
        leave_a_stream_that_waits_for_its_client(server)
        if framework in WITH_FILES:
            leave_a_file(server)

        running = 0
        if framework not in DEAF:
            for path in ("/idle", "/ticks"):
                stack.enter_context(opened(server, path))
                running += 1
        flowing = stack.enter_context(RawClient(server.address, 30))
        if framework in FLOWING:
            flowing.send(b"GET /short HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            flowing.read_until(b"data: 110")
            running += 1
        working = stack.enter_context(RawClient(server.address, 30))
        working.send(b"GET /work HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: facts(server)["running"] == running + 1, "all of them run")
        (worker,) = server.workers
        begun = time.monotonic()
        server.send_signal(number)
        if framework in FLOWING:
            assert b"data: last" in flowing.read_to_eof()
        answer = working.response()
        assert (answer.status, answer.body) == (200, b"worked")
        # Where the new worker takes longer to come up than the work, the old one is told later.
        assert answer.header("connection") == "close" or number == signal.SIGHUP
        assert working.is_closed()
        if number == signal.SIGTERM:
            assert server.wait(GRACE) == 0
        else:
            eventually(lambda: worker not in server.workers, "the old worker leaves", GRACE)
        assert time.monotonic() - begun < GRACE / 3
        for trouble in ("did not finish", "Traceback", "ERROR"):
            assert trouble not in server.output


def test_a_generator_of_django_that_is_not_asynchronous() -> None:
    with serving("django") as server, RawClient(server.address) as client:
        client.send(b"GET /few HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: facts(server)["pieces"])
        client.close()
        ended(server, [], ["few"])
        assert seconds_to_stop(server) < GRACE / 3


@pytest.mark.parametrize("workers", ["1", "0"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_that_left_who_takes_no_notice(loop: str, workers: str) -> None:
    """Nobody is told whom nothing can tell; but they take no place, and a stop cancels them."""
    options = ("--limit-concurrency", str(LIMIT), "--loop", loop, "--workers", workers)
    with serving("raw_deaf", *options) as server:
        for _ in range(4 * LIMIT):
            opened(server, "/idle").close()
            facts(server)
        assert facts(server)["running"] == 4 * LIMIT
        assert seconds_to_stop(server) < GRACE / 3
        assert f"Cancelling {4 * LIMIT} requests whose clients have left." in server.output
        assert "Cancelling 1 " not in server.output


def test_recycling_is_not_held_up_by_who_has_left() -> None:
    with serving("raw_deaf", "--max-requests", "3", "--max-requests-jitter", "0") as server:
        (worker,) = server.workers
        opened(server, "/idle").close()
        eventually(lambda: facts(server) and worker not in server.workers, timeout=GRACE / 2)


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_many_clients_come_and_leave(framework: str) -> None:
    """Nothing of them stays: no call, no descriptor."""
    with serving(framework, "--limit-concurrency", "20") as server:
        (worker,) = server.workers
        facts(server)
        count = len(os.listdir(f"/proc/{worker}/fd"))
        path = "/ticks" if framework in DEAF else "/idle"
        for _ in range(20):
            with ExitStack() as stack:
                for _ in range(10):
                    stack.enter_context(opened(server, path))
            # Of those that go on without a client no more than 160 take no place.
            eventually(lambda: facts(server)["running"] < 100)
        ended(server, [], [path[1:]] * 200)
        eventually(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= count + 2)
        assert seconds_to_stop(server) < GRACE / 3
