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
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import RawClient, Server, eventually, serve

APPS = Path(__file__).parent / "apps"
GRACE = 60
LIMIT = 3

# Whose calls go on until they send something, though their client has left.
DEAF = ("raw_deaf",)
FRAMEWORKS = (
    *("starlette", "starlette_threads", "starlette_middleware", "starlette_mounted"),
    *("fastapi", "sse_starlette", "django", "quart", "litestar", "raw_listening", *DEAF),
)
FLOWING = [name for name in FRAMEWORKS if name not in (*DEAF, "starlette_threads")]
WITH_FILES = ("starlette", "starlette_middleware", "starlette_mounted", "fastapi")


def stops(frameworks: Iterable[str]) -> list[Any]:
    """Each framework with TERM; with HUP, which sends a worker the same, two and the long tests."""
    short = ("fastapi", "django")
    return [
        pytest.param(name, number, marks=[] if brief else [pytest.mark.long], id=f"{name}-{kind}")
        for name in frameworks
        for kind, number, brief in (
            ("TERM", signal.SIGTERM, True),
            ("HUP", signal.SIGHUP, name in short),
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
    client = RawClient(server.address)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    client.read_until(b"\r\n\r\n")
    if path == "/flood":
        eventually(lambda: facts(server)["pieces"] > 0)
        last = [-1]

        def stands_still() -> bool:
            before, last[0] = last[0], facts(server)["pieces"]
            return before == last[0]

        eventually(stands_still, "back-pressure")
    return client


def ended(server: Server, cleaned: list[str], running: int = 0) -> None:
    def fact() -> bool:
        seen = facts(server)
        return sorted(seen["cleaned"]) == sorted(cleaned) and seen["running"] == running

    eventually(fact, f"{cleaned} cleaned up, {running} calls going on", 20)


def seconds_to_stop(server: Server, number: int = signal.SIGTERM) -> float:
    begun = time.monotonic()
    assert server.stop(number, timeout=GRACE) == 0, server.output
    return time.monotonic() - begun


@pytest.mark.parametrize("framework", [name for name in FRAMEWORKS if name not in DEAF])
def test_clients_leave_streams_that_wait(framework: str) -> None:
    """More of them than may be served at once, so whoever is still counted would be in the way."""
    with serving(framework, "--limit-concurrency", str(LIMIT)) as server:
        for _ in range(2 * LIMIT):
            opened(server, "/idle").close()
            facts(server)
        ended(server, ["idle"] * (2 * LIMIT))
        assert seconds_to_stop(server) < GRACE / 3
        assert "ERROR" not in server.output


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_client_leaves_a_stream_that_waits_for_it(framework: str) -> None:
    with serving(framework) as server:
        held_back(server, "/flood").close()
        ended(server, ["flood"])
        assert seconds_to_stop(server) < GRACE / 3
        assert "ERROR" not in server.output


@pytest.mark.parametrize("framework", WITH_FILES)
def test_a_client_leaves_a_file(framework: str) -> None:
    with serving(framework) as server:
        client = held_back(server, "/file")
        assert facts(server)["running"] == 1
        client.close()
        ended(server, [])
        assert seconds_to_stop(server) < GRACE / 3
        assert "ERROR" not in server.output


@pytest.mark.parametrize(
    ("framework", "number"), stops(name for name in FRAMEWORKS if name not in DEAF)
)
def test_a_stop_ends_what_never_ends(framework: str, number: int) -> None:
    with serving(framework) as server, ExitStack() as stack:
        for path in ("/idle", "/ticks"):
            stack.enter_context(opened(server, path))
        assert facts(server)["running"] == 2
        (worker,) = server.workers
        begun = time.monotonic()
        if number == signal.SIGTERM:
            assert seconds_to_stop(server) < GRACE / 3
        else:
            server.send_signal(number)
            eventually(lambda: worker not in server.workers, "the old worker leaves", GRACE)
            assert time.monotonic() - begun < GRACE / 3
        assert "did not finish" not in server.output
        assert "Traceback" not in server.output


@pytest.mark.parametrize(("framework", "number"), stops(FLOWING))
def test_a_stream_that_flows_comes_to_its_end(framework: str, number: int) -> None:
    """An export, the tokens of a model: also where it began long before the stop."""
    with serving(framework) as server, RawClient(server.address, 30) as client:
        client.send(b"GET /short HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        client.read_until(b"data: 110")
        server.send_signal(number)
        assert b"data: last" in client.read_to_eof()
        assert "ERROR" not in server.output


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_work_on_an_answer_has_its_grace(framework: str) -> None:
    """Also where the framework listens for the end beside it, and would drop the work for it."""
    with serving(framework) as server, RawClient(server.address, 30) as client:
        client.send(b"GET /work HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: facts(server)["running"] == 1)
        server.send_signal(signal.SIGTERM)
        answer = client.response()
        assert (answer.status, answer.body) == (200, b"worked")
        assert answer.header("connection") == "close"
        assert server.wait(GRACE) == 0
        assert "ERROR" not in server.output


def test_a_generator_of_django_that_is_not_asynchronous() -> None:
    with serving("django") as server, RawClient(server.address) as client:
        client.send(b"GET /few HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: facts(server)["pieces"])
        client.close()
        ended(server, ["few"])
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
            facts(server)
        ended(server, [path[1:]] * 200)
        eventually(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= count + 2)
        assert seconds_to_stop(server) < GRACE / 3
