"""The examples of docs/testing.md: a program with a server in it, and tests with live servers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.support import clean_environment
from tests.testing.test_plugin import ALONE, command, environment


def test_a_program_that_shows_its_work(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(root / "examples" / "embedded" / "dashboard.py"), "0"],
        env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            match = re.search(r"http://\S+", process.stdout.readline())
            assert match is not None
            with urllib.request.urlopen(match[0], timeout=20) as answer:
                assert json.load(answer)["done"] > 0
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (out, err, process.returncode) == ("done: True\n", "", 0)


def test_tests_of_an_application(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command("-q", *ALONE, "-c", "/dev/null", str(root / "examples" / "tested")),
        cwd=tmp_path, env=environment(alone=True), capture_output=True, text=True, timeout=50,
        check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr
