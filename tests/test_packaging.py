"""What pyproject.toml promises: the package installs anywhere and serves without its C parts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bare_serve import __version__
from tests.support import RawClient, run_cli, serve

# Python imports this before anything else: an environment in which there is no such wheel.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("uvloop", "httptools", "websockets")))
"""


@pytest.fixture
def without_wheels(tmp_path: Path) -> dict[str, str]:
    """An environment in which the C parts cannot be imported."""
    home = tmp_path / "site"
    home.mkdir()
    (home / "sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    return {"PYTHONPATH": f"{home}:{Path(__file__).parents[1]}"}


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_auto_falls_back_to_what_is_there(interface: str, without_wheels: dict[str, str]) -> None:
    with serve("--demo", f"--{interface}", env=without_wheels) as server:
        assert re.search(r"parser +python", server.output)
        assert "uvloop" not in server.output
        if interface == "asgi":
            assert re.search(r"loop +asyncio", server.output)
        with RawClient(server.address) as client:
            assert client.request().status == 200
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [("--parser", "httptools", "--parser python"), ("--loop", "uvloop", "--loop asyncio")],
)
def test_asking_for_what_is_not_there(
    option: str, value: str, instead: str, without_wheels: dict[str, str]
) -> None:
    done = run_cli("--demo", "--port", "0", option, value, env=without_wheels)
    assert done.returncode == 2
    assert f"pip install {value}" in done.stderr
    assert instead in done.stderr
    assert "Traceback" not in done.stderr


def test_the_c_parts_carry_markers_and_nothing_else_is_required(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {re.split(r"[<>=; ]", line)[0]: line for line in project["dependencies"]}
    assert required.keys() == {"click", "wsproto", "httptools", "uvloop", "websockets"}
    for name in ("httptools", "uvloop", "websockets"):
        assert "platform_python_implementation == 'CPython'" in required[name]
    assert "sys_platform != 'win32'" in required["uvloop"]


def test_the_version_is_known_without_a_server(root: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    text = (root / "bare_serve" / "version.py").read_text(encoding="utf-8")
    assert f'__version__ = "{__version__}"' in text, "setuptools reads it from the text"
    assert (root / "bare_serve" / "py.typed").exists()
