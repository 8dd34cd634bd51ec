"""Each example runs exactly as the README and its own docstring say.

The commands are read out of README.md and run word by word in the repository; only the address
is chosen by the environment (BARE_SERVE_BIND), so that tests can run side by side.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import ROOT, serve

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py"))
COMMAND = re.compile(r"\bbare-serve (examples/[^`\n|]+)")
README = COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))


def installed() -> list[str]:
    """The console script beside this interpreter, or the module where it is not installed."""
    script = Path(sys.executable).with_name("bare-serve")
    return [str(script)] if script.exists() else [sys.executable, "-m", "bare_serve"]


@pytest.mark.parametrize("command", dict.fromkeys(README))
def test_an_example_runs_as_the_readme_says(command: str) -> None:
    # A port of its own choice: the command stays as it is written.
    where = {"BARE_SERVE_BIND": "127.0.0.1:0"}
    with serve(*shlex.split(command), cwd=ROOT, env=where, command=installed()) as server:
        answer = httpx.get(server.url, timeout=20)
        assert answer.status_code == 200
        assert "Hello, world!" in answer.text
        assert server.stop() == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_readme_and_the_example_tell_the_same(path: Path) -> None:
    told = [text.strip() for text in COMMAND.findall(path.read_text(encoding="utf-8"))]
    assert told, "the docstring tells how to run it"
    mine = [text.strip() for text in README if text.startswith(f"examples/{path.name}:")]
    assert set(mine) == set(told)
