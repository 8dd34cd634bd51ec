"""Blocks as text: columns, colours, marks, and nothing that could lead a terminal astray."""

from __future__ import annotations

import re
from typing import Any

from bare_serve.xray.text import render
from bare_serve.xray.trace import ADVICE, APP, IN, MOST_BLOCKS, MOST_STEPS, OUT, WRONG, Block, Step
from tests.xray.driving import Shown, call_wsgi

STEPS = [Step(0.0, mark, "name", "text") for mark in (IN, APP, OUT, WRONG, ADVICE)]


def test_columns_marks_and_colours() -> None:
    block = Block("#1  GET /", ("200", "1.00 ms"), STEPS)
    assert render(block).splitlines()[:3] == [
        "#1  GET /   200   1.00 ms",
        "    0.00 -> name            text",
        "    0.00 <- name            text",
    ]
    arrows = render(block, arrows=True)
    assert [mark in arrows for mark in "→←⇒✗!"] == [True] * 5
    coloured = render(block, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == render(block)
    assert "\x1b[31mx " in coloured


def test_long_lines_are_parted_and_indented() -> None:
    block = Block("#1", (), [Step(0.0, IN, "name", "word " * 60 + "\nmore")])
    lines = render(block).splitlines()
    assert max(map(len, lines)) <= 142
    assert all(line.startswith(" " * 28) for line in lines[2:-1])


def test_no_word_of_anybody_moves_a_cursor() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError("\x1b[2Jgone\u202e \x07\rfrom\x9b1m")

    text = call_wsgi(app, b"GET /\x7f HTTP/1.1\r\nHost: test\r\nX: \x9b2J\r\n\r\n")
    text += call_wsgi(app, b"GET /a HTTP/1.1\r\nHost: test\r\nX: \x9b2J\xe2\x80\xae\r\n\r\n")
    assert "gone" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_what_has_very_many_steps_is_bounded() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"] * 10_000

    shown = call_wsgi(app)
    assert shown.count("(goes on)") == MOST_BLOCKS
    assert 1000 < shown.count("<- piece ") <= MOST_BLOCKS * MOST_STEPS
    assert re.search(r"left out +\d+ more steps of this request", shown)


def test_a_record_that_is_finished_takes_no_more() -> None:
    shown = Shown()
    trace = shown.tracer.begin_apart("lifespan")
    trace.step(IN, "call")
    trace.finish()
    trace.step(IN, "late")
    trace.finish()
    assert len(shown.blocks) == 1
    assert "late" not in shown.text
