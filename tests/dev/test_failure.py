"""An exception becomes a record that is whole, bounded, and without secrets."""

from __future__ import annotations

import json
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bare_serve.dev import failure, record
from bare_serve.dev.failure import describe
from bare_serve.dev.record import APP, LEFT_OUT, LIBRARY, PYTHON, Failure
from bare_serve.errors import AppLoadError


def raised(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def run(tmp_path: Path, source: str, name: str = "app.py") -> BaseException:
    """What a file raises when it is run."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, "utf-8")
    return raised(lambda: exec(compile(source, str(path), "exec"), {"__name__": "app"}))


def test_the_line_that_failed_and_where_in_it(tmp_path: Path) -> None:
    found = describe(run(tmp_path, "def view(n):\n    é = 'é'; return é and 1 / n\n\nview(0)\n"))
    assert found.title == "ZeroDivisionError: division by zero"
    place = found.place
    assert place is not None
    assert (place.file, place.line, place.function) == (str(tmp_path / "app.py"), 2, "view")
    line = place.lines[place.line - place.first]
    assert line[place.column : place.end_column] == "1 / n"
    assert place.values == (("n", "0"), ("é", "'é'"))
    assert [frame.function for frame in found.chain[0].frames][-2:] == ["<module>", "view"]


def test_source_is_five_lines_before_and_behind(tmp_path: Path) -> None:
    source = "x = 1\n" * 20 + "1 / 0\n" + "x = 2\n" * 20
    place = describe(run(tmp_path, source)).place
    assert place is not None
    assert (place.line, place.first, len(place.lines)) == (21, 16, 11)


def test_source_is_that_of_the_file_now(tmp_path: Path) -> None:
    run(tmp_path, "1 / 0\n")
    linecache.getlines(str(tmp_path / "app.py"))
    place = describe(run(tmp_path, "x = 1\n1 / 0  # now longer\n")).place
    assert place is not None
    assert place.lines == ("x = 1", "1 / 0  # now longer")


def test_a_chain_is_told_from_the_last_to_the_first(tmp_path: Path) -> None:
    source = """
try:
    try:
        {}["a"]
    except KeyError:
        1 / 0
except ZeroDivisionError as error:
    raise RuntimeError("at last") from error
"""
    chain = describe(run(tmp_path, source)).chain
    assert [(link.type, link.relation) for link in chain] == [
        ("RuntimeError", ""),
        ("ZeroDivisionError", "cause"),
        ("KeyError", "context"),
    ]


def test_from_none_ends_a_chain(tmp_path: Path) -> None:
    source = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('x') from None\n"
    assert [link.type for link in describe(run(tmp_path, source)).chain] == ["ValueError"]


def test_a_chain_that_is_a_circle_ends() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert [link.message for link in describe(one).chain] == ["1", "2"]


def test_a_long_chain_is_bounded() -> None:
    error: BaseException = ValueError("0")
    for number in range(100):
        after = ValueError(str(number))
        after.__cause__ = error
        error = after
    assert len(describe(error).chain) == 8


def test_members_of_a_group_and_notes() -> None:
    inner = raised(lambda: 1 // 0)
    group = ExceptionGroup("several", [inner, ValueError("x")])  # type: ignore[list-item]
    group.add_note("look there")
    link = describe(group).chain[0]
    assert link.notes == ("look there",)
    assert [chain[0].type for chain in link.members] == ["ZeroDivisionError", "ValueError"]


def test_a_deep_group_is_bounded() -> None:
    group: Exception = ValueError("x")
    for _ in range(50):
        group = ExceptionGroup("deep", [group] * 20)
    assert len(record.to_json(describe(group))) <= record.MOST_JSON


@pytest.mark.parametrize(
    ("source", "line", "marked"),
    [
        ("x = 1\ndef f(:\n    pass\n", 2, ":"),
        ("x = (1,\n", 1, "("),
        ("if x\n    pass\n", 1, ""),
        ("x = 'abc\n", 1, "'"),
        ("def f():\nreturn 1\n", 2, "return"),
    ],
)
def test_a_syntax_error_has_its_place(tmp_path: Path, source: str, line: int, marked: str) -> None:
    found = describe(run(tmp_path, source))
    place = found.place
    assert place is not None
    assert (place.file, place.line, place.function) == (str(tmp_path / "app.py"), line, "")
    text = place.lines[place.line - place.first]
    assert text[place.column :].startswith(marked)
    assert "app.py" not in found.title, "the place stands beside the message, not in it"


def test_frames_of_libraries_and_of_python_are_told_apart(tmp_path: Path) -> None:
    source = "import json\ndef call(view):\n    json.loads('[1]', parse_int=lambda text: view())\n"
    library = tmp_path / "site-packages" / "frame_work" / "core.py"
    run_library: dict[str, Any] = {}
    exec(compile(source, str(library), "exec"), run_library)
    found = describe(raised(lambda: run_library["call"](lambda: 1 // 0)))
    kinds = [(frame.kind, frame.package) for frame in found.chain[0].frames]
    assert (LIBRARY, "frame_work") in kinds
    assert (PYTHON, "Python") in kinds
    assert kinds[-1] == (APP, "")


def test_the_servers_own_frames_before_the_applications_are_no_part(tmp_path: Path) -> None:
    from bare_serve.app import load

    (tmp_path / "broken_app.py").write_text("1 / 0\n")
    error = raised(lambda: load("broken_app:app", app_dir=tmp_path))
    sys.path.remove(str(tmp_path))
    assert isinstance(error, AppLoadError)
    found = describe(error)
    assert found.about == str(error)
    frames = found.chain[0].frames
    assert [frame.file for frame in frames] == [str(tmp_path / "broken_app.py")]


def test_an_error_without_an_origin_is_told_itself() -> None:
    found = describe(AppLoadError("There is no module 'x'"))
    assert found.chain[0].message == "There is no module 'x'"


def test_a_name_that_is_nearly_right_is_offered(tmp_path: Path) -> None:
    found = describe(run(tmp_path, "requests = 1\nreqests\n"))
    assert "did you mean 'requests'?" in found.title


def test_a_recursion_is_bounded(tmp_path: Path) -> None:
    source = "def f(n):\n    return g(n)\ndef g(n):\n    return f(n + 1)\nf(0)\n"
    found = describe(run(tmp_path, source))
    frames = found.chain[0].frames
    assert len(frames) == 61
    assert [frame.kind for frame in frames].count(LEFT_OUT) == 1
    assert sum(bool(frame.values) for frame in frames) == 8


def test_a_call_from_the_same_line_over_and_over_is_shown_three_times(tmp_path: Path) -> None:
    source = "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(40)\n"
    found = describe(run(tmp_path, source))
    frames = [frame for frame in found.chain[0].frames if frame.file != __file__]
    assert [frame.function for frame in frames] == ["<module>", "f", "f", "", "f"]
    assert (frames[3].kind, frames[3].line) == (LEFT_OUT, 38)
    short = describe(run(tmp_path, source.replace("40", "3")))
    assert [frame.function for frame in short.chain[0].frames].count("f") == 4


@pytest.mark.parametrize("fault", ["OSError", "SystemExit", "KeyboardInterrupt"])
def test_what_cannot_be_shown_does_no_harm(fault: str, tmp_path: Path) -> None:
    source = """
class Bad(Exception):
    def __str__(self):
        raise FAULT("in __str__")
    @property
    def __notes__(self):
        raise FAULT("in __notes__")
class Odd:
    def __repr__(self):
        raise FAULT("in __repr__")
def f():
    odd = Odd()
    raise Bad
f()
""".replace("FAULT", fault)
    found = describe(run(tmp_path, source))
    assert found.chain[0].type == "app.Bad"
    assert found.chain[0].message == "<the message cannot be shown>"
    assert found.chain[0].notes == ("<the notes cannot be shown>",)
    place = found.place
    assert place is not None
    assert place.values == (("odd", f"<Odd, whose repr raised {fault}>"),)


def test_values_that_take_too_long_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure, "_PATIENCE", -1.0)
    place = describe(run(tmp_path, "def f():\n    a = b = 1\n    1 / 0\nf()\n")).place
    assert place is not None
    assert place.values == (("...", "2 more"),)


def test_secrets_are_hidden(tmp_path: Path) -> None:
    source = """
def f(password, url, environ):
    api_key = "S3cr3t"
    raise ValueError("cannot reach " + url)
f("S3cr3t", "postgres://user:S3cr3t@host/db?token=S3cr3t", {"HTTP_COOKIE": "sid=S3cr3t"})
"""
    found = describe(run(tmp_path, source))
    frames = [each for each in found.chain[0].frames if each.file.startswith(str(tmp_path))]
    assert [frame.function for frame in frames] == ["<module>", "f"]
    shown = [found.title, *(str(frame.values) for frame in frames)]
    assert "S3cr3t" not in "".join(shown)
    assert "cannot reach postgres://" in found.title


def test_modules_functions_and_dunders_are_no_values(tmp_path: Path) -> None:
    place = describe(run(tmp_path, "import sys\nx = 1\ndef f(): ...\n1 / 0\n")).place
    assert place is not None
    assert place.values == (("x", "1"),)


def test_a_record_comes_back_from_json(tmp_path: Path) -> None:
    found = describe(run(tmp_path, "def f(n):\n    raise OSError(2, 'x') from KeyError(n)\nf(0)\n"))
    assert record.from_json(record.to_json(found)) == found
    assert failure.from_json(failure.to_json(found)) == found


def test_json_is_bounded_by_leaving_out_what_matters_least(tmp_path: Path) -> None:
    lines = "\n".join(f"    x{number} = {'é' * 250!r}" for number in range(100))
    found = describe(run(tmp_path, f"def f():\n{lines}\n    1 / 0\nf()\n"))
    sizes = {}
    for most in (60_000, 20_000, 6_000, 1_500, 200):
        data = record.to_json(found, most)
        assert len(data) <= most
        back = record.from_json(data)
        assert back is not None
        assert "ZeroDivisionError" in back.title
        sizes[most] = len(data)
    assert sizes[60_000] > sizes[6_000] > sizes[200]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "null",
        "[]",
        "[1,[]]",
        '["",[1]]',
        '["",[["a","",[],"",[],[["x"]]]]]',
        '["",[["a","",[],"",[[]],[]]]]',
        '["",[["a","",[],"",[["f",-5,1,1,1,"","","",0,[],[]]],[]]]]',
        '["",[["a","",[],"",[["f",true,1,1,1,"","","",0,[],[[1,2]]]],[]]]]',
        '["",' + "[" * 5000,
        "\ud800",
    ],
)
def test_what_is_no_record_is_none(data: str) -> None:
    assert record.from_json(data) is None


def test_a_record_that_is_shorter_is_still_a_list() -> None:
    assert json.loads(record.to_json(Failure("about", ()))) == ["about", []]


def test_paths_are_shown_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert record.relative(str(tmp_path / "a" / "b.py")) == "a/b.py"
    assert record.relative("/elsewhere/b.py") == "/elsewhere/b.py"
