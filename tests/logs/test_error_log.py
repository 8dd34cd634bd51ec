"""The error log: what its lines look like, and whose loggers it sets up."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.logs import error_log


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


def test_facts_of_the_banner_are_numbers_where_they_are_some(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info", json=True)
    rows = [("app", "shop:app"), ("workers", "2 (auto: a reason)"), ("pid", "17")]
    rows += [("address", "http://a:1"), ("address", "http://a:2"), ("loop", "3.5 of 4")]
    assert error_log.log_facts("bare-serve 1", rows)
    entry = json.loads(capsys.readouterr().err)
    assert (entry["workers"], entry["workers_reason"], entry["pid"]) == (2, "auto: a reason", 17)
    assert (entry["address"], entry["loop"]) == ("http://a:1, http://a:2", "3.5 of 4")
    error_log.log_facts("bare-serve 1", [("workers", "0, served in this process")])
    entry = json.loads(capsys.readouterr().err)
    assert (entry["workers"], entry["workers_reason"]) == (0, "served in this process")


@pytest.mark.parametrize("how", ["text", "debug", "json"])
def test_frames_of_libraries_are_folded_unless_all_is_asked_for(
    how: str, loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("debug" if how == "debug" else "info", json=how == "json")
    try:
        json.loads("{")
    except ValueError:
        loggers.exception("it failed")
    written = capsys.readouterr().err
    text = json.loads(written)["exception"]["traceback"] if how == "json" else written
    assert text.rstrip().endswith("line 1 column 2 (char 1)")
    assert "in test_frames_of_libraries" in text
    assert ("  ... 2 frames of Python\n" in text) is (how == "text")
    assert (", in loads" in text) is (how != "text")


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


def test_exceptions_may_be_shown_in_another_way(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info")
    error_log.show_exceptions(lambda error, colour: f"{error!r} {colour}\n")
    assert not error_log.is_coloured()
    logging.getLogger("bare_serve.app").error("It failed.", exc_info=ValueError("x"))
    assert capsys.readouterr().err.endswith("It failed.\nValueError('x') False\n")


def test_json_stays_json_however_exceptions_are_shown(
    loggers: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    error_log.set_up_logging("info", json=True)
    error_log.show_exceptions(lambda error, colour: "other")
    logging.getLogger("bare_serve.app").error("It failed.", exc_info=ValueError("x"))
    assert "other" not in capsys.readouterr().err


def test_nothing_is_shown_in_another_way_where_the_log_is_not_ours(
    loggers: logging.Logger,
) -> None:
    error_log.show_exceptions(lambda error, colour: "other")
    assert not error_log.is_coloured()
