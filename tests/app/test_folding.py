"""Tracebacks for a log: the application's frames first, libraries' folded, nothing lost."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bare_serve.app import tracebacks
from bare_serve.app.folding import folded, library_of

FRAMEWORK = """
def dispatch(call):
    return inner(call)

def inner(call):
    return call()

def fail():
    raise LookupError("in the library")
"""


@pytest.fixture
def framework(tmp_path: Path) -> dict[str, Any]:
    """A library as it is installed: functions that call another one, or fail."""
    path = tmp_path / "site-packages" / "framework" / "core.py"
    path.parent.mkdir(parents=True)
    path.write_text(FRAMEWORK)
    names: dict[str, Any] = {}
    exec(compile(FRAMEWORK, str(path), "exec"), names)
    return names


def shown(call: Callable[[], Any]) -> list[str]:
    """What is written of the exception that `call` raises, below this function's own frame."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (any)
        call()
    return folded(caught.value, caught.tb.tb_next).splitlines()


def frames(lines: list[str]) -> list[str]:
    """The functions of frames, and lines for folded ones."""
    return [
        line.strip() if "..." in line else line.rpartition(" in ")[2]
        for line in lines
        if line.startswith(('  File "', "  ... "))
    ]


def test_begins_with_the_application_and_folds_what_is_between(framework: dict[str, Any]) -> None:
    def view() -> None:
        framework["dispatch"](query)

    def query() -> None:
        raise ValueError("no")

    lines = shown(partial(framework["dispatch"], view))
    assert frames(lines) == ["view", "... 2 frames of framework", "query"]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: no"


def test_the_frame_that_raised_is_shown_whosever_it_is(framework: dict[str, Any]) -> None:
    lines = shown(lambda: framework["dispatch"](framework["fail"]))
    assert frames(lines)[1:] == ["... 2 frames of framework", "fail"]
    assert lines[-1] == "LookupError: in the library"
    lines = shown(lambda: framework["dispatch"](lambda: json.loads("{")))
    assert frames(lines)[-2:] == ["... 2 frames of Python", "raw_decode"]


def test_nothing_is_folded_where_nothing_is_the_applications(framework: dict[str, Any]) -> None:
    lines = shown(partial(framework["dispatch"], framework["fail"]))
    assert frames(lines) == ["dispatch", "inner", "fail"]


def test_causes_and_members_of_groups_are_folded_as_well(framework: dict[str, Any]) -> None:
    def cause() -> None:
        try:
            framework["dispatch"](inner)
        except ValueError as error:
            raise RuntimeError("outer") from error

    def inner() -> None:
        raise ValueError("inner")

    lines = shown(lambda: framework["dispatch"](cause))
    assert frames(lines)[:3] == ["cause", "... 2 frames of framework", "inner"]
    assert "RuntimeError: outer" in lines
    try:
        framework["dispatch"](cause)
    except RuntimeError as error:
        member = error

    def group() -> None:
        raise ExceptionGroup("several", [member])

    text = "\n".join(shown(group))
    assert text.count("... 2 frames of framework") == 2
    assert "ExceptionGroup: several (1 sub-exception)" in text


def test_an_application_that_is_installed_is_no_library(framework: dict[str, Any]) -> None:
    file = framework["fail"].__code__.co_filename
    assert library_of(file) == "framework"
    tracebacks.note_own(file)
    try:
        assert library_of(file) == ""
        assert library_of(file.replace("/framework/", "/other/")) == "other"
    finally:
        tracebacks.OWN.discard(file.removesuffix("/core.py"))


LIBRARIES = [
    (tracebacks.__file__, "bare-serve"),
    (json.__file__, "Python"),
    ("<frozen importlib._bootstrap>", "Python"),
    ("/srv/shop/.venv/lib/python3.12/site-packages/six.py", "six"),
    ("/usr/lib/python3/dist-packages/django/views.py", "django"),
    ("/srv/shop/app.py", ""),
    ("<string>", ""),
]


@pytest.mark.parametrize(("file", "name"), LIBRARIES)
def test_whose_a_file_is(file: str, name: str) -> None:
    assert library_of(file) == name


def test_what_is_written_is_what_python_writes_otherwise() -> None:
    def fail() -> None:
        error = ValueError("x")
        error.add_note("a note")
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        fail()
    plain = "".join(traceback.format_exception(caught.value))
    assert folded(caught.value, caught.tb) == plain
