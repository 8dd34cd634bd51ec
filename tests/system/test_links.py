"""Root makes its files where it was told to, and follows no stranger's link on the way."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bare_serve.errors import BareServeError, UsageError
from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.sinks import FileSink, log_path
from bare_serve.net import sockets
from bare_serve.net.bind_address import parse_address
from bare_serve.supervision import pid_file
from bare_serve.system.links import Circle, StrangersLink, folder_of, resolve
from tests.support import eventually, run_cli, serve

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
STRANGER = 65534


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A directory of a stranger's, in which `logs` leads to `precious`, one of root's."""
    (tmp_path / "precious").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / "logs").symlink_to(tmp_path / "precious")
    for path in (home, home / "logs"):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return home


def _log(path: Path) -> None:
    FileSink.at(log_path(str(path), "--access-log")).close()


def _pid(path: Path) -> None:
    with pid_file(str(path)):
        assert path.exists()


def _unix(path: Path) -> None:
    address = parse_address(f"unix:{path}")
    sock = sockets.bind(address, access=sockets.Access(owner=(STRANGER, STRANGER)))
    assert path.stat().st_uid == STRANGER
    sockets.release(address, sock)


MAKERS = pytest.mark.parametrize("make", [_log, _pid, _unix])


@AS_ROOT
@MAKERS
@pytest.mark.parametrize("below", ["logs", "logs/deeper"])
def test_a_strangers_link_on_the_way_is_refused(
    make: Callable[[Path], None], below: str, trap: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    (precious / "deeper").mkdir()
    match = f"{trap}/logs is a symbolic link that root did not make and does not follow"
    with pytest.raises(BareServeError, match=match):
        make(trap / below / "file")
    assert list(precious.iterdir()) == [precious / "deeper"]
    assert list((precious / "deeper").iterdir()) == []


@AS_ROOT
@MAKERS
def test_what_exists_behind_a_strangers_link_is_left_alone(
    make: Callable[[Path], None], trap: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "precious" / "file"
    victim.write_text("99999999")
    with pytest.raises(BareServeError, match="symbolic link that root did not make"):
        make(trap / "logs" / "file")
    assert (victim.read_text(), victim.stat().st_uid) == ("99999999", 0)


@AS_ROOT
def test_a_strangers_link_behind_one_of_roots_is_refused(trap: Path, tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to("home")
    with pytest.raises(StrangersLink) as caught:
        resolve(str(tmp_path / "var" / "logs" / "a.log"))
    assert f"{trap}/logs is" in str(caught.value.strerror)


@AS_ROOT
def test_the_message_of_the_command(trap: Path) -> None:
    for flag, place in [
        ("--access-log", f"{trap}/logs/a"),
        ("--error-log", f"{trap}/logs/b"),
        ("--pid", f"{trap}/logs/c"),
        ("--bind", f"unix:{trap}/logs/d"),
    ]:
        bind = () if flag == "--bind" else ("--port", "0")
        done = run_cli("--demo", *bind, flag, place)
        assert done.returncode in (1, 2)
        assert f"{trap}/logs is a symbolic link that root did not make" in done.stderr
        assert "Traceback" not in done.stderr
    assert list((trap.parent / "precious").iterdir()) == []


@MAKERS
@pytest.mark.parametrize("leads", ["absolute", "relative", "up", "twice", "into the file"])
def test_ones_own_links_are_followed(
    make: Callable[[Path], None], leads: str, tmp_path: Path
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "below").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    path = link / "file"
    if leads == "absolute":
        link.symlink_to(real)
    elif leads == "relative":
        link.symlink_to("real//./below/")
    elif leads == "up":
        link.symlink_to("real/below/..")
        path = link / ".." / "real" / "file"
    elif leads == "twice":
        link.symlink_to("two/link")
        (tmp_path / "two" / "link").symlink_to("../real")
    else:
        link.mkdir()
        if make is not _log:  # what stands there is replaced or refused, never followed
            return
        path.symlink_to("../real/file")
    make(path)
    if make is _log:
        assert [each.name for each in tmp_path.rglob("file") if not each.is_symlink()] == ["file"]
        assert not Path(log_path(str(path), "x")).is_symlink()
        assert os.path.realpath(path) == log_path(str(path), "x")


@pytest.fixture
def anybody() -> Iterator[None]:
    """The rights of whoever is not root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(STRANGER)
    yield
    os.seteuid(before)


def test_who_is_not_root_goes_where_the_kernel_leads(anybody: None) -> None:
    for path in ("/proc/self/cwd/x", "/no/such/place", "/tmp", "/"):
        assert resolve(path) == os.path.realpath(path)
        with folder_of(path) as place:
            assert place == (None, path)


@pytest.mark.parametrize("path", ["loop", "loop/file", "a/file"])
def test_links_in_a_circle_are_told(path: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    if path == "loop" or os.geteuid() == 0:
        with pytest.raises(Circle, match="leads to itself"):
            resolve(str(tmp_path / path))
    with pytest.raises(UsageError if path == "loop" else (UsageError, OSError)):
        FileSink.at(log_path(str(tmp_path / path), "--error-log"))


def test_odd_places_are_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path.resolve())
    assert resolve("a") == f"{here}/a"
    assert resolve("/") == "/"
    (tmp_path / "root").symlink_to("/")
    assert resolve("root") == "/"
    assert resolve("root/tmp/x").endswith("/x")
    with pytest.raises(BareServeError, match="No such file or directory"), pid_file("no/pid"):
        pass
    with pytest.raises(UsageError, match="there is no directory"):
        sockets.bind(parse_address("unix:no/sock"))


@AS_ROOT
def test_nothing_is_reopened_behind_a_strangers_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    log = AccessLog(FileSink.at(log_path(str(home / "logs" / "a.log"), "--access-log")))
    (home / "logs").rename(home / "old")
    (home / "logs").symlink_to(tmp_path / "precious")
    os.lchown(home / "logs", STRANGER, STRANGER)
    log.reopen()
    log.close()
    assert "Cannot reopen the access log" in caplog.text
    assert list((tmp_path / "precious").iterdir()) == []


@AS_ROOT
def test_a_file_of_roots_that_a_stranger_gave_another_name_is_no_log(tmp_path: Path) -> None:
    victim, home = tmp_path / "victim", tmp_path / "home"
    victim.write_text("precious")
    home.mkdir()
    os.link(victim, home / "a.log")
    FileSink.at(str(home / "a.log")).close()  # all of it is root's
    os.chown(home, STRANGER, STRANGER)
    with pytest.raises(OSError, match="a file of root's that has other names"):
        FileSink.at(str(home / "a.log"))
    os.chown(victim, STRANGER, STRANGER)
    FileSink.at(str(home / "a.log")).close()


@AS_ROOT
def test_a_pid_file_is_not_read_from_a_strangers_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    with pid_file(str(tmp_path / "pid")):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"


@AS_ROOT
def test_a_directory_swapped_while_a_socket_is_bound_gives_nothing_away(tmp_path: Path) -> None:
    folder, precious = tmp_path / "run", tmp_path / "precious"
    folder.mkdir()
    precious.mkdir()
    victim = precious / "sock"

    class Raced(socket.socket):
        """Somebody else is quicker."""

        def bind(self, address: object) -> None:
            folder.rename(tmp_path / "old")
            folder.symlink_to(precious)
            os.lchown(folder, STRANGER, STRANGER)
            super().bind(str(address))

    with Raced(socket.AF_UNIX, socket.SOCK_STREAM) as sock, folder_of(f"{folder}/sock") as place:
        access = sockets.Access(owner=(STRANGER, STRANGER))
        with pytest.raises(FileNotFoundError):
            sockets._bind_file(sock, f"{folder}/sock", access, place)
    assert victim.stat().st_uid == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_descriptors_of_the_way_are_closed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    before = os.listdir("/proc/self/fd")
    for path in (f"{tmp_path}/link/x", f"{tmp_path}/link/no/x", "/", f"{tmp_path}/../x"):
        log_path(path, "x")
    assert os.listdir("/proc/self/fd") == before


def test_logs_behind_a_link_of_ones_own_are_reopened(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    options = ("--access-log", f"{tmp_path}/link/a.log", "--pid", f"{tmp_path}/link/pid")
    with serve("--demo", *options) as server:
        assert (real / "pid").read_text() == f"{server.pid}\n"
        (real / "a.log").rename(real / "b.log")
        server.send_signal(signal.SIGUSR1)
        eventually((real / "a.log").exists, "a new file")
        assert server.stop() == 0
    assert not (real / "pid").exists()
