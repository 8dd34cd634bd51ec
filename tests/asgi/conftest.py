"""`run`: a coroutine on each of the loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from bare_serve.workers.asgi.event_loop import new_loop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine to its end, on asyncio and on uvloop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=lambda: new_loop(request.param)[0]) as runner:
        yield runner.run
