"""Which form the access log has: for people on a terminal, else the one that never changes."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from bare_serve.config import sources
from bare_serve.server import logs
from tests.support.answers import Answer, request

PEOPLE = r"\d\d:\d\d:\d\d GET /a HTTP/1\.1 200 5 1\.2s\n"
FULL = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1 GET /a HTTP/1\.1 200 5 1234\.00ms\n"
JSON = r'\{"time":.*\}\n'


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    """Returns a stream that leads to a terminal of 72 columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 72))
    with os.fdopen(slave, "w") as stream:
        yield stream
    os.close(master)


def line(**asked: str) -> str:
    made = logs._access_format(sources.load(asked, {}, Path("/")))
    stamp = made.stamp(1_700_000_000.0)
    return str(made.line(stamp, "127.0.0.1", request(b"/a"), Answer(200, 5), 1.234, ""))


CASES: list[tuple[dict[str, str], str]] = [
    ({}, PEOPLE),
    ({"access_log": "/x/log"}, FULL),
    ({"log_format": "json"}, JSON),
    ({"access_log_format": "%(h)s %(s)s"}, r"127\.0\.0\.1 200\n"),
]


@pytest.mark.parametrize(("asked", "wanted"), CASES, ids=str)
def test_on_a_terminal(
    asked: dict[str, str], wanted: str, terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert re.fullmatch(wanted, line(**asked))
    termios.tcsetwinsize(terminal.fileno(), (0, 0))  # as some have at first
    assert re.fullmatch(wanted, line(**asked))


def test_colours_on_a_terminal(terminal: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[33m1.2s\x1b[0m\n" in line()


def test_in_a_pipe_the_form_is_that_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with Path(os.devnull).open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert re.fullmatch(FULL, line())
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert re.fullmatch(FULL, re.sub(r"\x1b\[\d+m", "", line()))


def test_the_window_of_a_terminal_that_is_gone_has_no_columns() -> None:
    assert logs._columns(-1) == 0
