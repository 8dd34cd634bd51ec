"""`make mutants`: each change is found, tried, told, and gone afterwards."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import clean_environment
from tools.mutants.__main__ import read_equivalents
from tools.mutants.operators import mutants

SHOP = '''"""Law."""

LEAST = 3


def price(count, each, reduced=False):
    """Docstring."""
    if count > LEAST and reduced:
        return count * each - 1
    return count * each


def wait(times):
    while times > 0:
        times -= 1
    return times


def unreached(x):
    return x + 1
'''

TESTS = """
import subprocess, sys
from shop.core import price, wait

def test_price():
    assert price(2, 5) == 10
    assert price(4, 5, True) == 19
    assert price(4, 5) == 20

def test_wait():
    assert wait(3) == 0
"""

STARTS_A_PROCESS = """
import subprocess, sys

def test_in_a_process():
    code = "from shop.core import unreached; print(unreached(1))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "2\\n"
"""

# The shop needs none of the plugins that are installed here: to load them is most of a trial.
ALONE = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def names(source: str) -> set[str]:
    return {mutant.name for mutant in mutants(ast.parse(source))}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"module: a < b -> a <= b", "module: a < b -> a >= b"}),
        ("x = a and b", {"module: a and b -> a or b"}),
        ("x = not a", {"module: not a -> not not a"}),
        ("x = 5", {"module: 5 -> 6", "module: 5 -> 4"}),
        ("x = True", {"module: True -> False"}),
        ("x = a + b", {"module: a + b -> a - b"}),
        ("x = f(a, b)", {"module: f(a, b) -> f(b, a)"}),
        ("f()", {"module: f() -> pass"}),
        ("def f():\n return a", {"f: return a -> return None"}),
        ("def f():\n raise a", {"f: raise a -> pass"}),
        ("def f():\n self.x = a", {"f: self.x = a -> pass"}),
        (
            "class C:\n def f(self):\n  if a:\n   del b",
            {"C.f: if a: -> if not a:", "C.f: del b -> pass"},
        ),
        (
            "try:\n a = b\nexcept E:\n a = c",
            {"module: except E:     a = c -> except E:     raise"},
        ),
        ("for a in b:\n break", {"module: break -> continue"}),
        ("x = [a for a in b if a.c]", {"module: for if a.c -> for if not a.c"}),
        ("x = a == b if a is b else c", {
            "module: a == b -> a != b", "module: a is b -> a is not b",
        }),
        ("x = 1; y = 1", {f"module: 1 -> {n}{i}" for n in (0, 2) for i in ("", " #2")}),
        ('"""Doc."""\nx: "Text" = a\nassert a > 1\n__slots__ = ("a",)\nlog.debug("x")', set()),
        ('x = "no text for people"\nf"{a}"', set()),
        ("x = 'key'", {"module: 'key' -> 'keyX'"}),
        ("x = b'key'", {"module: b'key' -> b'keyX'"}),
    ],
)  # fmt: skip
def test_what_is_changed(source: str, expected: set[str]) -> None:
    tree = ast.parse(source)
    before = ast.dump(tree)
    assert {mutant.name for mutant in mutants(tree)} == expected
    assert ast.dump(tree) == before, "each change is taken back"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a package of one module, and its tests."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "core.py").write_text(SHOP)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_core.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = "--import-mode=importlib"\n'
    )
    return tmp_path


def run(shop: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    before = {path: path.read_bytes() for path in shop.rglob("*.*") if path.is_file()}
    command = [sys.executable, "-B", "-m", "tools.mutants", "core", *arguments]
    result = subprocess.run(
        [*command, "--root", str(shop), "--package", "shop", "-j", "2", "--patience", "3"],
        capture_output=True,
        text=True,
        cwd=root,
        env=clean_environment(ALONE),
        timeout=150,  # a busy machine
    )
    after = {path: path.read_bytes() for path in shop.rglob("*.*") if path.is_file()}
    assert before == after, "nothing is written into the tree"
    return result


@pytest.mark.timeout(180)
def test_a_run(shop: Path, root: Path) -> None:
    known = shop / "tools" / "mutants"
    known.mkdir(parents=True)
    (known / "equivalent.txt").write_text(
        "shop/core.py\n  module: 3 -> 2\n    No price has\n    three of them.\n"
        "  price: a + b -> a - b\n    It was there once.\n"
    )
    result = run(shop, root)
    assert result.returncode == 1, result.stdout + result.stderr
    survived = {
        line.partition(".py:")[2].partition(": ")[2]
        for line in result.stdout.splitlines()
        if line.startswith("survived")
    }
    assert survived == {
        "price: count > LEAST -> count >= LEAST",
        "unreached: return x + 1 -> return None   [no test reaches it]",
        "unreached: x + 1 -> x - 1   [no test reaches it]",
        "unreached: 1 -> 2   [no test reaches it]",
        "unreached: 1 -> 0   [no test reaches it]",
    }
    *_, total = result.stdout.splitlines()
    name, count, killed, late, left, equivalent, net = total.split()
    assert (name, left, equivalent) == ("all", "5", "1")
    assert int(late) >= 1, "`times -= 1` that is gone never ends"
    assert int(count) == int(killed) + int(late) + 5 + 1
    assert net == f"{100 * (int(count) - 6) / (int(count) - 1):.1f}%"
    assert "has no such mutant now: price: a + b -> a - b" in result.stdout


@pytest.mark.timeout(180)
def test_a_sample_is_the_same_for_the_same_seed(shop: Path, root: Path) -> None:
    first, again, other = (
        run(shop, root, "--list", "--sample", "5", "--seed", seed).stdout for seed in "112"
    )
    assert first == again != other
    assert sum(line.startswith("shop/core.py:") for line in first.splitlines()) == 5


@pytest.mark.timeout(180)
def test_processes_of_the_tests_have_the_mutant_too(shop: Path, root: Path) -> None:
    (shop / "tests" / "test_core.py").write_text(STARTS_A_PROCESS)
    result = run(shop, root, "--all-tests", "--only", "unreached")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].split()[1:3] == ["4", "4"]


def test_a_change_that_makes_no_difference_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.txt"
    path.write_text("# Words.\n\na.py\n  f: 1 -> 2\n    Why\n    not.\n")
    assert read_equivalents(path) == {"a.py": {"f: 1 -> 2": "Why not."}}
    path.write_text("a.py\n  f: 1 -> 2\n")
    with pytest.raises(SystemExit, match="no reason is given for f: 1 -> 2"):
        read_equivalents(path)


def test_the_list_of_the_project_can_be_read(root: Path) -> None:
    for module in read_equivalents(root / "tools" / "mutants" / "equivalent.txt"):
        source = (root / module).read_text(encoding="utf-8")
        assert next(mutants(ast.parse(source))).name, module  # all of them take half a minute
