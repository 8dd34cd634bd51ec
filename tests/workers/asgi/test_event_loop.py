"""The loop of an ASGI worker: which one it is, and its end."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from typing import Any, cast

import pytest

from bare_serve.errors import UsageError
from bare_serve.workers.asgi import event_loop
from bare_serve.workers.asgi.event_loop import close_loop, new_loop
from bare_serve.workers.lifecycle import Lifecycle


def test_loops_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "uvloop", None)
    loop, name = new_loop("auto")
    loop.close()
    assert name == "asyncio"
    with pytest.raises(UsageError, match=r"uvloop is not installed: .*--loop asyncio"):
        new_loop("uvloop")
    with pytest.raises(UsageError, match="unknown loop 'twisted'"):
        new_loop("twisted")


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoop:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    made, name = new_loop(request.param)
    assert name == request.param
    return made


def lifecycle() -> Lifecycle:
    return Lifecycle(cast("Any", None), None)


def begin(loop: asyncio.AbstractEventLoop, what: Any) -> None:
    """A task that is left running, past its first step."""

    async def scene() -> None:
        begun.append(loop.create_task(what(), name="left running"))
        await asyncio.sleep(0)

    begun: list[asyncio.Task[None]] = []
    loop.run_until_complete(scene())


def test_tasks_that_are_left_running_come_to_their_end(loop: asyncio.AbstractEventLoop) -> None:
    ended: list[str] = []

    async def task() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)  # its end may wait, too
            ended.append("task")

    begin(loop, task)
    close_loop(loop, lifecycle(), 10.0)
    assert ended == ["task"]
    assert loop.is_closed()


def test_jobs_that_are_left_running_come_to_their_end(loop: asyncio.AbstractEventLoop) -> None:
    ended: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go.wait(10)
        ended.append("job")

    async def starts_a_job() -> None:
        loop.run_in_executor(None, job)

    async def lets_it_go_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            go.set()

    begin(loop, starts_a_job)
    assert begun.wait(10)
    begin(loop, lets_it_go_on)
    close_loop(loop, lifecycle(), 10.0)
    assert ended == ["job"]
    assert loop.is_closed()


def test_it_is_said_which_jobs_are_waited_for(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """The job ends as soon as it is said, once, that it is waited for."""
    caplog.set_level(logging.INFO, "bare_serve")
    go = threading.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go.set()

    async def starts_a_job() -> None:
        loop.run_in_executor(None, go.wait, 30)

    begin(loop, starts_a_job)
    logger, heard = logging.getLogger("bare_serve.worker"), Heard()
    logger.addHandler(heard)
    life = lifecycle()
    life.stop()  # which gives them the grace
    try:
        close_loop(loop, life, 60.0)
    finally:
        logger.removeHandler(heard)
    assert go.is_set()
    (record,) = caplog.records
    assert re.search(r"Waiting for .* left running: thread '\w+_0'\.$", record.getMessage())


def test_what_does_not_end_is_given_up(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bare_serve")

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    begin(loop, stubborn)
    life = lifecycle()
    life.hurry = True
    close_loop(loop, life, 3600.0)
    assert loop.is_closed()
    assert "Cancelling tasks that the application has left running: " in caplog.text
    assert "Given up at the end: " in caplog.text
