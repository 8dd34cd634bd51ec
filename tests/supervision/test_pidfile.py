"""The pid file: there while the server is, and never somebody else's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bare_serve.errors import BareServeError
from bare_serve.supervision import Handover, own_pid_file, pid_file
from tests.support import run_cli, serve

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]
"""


def test_pid_file_is_there_while_the_server_is(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    with serve("app:app", "--pid", str(path), source=APP) as server:
        assert path.read_text() == f"{server.pid}\n"
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Reloaded", 30)
        assert path.read_text() == f"{server.pid}\n"
        second = run_cli("app:app", "--pid", str(path), "--demo", "--port", "0")
        assert second.returncode != 0
        assert server.stop() == 0
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_pid_file_of_a_server_that_runs_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    with (
        pytest.raises(BareServeError, match=f"belongs to process {os.getppid()}, which runs"),
        pid_file(str(path)),
    ):
        pass
    assert path.read_text() == f"{os.getppid()}\n"


@pytest.mark.parametrize("content", ["99999999\n", "", "no number", "-1"])
def test_stale_pid_file_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_pid_that_was_given_to_a_younger_process_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    os.utime(path, (time.time() - 10**8,) * 2)
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_pid_file_that_was_taken_over_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_pid_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "pid"
    victim.write_text("precious")
    (tmp_path / f"pid.{os.getpid()}").symlink_to(victim)
    path.symlink_to(victim)
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert victim.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [victim]


def test_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BareServeError, match="/: Is a directory"), pid_file("/"):
        pass
    with pytest.raises(BareServeError, match="No such file"), pid_file(str(tmp_path / "no" / "x")):
        pass


def test_pid_file_that_was_handed_over_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    inode, handover = path.stat().st_ino, Handover()
    handover.pid_file = str(path)
    with own_pid_file(str(path), handover):
        assert path.stat().st_ino == inode
    assert not path.exists()
