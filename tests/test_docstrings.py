"""The files that docstrings of modules name exist, since a docstring says where the rest is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_FILE = re.compile(r"(?<![\w./-])((?:\w+/)*\w+\.py)\b")
_OF_USERS = {"manage.py", "path/to/file.py"}
"""What applications and projects call their files."""


def missing(source: str, folder: Path, package: Path) -> list[str]:
    """Return the files that a module's docstring names, and that are nowhere."""
    text = ast.get_docstring(ast.parse(source)) or ""
    tops = (folder, folder.parent, package, package.parent)
    named = sorted({*_FILE.findall(text)} - _OF_USERS)
    return [name for name in named if not any((top / name).exists() for top in tops)]


def test_what_docstrings_name_exists(root: Path) -> None:
    package = root / "bare_serve"
    found = {
        str(path.relative_to(root)): names
        for path in sorted(package.rglob("*.py"))
        if (names := missing(path.read_text("utf-8"), path.parent, package))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("named", "gone"),
    [
        ("head.py", []),
        ("http1/head.py", []),
        ("tests/test_docstrings.py", []),
        ("attic.py, head.py", ["attic.py"]),
        ("wsgi/head.py", ["wsgi/head.py"]),
    ],
)
def test_a_file_that_is_gone_is_found(root: Path, named: str, gone: list[str]) -> None:
    package = root / "bare_serve"
    assert missing(f'"""See ({named})."""', package / "http1", package) == gone
