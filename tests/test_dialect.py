"""What one dialect asks for beyond the rules of ruff: the names of loggers, and backticks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


def faults(source: str) -> Iterator[str]:
    """Yield what a module spells otherwise than the others: module loggers, double backticks."""
    for number, line in enumerate(source.splitlines(), 1):
        if "`" * 2 in line:
            yield f"{number}: double backticks"
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and _is_logger(node.value):
            names = [each.id for each in node.targets if isinstance(each, ast.Name)]
            if names != ["logger"]:
                yield f"{node.lineno}: a logger named {', '.join(names)}"


def _is_logger(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "getLogger"


def test_the_package_speaks_one_dialect(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{fault}"
        for path in sorted((root / "bare_serve").rglob("*.py"))
        for fault in faults(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("import logging\nlog = logging.getLogger('a')", "2: a logger named log"),
        ("_logger = getLogger('a')", "1: a logger named _logger"),
        (f"x = 1  # as {'`' * 2}x{'`' * 2}", "1: double backticks"),
    ],
)
def test_another_spelling_is_found(planted: str, fault: str) -> None:
    assert [*faults(planted)] == [fault]


def test_the_spelling_of_the_house_is_none() -> None:
    assert [*faults("import logging\nlogger = logging.getLogger('a')  # `a`")] == []
