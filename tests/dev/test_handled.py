"""Which exception is behind a 500, and what is none of the application's."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator

import pytest

from bare_serve.dev import handled
from bare_serve.errors import ClientGone, RequestError

LOGGER = logging.getLogger("an.application")


@pytest.fixture(autouse=True)
def records() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    handled.watch_logging()
    yield
    logging.setLogRecordFactory(before)


def fresh() -> handled.Noted:
    return contextvars.copy_context().run(handled.note)


def test_what_is_handled_comes_before_what_was_logged() -> None:
    noted = handled.note()
    first, second = ValueError("logged"), KeyError("handled")
    LOGGER.error("oh", exc_info=first)
    assert noted.behind() is first
    try:
        raise second
    except KeyError:
        assert noted.behind() is second
    assert noted.behind() is first


@pytest.mark.parametrize("level", ["warning", "info", "debug"])
def test_only_errors_count(level: str) -> None:
    LOGGER.setLevel(1)
    noted = handled.note()
    getattr(LOGGER, level)("oh", exc_info=ValueError())
    LOGGER.error("no traceback")
    assert noted.behind() is None


def test_tasks_and_threads_of_a_call_count_for_it_and_others_do_not() -> None:
    async def call() -> list[str]:
        noted = handled.note()
        found = []
        for name in ("task", "thread"):
            error = ValueError(name)
            if name == "task":
                await asyncio.create_task(_logs(error))
            else:
                await asyncio.to_thread(LOGGER.error, "oh", exc_info=error)
            found.append(str(noted.logged))
        thread = threading.Thread(target=LOGGER.error, args=("oh",), kwargs={"exc_info": OSError()})
        thread.start()
        thread.join()
        return [*found, str(noted.logged)]

    assert asyncio.run(call()) == ["task", "thread", "thread"]


async def _logs(error: Exception) -> None:
    LOGGER.error("oh", exc_info=error)


def test_calls_beside_each_other_do_not_share() -> None:
    one, other = fresh(), fresh()
    contextvars.copy_context().run(LOGGER.error, "oh", exc_info=ValueError())
    assert one.logged is other.logged is None


def test_a_factory_of_the_applications_goes_on_and_is_asked_once() -> None:
    asked: list[str] = []
    ours = logging.getLogRecordFactory()

    def theirs(*args: object, **kwargs: object) -> logging.LogRecord:
        asked.append("theirs")
        return ours(*args, **kwargs)

    logging.setLogRecordFactory(theirs)
    noted = handled.note()
    LOGGER.error("oh", exc_info=ValueError())
    assert asked == ["theirs"]
    assert noted.logged is not None
    logging.setLogRecordFactory(ours)
    handled.watch_logging()
    assert logging.getLogRecordFactory() is ours, "it is not wrapped twice"


def chained(cause: BaseException) -> BaseException:
    error = RuntimeError("of a framework")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_theirs"),
    [
        (ClientGone(32, "gone"), True),
        (chained(ClientGone(32, "gone")), True),
        (RequestError(413, "Too large"), True),
        (chained(chained(RequestError(413, "Too large"))), True),
        (type("ClientDisconnect", (Exception,), {})(), True),
        (ExceptionGroup("all", [ClientGone(32, "gone")]), True),
        (ExceptionGroup("some", [ClientGone(32, "gone"), ValueError()]), False),
        (ValueError(), False),
        (chained(ValueError()), False),
    ],
)
def test_what_is_the_clients(error: BaseException, is_theirs: bool) -> None:
    assert handled.is_the_clients(error) is is_theirs


def test_a_circle_of_causes_ends() -> None:
    error = ValueError()
    error.__cause__ = chained(error)
    assert handled.is_the_clients(error) is False


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<h1>ValueError</h1><pre>Traceback (most recent", True),
        (b"ValueError", False),
        (b"Traceback of KeyError", False),
        (b"", False),
    ],
)
def test_what_shows_an_exception(body: bytes, shown: bool) -> None:
    assert handled.shows(ValueError(), [body[:5], body[5:]]) is shown
