"""The unit files are what systemd understands, and start bare-serve by options that it has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from bare_serve.settings import OPTIONS

FLAGS = {option.flag for option in OPTIONS}


def _unit(root: Path, name: str) -> ConfigParser:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((root / "deploy" / "systemd" / name).read_text())
    return unit


def test_the_service_uses_what_there_is(root: Path) -> None:
    service = _unit(root, "shop.service")["Service"]
    flags = [word for word in shlex.split(service["ExecStart"]) if word.startswith("--")]
    assert {*flags} < FLAGS
    assert "--bind" not in flags, "the socket unit listens"
    [graceful] = [each.default for each in OPTIONS if each.name == "timeout_graceful_shutdown"]
    assert float(service["TimeoutStopSec"]) > graceful + 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_fault(root: Path, tmp_path: Path) -> None:
    for name in ("shop.service", "shop.socket"):
        text = (root / "deploy" / "systemd" / name).read_text()
        # Its paths and its user are not of this machine.
        for there, here in (("/srv/shop/venv/bin/bare-serve", "/bin/true"), ("=shop\n", "=root\n")):
            text = text.replace(there, here)
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "shop.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if "shop." in line]
    assert faults == []
