"""The console: when there is colour, what the banner and errors look like."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from bare_serve.logs import console


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
    assert console.wants_colour(stream, env) is expected


ROWS = [("app", "app:app"), ("address", "http://h:1"), ("address", "http://h:2"), ("pid", "7")]


def test_one_line_per_fact_and_no_name_twice() -> None:
    assert console.facts(ROWS, colour=False) == (
        "  app      app:app\n"
        "  address  http://h:1\n"
        "           http://h:2\n"
        "  pid      7\n"
    )  # fmt: skip


def test_colours_change_nothing_but_colours() -> None:
    coloured = console.facts(ROWS, colour=True)
    assert "\x1b[36mhttp://h:1\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == console.facts(ROWS, colour=False)


def test_columns_are_as_wide_as_their_widest_entry() -> None:
    assert console.columns([("A", "B", "C"), ("aaa", "b", "c")]) == "A    B  C\naaa  b  c\n"
    assert console.columns([]) == ""


def test_the_banner_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    stream = io.StringIO()
    monkeypatch.setattr(stream, "write", pieces.append)
    monkeypatch.setattr(sys, "stderr", stream)
    console.banner("bare-serve 1", ROWS, "Press Ctrl-C to stop.")
    assert pieces == [f"bare-serve 1\n{console.facts(ROWS, colour=False)}Press Ctrl-C to stop.\n"]


def test_an_error_comes_after_the_traceback_of_the_application(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.error("it failed", "Traceback\nValueError\n")
    assert capsys.readouterr().err == "Traceback\nValueError\n\nbare-serve: error: it failed\n"
    console.error("it failed")
    assert capsys.readouterr().err == "bare-serve: error: it failed\n"


@pytest.mark.parametrize("stream", [Full(), None])
def test_an_output_that_cannot_be_written_to_is_no_error(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    console.say("x")


def test_a_closed_standard_descriptor_does_not_become_a_socket() -> None:
    code = (
        "import os; from bare_serve.logs import console; os.close(1); os.close(0);"
        "console.claim_standard_descriptors(); fd = os.open('/', os.O_RDONLY);"
        "os.write(2, b'%d %d' % (fd, os.fstat(1).st_rdev == os.stat('/dev/null').st_rdev))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    number, is_null = done.stderr.split()
    assert int(number) > 2
    assert is_null == b"1"


WIDE = [
    ("NAME", "VALUE", "SOURCE"),
    ("bind", "one two three four five six seven", "file /a/b/c.toml"),
]


def test_columns_wrap_in_a_window_and_nowhere_else() -> None:
    assert console.columns(WIDE).splitlines()[1] == (
        "bind  one two three four five six seven  file /a/b/c.toml"
    )
    assert console.columns(WIDE, 40).splitlines() == [
        "NAME  VALUE             SOURCE",
        "bind  one two three     file /a/b/c.toml",
        "      four five six",
        "      seven",
    ]
    for width in (1, 20, 30, 60):
        text = console.columns(WIDE, width)
        words = [word for row in WIDE for entry in row for word in entry.split()]
        assert sorted(text.replace("\n", " ").split()) == sorted(words) or width < 40
        assert max(map(len, text.splitlines())) <= max(width, 4 + 2 + 12 + 2 + 12)


def test_a_window_is_that_of_a_terminal() -> None:
    assert console.window(None) == 0
    assert console.window(io.StringIO()) == 0
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 72))
    with os.fdopen(slave, "w") as stream:
        assert console.window(stream) == 72
    os.close(master)
