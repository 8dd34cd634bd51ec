"""The console: when there is colour, what the banner and log lines look like, whose loggers."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.logs import error_log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("no space left")


COLOUR = [
    (Terminal(), {}, True),
    (Terminal(), {"TERM": "xterm"}, True),
    (Terminal(), {"TERM": "dumb"}, False),
    (Terminal(), {"NO_COLOR": "1"}, False),
    (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    (Terminal(), {"NO_COLOR": ""}, True),
    (Terminal(), {"FORCE_COLOR": "0"}, False),
    (io.StringIO(), {}, False),
    (io.StringIO(), {"FORCE_COLOR": "1"}, True),
    (io.StringIO(), {"FORCE_COLOR": ""}, False),
    (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "0"}, False),
    (Closed(), {}, False),
    (None, {}, False),
]


@pytest.mark.parametrize(("stream", "env", "expected"), COLOUR)
def test_colour_only_where_it_is_wanted(
    stream: io.StringIO | None, env: dict[str, str], expected: bool
) -> None:
    assert error_log.wants_colour(stream, env) is expected


ROWS = [("app", "app:app"), ("address", "http://h:1"), ("address", "http://h:2"), ("pid", "7")]


def test_one_line_per_fact_and_no_name_twice() -> None:
    assert error_log.facts(ROWS, colour=False) == (
        "  app      app:app\n"
        "  address  http://h:1\n"
        "           http://h:2\n"
        "  pid      7\n"
    )  # fmt: skip


def test_colours_change_nothing_but_colours() -> None:
    coloured = error_log.facts(ROWS, colour=True)
    assert "\x1b[36mhttp://h:1\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == error_log.facts(ROWS, colour=False)


def test_columns_are_as_wide_as_their_widest_entry() -> None:
    assert error_log.columns([("A", "B", "C"), ("aaa", "b", "c")]) == "A    B  C\naaa  b  c\n"
    assert error_log.columns([]) == ""


def test_the_banner_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    stream = io.StringIO()
    monkeypatch.setattr(stream, "write", pieces.append)
    monkeypatch.setattr(sys, "stderr", stream)
    error_log.banner("bare-serve 1", ROWS, "Press Ctrl-C to stop.")
    assert pieces == [f"bare-serve 1\n{error_log.facts(ROWS, colour=False)}Press Ctrl-C to stop.\n"]


def test_an_error_comes_after_the_traceback_of_the_application(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error_log.error("it failed", "Traceback\nValueError\n")
    assert capsys.readouterr().err == "Traceback\nValueError\n\nbare-serve: error: it failed\n"
    error_log.error("it failed")
    assert capsys.readouterr().err == "bare-serve: error: it failed\n"


@pytest.mark.parametrize("stream", [Full(), None])
def test_an_output_that_cannot_be_written_to_is_no_error(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    error_log.say("x")


@pytest.fixture
def loggers() -> Iterator[logging.Logger]:
    """Ours as it is before anything was set up; everything is put back after the test."""
    ours, root = logging.getLogger(error_log.LOGGER), logging.getLogger()
    kept = [(it, it.handlers[:], it.level, it.propagate, it.disabled) for it in (ours, root)]
    ours.handlers, ours.propagate = [], True
    yield ours
    for logger, handlers, level, propagate, disabled in kept:
        logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled
        logger.setLevel(level)


def test_a_log_line_has_time_level_pid_and_message(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info")
    logging.getLogger("bare_serve.supervision").warning("worker %d ended", 3)
    logging.getLogger("bare_serve.supervision").debug("not shown")
    line = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d WARNING \[{os.getpid()}\] worker 3 ended\n"
    assert re.fullmatch(line, capsys.readouterr().err)


def test_a_log_line_is_coloured_by_its_level(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    error_log.set_up_logging("debug")
    loggers.error("x")
    loggers.info("y")
    error, info = capsys.readouterr().err.splitlines()
    assert "\x1b[31mERROR\x1b[0m" in error
    assert "\x1b" not in info


def test_setting_up_twice_does_not_double_the_lines(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info")
    error_log.set_up_logging("error")
    loggers.warning("too little")
    loggers.error("enough")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_message_that_does_not_fit_its_arguments_is_shown_anyway(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info")
    loggers.error("%d workers", "three")
    assert capsys.readouterr().err == "ERROR '%d workers' % ('three',)\n"


def test_whoever_set_the_logger_up_before_keeps_it(loggers: logging.Logger) -> None:
    handler = logging.NullHandler()
    loggers.addHandler(handler)
    error_log.set_up_logging("info")
    assert loggers.handlers == [handler]
    assert loggers.propagate


def test_other_loggers_are_left_alone(loggers: logging.Logger) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    error_log.set_up_logging("debug")
    assert (root.handlers, root.level) == before


def test_an_application_that_configures_logging_does_not_silence_ours(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info")
    child = logging.getLogger("bare_serve.worker")
    logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
    assert loggers.disabled
    assert child.disabled
    error_log.revive_logging()
    child.error("still here")
    assert "still here" in capsys.readouterr().err


def test_a_closed_standard_descriptor_does_not_become_a_socket() -> None:
    code = (
        "import os; from bare_serve import output; os.close(1); os.close(0);"
        "output.claim_standard_descriptors(); fd = os.open('/', os.O_RDONLY);"
        "os.write(2, b'%d %d' % (fd, os.fstat(1).st_rdev == os.stat('/dev/null').st_rdev))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    number, is_null = done.stderr.split()
    assert int(number) > 2
    assert is_null == b"1"


def test_files_that_the_application_logs_to_are_left_alone(
    tmp_path: Path, loggers: logging.Logger
) -> None:
    """Ours go on in a new file, whatever their mode, if theirs has been moved away."""
    shop = logging.getLogger("shop_of_test_output")
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "asked"), "mode": "w"}
    error_log.configure_logging(
        {"handlers": {"h": handler}, "loggers": {"bank_of_test_output": {"handlers": ["h"]}}}
    )
    theirs = logging.FileHandler(tmp_path / "theirs", mode="w")
    ours = logging.FileHandler(tmp_path / "ours", mode="w")
    shop.addHandler(theirs)
    loggers.addHandler(ours)
    bank = logging.getLogger("bank_of_test_output")
    try:
        for text in ("one", "two", "three"):
            for logger in (shop, loggers, bank):
                logger.error(text)
            if text == "one":
                error_log.reopen_error_log()
            if text == "two":
                for name in ("theirs", "ours", "asked"):
                    (tmp_path / name).rename(tmp_path / f"{name}.1")
                error_log.reopen_error_log()
        for name in ("ours", "asked"):
            assert (tmp_path / f"{name}.1").read_text() == "one\ntwo\n"
            assert (tmp_path / name).read_text() == "three\n"
        assert (tmp_path / "theirs.1").read_text() == "one\ntwo\nthree\n"
    finally:
        for logger in (shop, bank):
            for each in logger.handlers[:]:
                logger.removeHandler(each)
                each.close()
        ours.close()
