"""docs/security.md speaks the truth: each test it names exists, and each attack names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support import ROOT

DOCUMENT = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "attack" and set(row[0]) != {"-"}]


def names_in(path: Path) -> set[str]:
    """The test functions of a file, without importing it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def missing(text: str) -> list[str]:
    """What is named and does not exist."""
    found = []
    for file, name in NAMED.findall(text):
        path = ROOT / file
        if not path.is_file() or (name and name not in names_in(path)):
            found.append(f"{file}::{name}")
    return found


def test_every_test_that_is_named_exists() -> None:
    assert missing(DOCUMENT.read_text(encoding="utf-8")) == []


def test_every_attack_names_a_test() -> None:
    table = rows(DOCUMENT.read_text(encoding="utf-8"))
    assert len(table) > 30
    for attack, what, tests in table:
        assert attack
        assert what
        assert all(name for _, name in NAMED.findall(tests)), attack
        assert NAMED.search(tests), attack


def test_a_name_that_does_not_exist_is_noticed() -> None:
    good = "`tests/test_security_doc.py::test_every_attack_names_a_test`"
    assert missing(good) == []
    assert missing("`tests/test_security_doc.py::test_nothing`") != []
    assert missing("`tests/test_nowhere.py::test_nothing`") != []
