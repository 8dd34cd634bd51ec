"""What every test may ask for.

Helpers live in `tests.support` (import them by name); fixtures that only wrap one live here.
A test starts real processes with `serve`, talks to them with `RawClient` or an HTTP library,
and waits for facts with `eventually`; it never sleeps and never picks a fixed port.
"""

from __future__ import annotations

import ast
import functools
import gc
import logging
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, Server
from tests.support.grouping import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]

TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
"""What both a master and a worker take over."""


def _parsed_again(parse: Any) -> Any:
    """Return `parse` that tries once more after a SystemError.

    CPython before 3.11.8 and 3.12.3 raises one where two threads, or a finalizer, parse at once
    (github.com/python/cpython/issues/106905); in pytest's own code that ends the whole run.
    """

    @functools.wraps(parse)
    def parsed(*args: Any, **options: Any) -> Any:
        for _ in range(3):
            try:
                return parse(*args, **options)
            except SystemError:
                continue
        return parse(*args, **options)

    return parsed


if sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 3):
    ast.parse = _parsed_again(ast.parse)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: Python's collector need not look at it, now nor later.

    Looked at, its half a million objects take 0.1 s each time, which is more than most tests do.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl
def pytest_collection_finish() -> None:
    """Tests are compiled once; what they write, import, and write again within a second is not,
    since Python tells files apart by their second and their size."""
    sys.dont_write_bytecode = True


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def hangups() -> None:
    """Tests that run under `nohup` are not about it."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _loggers() -> list[logging.Logger]:
    known = [name for name in logging.root.manager.loggerDict if name.startswith("bare_serve")]
    return [logging.root, *map(logging.getLogger, known)]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a test does to the loggers of the server is gone when it ends: others look at them."""
    before = {
        logger: (logger.level, logger.propagate, logger.disabled, logger.handlers[:])
        for logger in _loggers()
    }
    yield
    for logger in _loggers():
        level, logger.propagate, logger.disabled, handlers = before.get(
            logger, (logging.NOTSET, True, False, [])
        )
        logger.handlers[:] = handlers  # those of pytest, which root has, are the same all the time
        logger.setLevel(level)  # a method, since levels are remembered by all loggers below


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The same for handlers of signals: they would be those of the tests that come."""
    before = {signum: signal.getsignal(signum) for signum in TAKEN}
    yield
    for signum, handler in before.items():
        if handler is not None and signal.getsignal(signum) is not handler:
            signal.signal(signum, handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the servers of a failed test's fixtures have written."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server):
                report.sections.append((f"output of {name}", value.output[-20_000:]))
    return report
