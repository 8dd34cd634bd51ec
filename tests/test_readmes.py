"""What the READMEs inside the package say of files and functions is so.

A file is named in backticks by its path in the folder, in the package or in the repository. Names
behind `file.py`: are defined in that file; a name such as `Class.method` anywhere else is defined
somewhere in the package.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

# Each README, and how many functions it names at least: a rule that finds none would prove nothing.
FOLDERS = {
    **dict.fromkeys(("http1", "asgi", "wsgi", "workers", "supervision"), 15),
    **dict.fromkeys(("config", "logs", "app", "tls", "websocket", "server"), 10),
    **dict.fromkeys(("http", "net", "hooks", "counts", "ops", "xray"), 5),
    "testing": 5,
    "middleware": 5,
    "dev": 10,
    "bare": 10,
    "clauses": 3,
}

_FILE = re.compile(r"`((?:[\w.]+/)*\w+\.(?:py|md))`")
_FOLDER = re.compile(r"`((?:\w+/)+)`")
_PLACE = re.compile(r"`((?:\w+/)*\w+\.py)`: ((?:`(?!\w+\.py`)[\w.]+`(?:, )?)+)")
_NAME = re.compile(r"`([\w.]+)`")
_MEMBER = re.compile(r"`(_?[A-Z]\w*[a-z]\w*\.[a-z_]\w*)`")


@cache
def names_in(source: str) -> set[str]:
    """All that a module defines, `Class.member` too; attributes that methods set count."""
    found: set[str] = set()

    def gather(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                gather(node.body, f"{node.name}.")
                found.update(f"{node.name}.{name}" for name in _set_by_methods(node))
            elif isinstance(node, ast.If):
                gather(node.body + node.orelse, prefix)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(prefix + each.id for each in targets if isinstance(each, ast.Name))

    gather(ast.parse(source).body, "")
    return found


def _set_by_methods(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            yield inner.attr


@cache
def names_anywhere(package: Path) -> set[str]:
    """What the modules of a package define, all together."""
    return set().union(*(names_in(path.read_text("utf-8")) for path in package.rglob("*.py")))


def faults(text: str, folder: Path, package: Path) -> list[str]:
    """One sentence for each file or name that does not exist."""
    found: list[str] = []
    tops = (folder, package, package.parent)

    def place(name: str) -> Path | None:
        return next((top / name for top in tops if (top / name).exists()), None)

    paths = sorted({*_FILE.findall(text), *_FOLDER.findall(text)})
    found += [f"there is no {name}" for name in paths if place(name) is None]
    for file, names in _PLACE.findall(text):
        path = place(file)
        known = names_in(path.read_text("utf-8")) if path is not None else set()
        found += [f"{file} has no {name}" for name in _NAME.findall(names) if name not in known]
    everywhere = names_anywhere(package)
    found += [f"nothing is {name}" for name in _MEMBER.findall(text) if name not in everywhere]
    return found


@pytest.mark.parametrize("name", FOLDERS)
def test_what_a_readme_names_exists(root: Path, name: str) -> None:
    package = root / "bare_serve"
    text = (package / name / "README.md").read_text("utf-8")
    assert len(_PLACE.findall(text)) >= FOLDERS[name]
    assert faults(text, package / name, package) == []


def test_each_readme_is_held(root: Path) -> None:
    found = {path.parent.name for path in (root / "bare_serve").glob("*/README.md")}
    assert found == FOLDERS.keys()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_readme_names_each_file_of_its_folder(root: Path, name: str) -> None:
    folder = root / "bare_serve" / name
    text = (folder / "README.md").read_text("utf-8")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    missing = files - {*_FILE.findall(text)}
    assert {file for file in missing if not file.endswith("__init__.py")} == set()


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("see `attic.py`", "there is no attic.py"),
        ("see `attic/`", "there is no attic/"),
        ("see `tests/http1/test_attic.py`", "there is no tests/http1/test_attic.py"),
        ("`head.py`: `build_head`, `build_attic`", "head.py has no build_attic"),
        ("`body.py`: `ChunkedBody.feed`, `LengthBody.rest`", "body.py has no LengthBody.rest"),
        ("as `RequestReader.phases` says", "nothing is RequestReader.phases"),
    ],
)
def test_what_does_not_exist_is_found(root: Path, planted: str, fault: str) -> None:
    package = root / "bare_serve"
    assert fault in faults(planted, package / "http1", package)
