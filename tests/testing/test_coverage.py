"""docs/testing.md says how the lines of an application are counted in forked workers: it is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import RawClient, clean_environment, serve
from tests.testing.test_plugin import ALONE, environment

SHOP = """\
def app(environ, start_response):
    if environ["PATH_INFO"] == "/known":
        status = "200 OK"
    else:
        status = "404 Not Found"
    start_response(status, [])
    return [b"hello"]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    never = True
"""
TEST = """
def test_shop(live_server):
    for _ in range(4):
        assert live_server("cov_shop:app", workers=2).request("GET", "/known").status == 200
    live_server("cov_shop:asgi")
"""


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A project with the settings that the page shows."""
    page = (root / "docs" / "testing.md").read_text(encoding="utf-8")
    settings = re.search(r"```toml\n(\[tool\.coverage\.run\]\n.*?)```", page, re.DOTALL)
    assert settings is not None
    (tmp_path / "pyproject.toml").write_text(settings[1].replace('"shop"', '"cov_shop"'))
    (tmp_path / "cov_shop.py").write_text(SHOP)
    (tmp_path / "test_inner.py").write_text(TEST)
    return tmp_path


def run(folder: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *args], cwd=folder, env=environment(alone=True),
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_under_pytest_cov(folder: Path) -> None:
    run(folder, "pytest", "-q", *ALONE, "-p", "pytest_cov.plugin", "--cov", "--cov-report=json")
    (counted,) = json.loads((folder / "coverage.json").read_text())["files"].values()
    assert counted["missing_lines"] == [5, 17], "what no worker ran, and nothing else"


def test_under_coverage_run(folder: Path) -> None:
    command = [sys.executable, "-m", "coverage", "run", "-m", "bare_serve"]
    env = {**clean_environment()}
    with serve("cov_shop:app", cwd=folder, env=env, command=command) as server:
        with RawClient(server.address) as client:
            assert client.request(target="/other").status == 404
        assert server.stop() == 0
    run(folder, "coverage", "combine")
    run(folder, "coverage", "json")
    (counted,) = json.loads((folder / "coverage.json").read_text())["files"].values()
    assert counted["missing_lines"] == [3, 11, 12, 13, 14, 15, 16, 17]
