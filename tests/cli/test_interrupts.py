"""Ctrl-C while the command starts: at any of its imports, and whatever it will be, it ends quietly.

The signal is sent to the whole process group, as a terminal does, from a finder of modules, so that
it comes at a moment that is known: when the command is about to import its next module.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import clean_environment

FINDER = """
import os, signal, sys
class Interrupting:
    seen = -1
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "bare_serve.__main__" or cls.seen >= 0:
            cls.seen += 1
            if cls.seen > 1 and cls.seen == int(os.environ["INTERRUPT_AT"]):
                with open("interrupted", "a") as file:
                    file.write(name + "\\n")
                os.killpg(0, signal.SIGINT)
sys.meta_path.insert(0, Interrupting)
"""
APP = """
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

def wsgi(environ, start_response): ...
"""
WAYS = [("asgi", "--workers", "1"), ("wsgi", "--workers", "0"), ("wsgi", "--preload")]
COMMANDS = [
    (str(Path(sys.executable).with_name("bare-serve")),),
    (sys.executable, "-m", "bare_serve"),
]


def _interrupted(command: tuple[str, ...], way: tuple[str, ...], at: int, where: Path) -> bool:
    """Whether there was an import of that number; then the command has ended as it should."""
    kind, *how = way
    (where / "sitecustomize.py").write_text(FINDER)
    (where / "app.py").write_text(APP)
    files = ("-b", "127.0.0.1:0", "-b", "unix:sock", "--pid", "pid")
    environ = clean_environment({"INTERRUPT_AT": str(at)})
    environ["PYTHONPATH"] = f"{where}:{environ['PYTHONPATH']}"
    done = (where / "done").open("w+b")
    with done, subprocess.Popen(
        [*command, f"app:{kind}", *files, *how],
        cwd=where, env=environ, stdin=subprocess.DEVNULL, stdout=done, stderr=done,
        start_new_session=True,
    ) as process:  # fmt: skip
        marker = where / "interrupted"
        try:
            while process.poll() is None:
                done.seek(0)
                if b"  pid  " in done.read() and not marker.exists():
                    process.send_signal(signal.SIGTERM)  # there are not so many imports
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        done.seek(0)
        said = done.read().decode()
    if not marker.exists():
        return False
    name = marker.read_text().strip()
    marker.unlink()
    assert "Traceback" not in said, f"at the import {at}, {name}: {said}"
    assert "Exception ignored" not in said, f"at the import {at}, {name}: {said}"
    assert process.returncode in (0, 130, -signal.SIGINT), (at, name, process.returncode, said)
    left = {path.name for path in where.iterdir()}
    assert not left & {"sock", "pid"}, (at, name, left)
    return True


@pytest.mark.parametrize("command", COMMANDS, ids=["script", "module"])
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_an_interrupt_at_some_import_is_quiet(
    command: tuple[str, ...], way: tuple[str, ...], tmp_path: Path
) -> None:
    for at in (2, 5, 40, 90, 140):
        assert _interrupted(command, way, at, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS, ids=["script", "module"])
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_an_interrupt_at_many_imports_is_quiet(
    command: tuple[str, ...], way: tuple[str, ...], tmp_path: Path
) -> None:
    at = 2
    while _interrupted(command, way, at, tmp_path):
        at += 3
    assert at > 100


@pytest.mark.parametrize("mode", ["--check", "--workers=0", "--preload"])
def test_ctrl_c_while_the_application_is_imported(tmp_path: Path, mode: str) -> None:
    """Where it is imported by the very process of the command; workers leave it to the master."""
    source = "import os, signal, time\nos.kill(0, signal.SIGINT)\ntime.sleep(60)\n"
    (tmp_path / "app.py").write_text(source)
    done = subprocess.run(
        [*COMMANDS[1], "app:app", mode, "--port", "0"],
        cwd=tmp_path, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, start_new_session=True, check=False,
    )  # fmt: skip
    assert done.stderr == "bare-serve: error: 'app' was interrupted while it was imported\n"
    assert done.returncode == 128 + signal.SIGINT
