"""The watch over the loop: it names who holds it, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from bare_serve.workers.asgi.loop_watchdog import LoopWatchdog
from tests.support import eventually

LIMIT = 0.1


def a_slow_callback(held: threading.Event) -> None:
    held.wait(10)


def release_when_seen(held: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    eventually(lambda: "blocked for" in caplog.text)
    held.set()


async def watched(caplog: pytest.LogCaptureFixture, *, block: bool) -> None:
    loop = asyncio.get_running_loop()
    watch = LoopWatchdog(loop, LIMIT)
    try:
        if block:
            held = threading.Event()
            threading.Thread(target=release_when_seen, args=(held, caplog)).start()
            a_slow_callback(held)
            async with asyncio.timeout(10):
                while "goes on after" not in caplog.text:
                    await asyncio.sleep(0.01)
        else:
            end = time.monotonic() + 5 * LIMIT
            while time.monotonic() < end:
                await asyncio.sleep(LIMIT / 10)
    finally:
        watch.stop()
    assert watch._watcher.is_alive() is False


def test_whoever_holds_the_loop_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(watched(caplog, block=True))
    first, second = caplog.records
    assert first.levelno == logging.WARNING
    assert "The event loop has been blocked for 0." in first.getMessage()
    assert "in a_slow_callback" in first.getMessage()
    assert "held.wait(10)" in first.getMessage()
    assert "The event loop goes on after" in second.getMessage()


def test_a_loop_that_comes_round_is_not(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(watched(caplog, block=False))
    assert not [record for record in caplog.records if "goes on" not in record.getMessage()]


def test_the_moment_after_a_prompt_is_no_block(caplog: pytest.LogCaptureFixture) -> None:
    """The debugger is left between two looks, the second of which would find the loop late."""
    loop = asyncio.new_event_loop()
    watch = LoopWatchdog(loop, limit=600)  # a look each 150 s, of which this test takes care
    watch.stop()
    loop.close()
    names: dict[str, Any] = {"__name__": "pdb"}
    exec("def prompt(look, now): look(now)", names)
    start, period = watch._word, 150
    for looks in range(1, 10):
        names["prompt"](watch._look, start + looks * period)
    for looks in range(10, 14):
        watch._look(start + looks * period)
        assert not caplog.records, looks
    watch._look(start + 14 * period)
    assert "has been blocked for 750 s" in caplog.text
