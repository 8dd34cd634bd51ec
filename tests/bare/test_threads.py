"""What runs beside a request, where several threads ask for it at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from bare_serve.bare import Bare
from tests.support.waiting import eventually


def test_two_threads_that_ask_first_get_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a lock both are inside at once; with one the first waits there alone, briefly."""
    made: list[asyncio.AbstractEventLoop] = []
    both = threading.Barrier(2)

    def new_event_loop() -> asyncio.AbstractEventLoop:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        made.append(asyncio.new_event_loop())
        return made[-1]

    maker = SimpleNamespace(new_event_loop=new_event_loop)
    monkeypatch.setattr("bare_serve.bare.threads.import_module", lambda name: maker)
    app = Bare()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(lambda: app.runner.loop) for _ in range(2)]
        got = [each.result() for each in asked]
    for loop in made:
        loop.call_soon_threadsafe(loop.stop)
        eventually(lambda loop=loop: not loop.is_running())
        loop.close()
    assert got == made * 2
