"""Plain lines are split without click, and come to exactly what click makes of them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bare_serve.cli import command, plain
from bare_serve.cli.plain import Line
from bare_serve.config.foreign import BY_FLAG
from bare_serve.config.settings import OPTIONS
from tests.support import clean_environment

PLAIN = [
    [],
    ["--demo"],
    ["shop.web:app"],
    ["shop.py"],
    ["src/shop"],
    ["shop.web:create_app('prod', debug=True)"],
    ["--bind", "0.0.0.0:80", "shop:app", "-b", "unix:/run/x.sock", "--workers=4"],
    ["--workers", "2", "--workers", "3", "shop:app"],
    ["--access-log", "-", "shop:app"],
    ["--no-access-log", "shop:app", "--asgi"],
    ["--keep-alive", "5", "--graceful-timeout=30", "shop:app"],
    ["--uds", "/run/a.sock", "--uds", "/run/b.sock", "shop:app"],
    ["--http-parser", "fast", "shop:app"],
    ["--no-ws-compression", "--ws-compression", "shop:app"],
    ["--check", "shop:app", "--check"],
    ["--print-config"],
    ["--header", "X-A: --b=c", "--header=X-B: ", "shop:app"],
]
NOT_PLAIN = [
    ["shop"],  # may be a command
    ["status"],
    ["shop:app", "shop:app"],
    [""],
    ["-"],
    ["--", "shop:app"],
    ["--help"],
    ["-h"],
    ["--version"],
    ["--worker", "4"],
    ["--nonsense"],
    ["--bind"],
    ["--bind", "", "shop:app"],
    ["--bind=", "shop:app"],
    ["--bind", "--demo"],
    ["--workers", "-1"],
    ["-b8000", "shop:app"],
    ["-b=:8000", "shop:app"],
    ["--demo=yes"],
    ["--worker-class", "gthread", "shop:app"],
    ["--proxy-protocol", "auto", "shop:app"],
    ["--keep-alive", "5", "--timeout-keep-alive", "6"],
    ["--ws", "websockets", "shop:app"],
    ["--loglevel=trace", "shop:app"],
    ["--no-access-log", "--access-logfile", "x", "shop:app"],
]


def of_click(line: Sequence[str]) -> Line:
    found = command.split(line)
    assert isinstance(found, Line)
    return found


def assert_same(line: Sequence[str], found: Line) -> None:
    expected = of_click(line)
    assert found == expected, line
    assert [*found.asked] == [*expected.asked], f"{line}: errors would come in another order"


@pytest.mark.parametrize("line", PLAIN, ids=" ".join)
def test_a_plain_line_needs_no_click(line: list[str]) -> None:
    found = plain.split(line, {})
    assert found is not None
    assert_same(line, found)


@pytest.mark.parametrize("line", NOT_PLAIN, ids=" ".join)
def test_any_other_line_is_left_to_click(line: list[str]) -> None:
    assert plain.split(line, {}) is None


def test_a_shell_that_completes_a_line_asks_click() -> None:
    assert plain.split(["shop:app"], {"_BARE_SERVE_COMPLETE": "bash_complete"}) is None


def test_every_flag_is_plain_and_comes_to_the_same() -> None:
    options = [option for option in OPTIONS if option.name != "app"]
    switches = [option for option in options if option.kind.switch]
    valued = [option for option in options if not option.kind.switch]
    for line in (
        [option.flag for option in switches],
        [f"--no-{option.key}" for option in switches if option.default is True],
        [word for option in valued for word in (option.flag, "x")],
        [f"{option.flag}=-x" for option in valued],
        [word for option in valued if option.short for word in (option.short, "x")],
    ):
        found = plain.split(line, {})
        assert found is not None
        assert len(found.asked) > 1
        assert_same(line, found)


VALUES = ("1", "x", "-", "a:b", "v1", "off", "", "-1", "--demo", "a=b", "é\udcff")


VALUES = ("1", "x", "-", "a:b", "v1", "off", "", "-1", "--demo", "a=b", "é\udcff")


def words(chance: random.Random) -> list[str]:
    """Return a line that may be right or wrong, of what people and machines write."""
    flags = [flag for option in OPTIONS for flag in (option.flag, f"--no-{option.key}")]
    flags += [option.short for option in OPTIONS if option.short]
    answered = [flag for flag, row in BY_FLAG.items() if row.text]
    flags += [*(f for f, row in BY_FLAG.items() if row.option), "--check", "--print-config", "--"]
    line: list[str] = []
    for _ in range(chance.randrange(6)):
        kind = chance.random()
        flag = chance.choice(answered if kind < 0.02 else flags)
        value = chance.choice(VALUES)
        if kind < 0.4:
            line += [flag, value]
        elif kind < 0.6:
            line.append(f"{flag}={value}")
        elif kind < 0.85:
            line.append(flag)
        else:
            line.append(chance.choice(["shop:app", "shop", "./shop.py", "a.b", "-", ""]))
    return line


def compare_random_lines(seed: int, count: int) -> None:
    chance = random.Random(seed)
    while count:
        line = words(chance)
        found = plain.split(line, {})
        if found is not None and len(line) > 1:
            assert_same(line, found)
            count -= 1


def test_any_line_that_is_plain_comes_to_the_same_as_with_click() -> None:
    compare_random_lines(0, 60)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_lines_that_are_plain_come_to_the_same_as_with_click(seed: int) -> None:
    compare_random_lines(seed, 400)


START = """
import sys
from bare_serve.server import run as server
server.run = lambda *args, **more: print(*{name.partition(".")[0] for name in sys.modules})
from bare_serve.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("target", "there"), [("shop:app", False), ("shop", True)])
def test_a_plain_start_does_not_import_click(target: str, there: bool, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, target, "--bind", ":0", "--no-access-log"],
        env=clean_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ("click" in done.stdout.split()) is there, done.stderr
