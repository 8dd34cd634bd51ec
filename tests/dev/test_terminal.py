"""A failure as text: Python's order, the user's frames bright, those of libraries folded."""

from __future__ import annotations

import re

import pytest

from bare_serve.dev import terminal
from bare_serve.dev.record import APP, LEFT_OUT, LIBRARY, Failure, Frame, Link


def frame(
    file: str = "/app/views.py",
    line: int = 12,
    function: str = "view",
    kind: str = APP,
    package: str = "",
    source: str = "    return 1 / 0",
    column: int = 11,
    end_column: int = 16,
) -> Frame:
    where = (file, line, line, column, end_column, function, kind, package, line)
    return Frame(*where, lines=(source,), values=())


def library(name: str, function: str = "call") -> Frame:
    return frame(f"/site-packages/{name}/x.py", 1, function, LIBRARY, name, "    f()", -1, -1)


def failure(*frames: Frame, message: str = "division by zero", about: str = "") -> Failure:
    return Failure(about, (Link("ZeroDivisionError", message, (), "", frames, ()),))


def test_a_traceback_as_python_writes_it() -> None:
    assert terminal.text(failure(frame(function="outer"), frame())) == (
        "Traceback (most recent call last):\n"
        '  File "/app/views.py", line 12, in outer\n'
        "    return 1 / 0\n"
        "           ^^^^^\n"
        '  File "/app/views.py", line 12, in view\n'
        "    return 1 / 0\n"
        "           ^^^^^\n"
        "ZeroDivisionError: division by zero\n"
    )


def test_frames_of_libraries_are_one_line() -> None:
    shown = terminal.text(failure(library("flask"), library("flask"), library("werkzeug"), frame()))
    assert "  ... 3 frames of flask, werkzeug\n" in shown
    assert "site-packages" not in shown


def test_the_last_frame_is_shown_whosever_it_is() -> None:
    shown = terminal.text(failure(frame(), library("sqlalchemy"), library("sqlalchemy", "execute")))
    assert "  ... 1 frame of sqlalchemy\n" in shown
    assert 'x.py", line 1, in execute\n    f()\nZeroDivisionError' in shown


def test_frames_that_were_left_out_are_counted() -> None:
    left_out = Frame("", 900, 900, -1, -1, "", LEFT_OUT, "", 0, (), ())
    shown = terminal.text(failure(frame(), left_out, frame()))
    assert "  ... 900 frames\n" in shown


def test_the_place_of_a_syntax_error_has_no_function() -> None:
    place = frame(function="", source="def f(:", column=6, end_column=7)
    found = Failure("", (Link("SyntaxError", "invalid syntax", (), "", (place,), ()),))
    assert terminal.text(found) == (
        '  File "/app/views.py", line 12\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'
    )


def test_a_place_at_the_end_of_a_line_is_marked_behind_it() -> None:
    place = frame(function="", source="if x", column=4, end_column=5)
    found = Failure("", (Link("SyntaxError", "expected ':'", (), "", (place,), ()),))
    assert "    if x\n        ^\n" in terminal.text(found)


def test_what_led_to_an_exception_stands_above_it() -> None:
    chain = (
        Link("RuntimeError", "last", (), "", (frame(),), ()),
        Link("KeyError", "'a'", (), "cause", (frame(),), ()),
        Link("OSError", "first", (), "context", (frame(),), ()),
    )
    shown = terminal.text(Failure("", chain))
    places = [
        shown.index(each)
        for each in ("OSError: first", "While the", "KeyError: 'a'", "direct cause", "RuntimeError")
    ]
    assert places == sorted(places)


def test_notes_members_and_what_the_server_says() -> None:
    member = (Link("ValueError", "x", (), "", (), ()),)
    link = Link("ExceptionGroup", "two\nlines", ("a note",), "", (), (member, member))
    shown = terminal.text(Failure("'app:app' raised ExceptionGroup", (link,)))
    assert shown == (
        "ExceptionGroup: two\nlines\na note\n"
        "  --- 1 of 2 ---\n  ValueError: x\n  --- 2 of 2 ---\n  ValueError: x\n"
        "'app:app' raised ExceptionGroup\n"
    )


def test_tabs_stay_so_that_carets_are_in_their_place() -> None:
    shown = terminal.text(failure(frame(source="\tx\t= 1 / 0", column=5, end_column=10)))
    assert "    x\t= 1 / 0\n     \t  ^^^^^\n" in shown


def test_a_whole_line_is_not_marked() -> None:
    shown = terminal.text(failure(frame(source="    1 / 0", column=4, end_column=9)))
    assert "^" not in shown


@pytest.mark.parametrize("colour", [True, False])
def test_nothing_of_the_applications_moves_a_cursor(colour: bool) -> None:
    hostile = "\x1b[2J\r\x07\u202e"
    found = failure(
        frame(file=hostile, function=hostile, source=hostile), message=hostile, about=hostile
    )
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.text(found, colour=colour))
    assert all(each.isprintable() for each in shown.splitlines())


def test_colours_change_no_character() -> None:
    found = failure(library("flask"), frame(), about="x")
    coloured = terminal.text(found, colour=True)
    assert "\x1b[1;31mZeroDivisionError\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == terminal.text(found)


def test_an_exception_for_the_log() -> None:
    assert terminal.of_exception(ValueError("x"), False) == "ValueError: x\n"
    assert terminal.of_exception(ValueError("x"), True).startswith("\x1b[")


def test_an_exception_that_cannot_be_described_has_the_traceback_of_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def describe(error: BaseException) -> Failure:
        raise RuntimeError

    monkeypatch.setattr(terminal, "describe", describe)
    assert terminal.of_exception(ValueError("a\x1b[0m\nb"), True) == "ValueError: a\\x1b[0m\nb\n"
