"""A stop, or an end, in the middle of an application's startup, by real processes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support import eventually, serve

# The grace that nobody may have: a worker that was never ready has no request.
GRACE = 60

APP = """
import asyncio, itertools, pathlib, sys, time

HERE = pathlib.Path(__file__).parent

async def waits():
    await asyncio.sleep(3600)

async def blocks():
    time.sleep(3600)

async def catches():
    while True:
        try:
            time.sleep(3600)
        except Exception:
            pass

async def is_in_c():
    sum(itertools.repeat(0))  # no signal handler of Python's ever runs

async def will_not():
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass

async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
        return
    await receive()
    if not (HERE / "works").exists():
        print("starting", flush=True)
        try:
            await HOW()
        finally:
            print("cleaned up", flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
"""

OPTIONS = ("--timeout-graceful-shutdown", str(GRACE))
TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("how", "options", "number"),
    [
        ("waits", ("--workers", "1"), TERM),
        ("waits", ("--workers", "0"), INT),
        ("blocks", ("--workers", "1"), TERM),
        ("blocks", ("--workers", "2", "--loop", "asyncio"), TERM),
        ("blocks", ("--workers", "2", "--loop", "uvloop"), INT),
        ("blocks", ("--workers", "2", "--preload"), TERM),
        ("blocks", ("--workers", "0", "--loop", "asyncio"), TERM),
        ("blocks", ("--workers", "0", "--loop", "uvloop"), INT),
        ("catches", ("--workers", "1"), TERM),
    ],
)
def test_a_startup_is_given_up_at_once(how: str, options: tuple[str, ...], number: int) -> None:
    source = APP.replace("HOW()", f"{how}()")
    with serve("app:app", *options, *OPTIONS, source=source, ready=False) as server:
        count = max(1, int(options[1]))
        eventually(lambda: server.output.count("starting") == count)
        begun = time.monotonic()
        assert server.stop(number, GRACE) == 0
        assert time.monotonic() - begun < GRACE / 4, "half a second, if the machine is idle"
        assert server.output.count("cleaned up") == count
        assert "Traceback" not in server.output
        assert "ERROR" not in server.output


@pytest.mark.parametrize("how", ["is_in_c", "will_not"])
def test_one_that_cannot_be_interrupted_is_killed_soon(how: str) -> None:
    source = APP.replace("HOW()", f"{how}()")
    with serve("app:app", "--workers", "1", *OPTIONS, source=source, ready=False) as server:
        server.wait_for_output("starting")
        begun = time.monotonic()
        assert server.stop(TERM, GRACE) == 0
        assert time.monotonic() - begun < GRACE / 4
        assert f"in {how}" in server.output, "it is told what it was doing"


def test_a_successor_that_blocks_holds_up_no_stop(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("HOW()", "blocks()"))
    (tmp_path / "works").touch()
    with serve("app:app", "--workers", "2", *OPTIONS, cwd=tmp_path) as server:
        (tmp_path / "works").unlink()
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("starting")
        begun = time.monotonic()
        assert server.stop(TERM, GRACE) == 0
        assert time.monotonic() - begun < GRACE / 4
        assert "cleaned up" in server.output


def test_an_import_that_blocks_holds_up_nothing() -> None:
    source = "import time\nprint('starting', flush=True)\ntime.sleep(3600)\n"
    with serve("app:app", "--workers", "1", *OPTIONS, source=source, ready=False) as server:
        server.wait_for_output("starting")
        begun = time.monotonic()
        assert server.stop(TERM, GRACE) == 0
        assert time.monotonic() - begun < GRACE / 4


EXITS = """
import sys
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        sys.exit(7)
"""


@pytest.mark.parametrize("options", [("--workers", "1"), ("--workers", "0"), ("--preload",)])
def test_sys_exit_in_the_startup(options: tuple[str, ...]) -> None:
    with serve("app:app", *options, source=EXITS, ready=False) as server:
        assert server.wait() == 3
        said = "error: the application called sys.exit(7) in its lifespan startup"
        assert server.output.count(said) == 1
        assert "RuntimeError" not in server.output
