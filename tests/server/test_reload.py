"""The process as its surroundings see it: pid file, user, umask, unix sockets, shared ports."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.config.settings import Settings
from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.server import reload
from bare_serve.supervision import Handover, pid_file
from bare_serve.system import privileges
from tests.support import children_of, clean_environment, eventually, run_cli, serve

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    made = os.open("made", os.O_CREAT | os.O_WRONLY, 0o666) if os.access(".", os.W_OK) else -1
    told = os.getuid(), os.getgid(), sorted(os.getgroups()), os.environ["HOME"], made >= 0
    return [repr(told).encode()]
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


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory for everybody; pytest's own are for the user alone."""
    with tempfile.TemporaryDirectory(prefix="bare-serve-test-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def _runs_python(name: str) -> bool:
    """Whether that user can read this interpreter and what is installed with it."""
    user = pwd.getpwnam(name)
    command = [sys.executable, "-c", "import asyncio, click"]
    try:
        subprocess.run(command, user=user.pw_uid, group=user.pw_gid, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@AS_ROOT
def test_workers_are_somebody_else(open_path: Path) -> None:
    if not _runs_python("nobody"):
        pytest.skip("the user nobody cannot read this Python")
    nobody = pwd.getpwnam("nobody")
    tmp_path = open_path
    path = tmp_path / "sock"
    (tmp_path / "app.py").write_text(APP)
    options = ("--user", "nobody", "--umask", "027", "-b", f"unix:{path}", "-b", "127.0.0.1:0")
    with serve("app:app", *options, "--uds-mode", "660", cwd=tmp_path) as server:
        uid, gid, groups, home, made = eval(urllib.request.urlopen(server.url, timeout=10).read())
        assert (uid, gid, home) == (nobody.pw_uid, nobody.pw_gid, nobody.pw_dir)
        assert groups == sorted(os.getgrouplist("nobody", nobody.pw_gid))
        assert made
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o640
        info = path.stat()
        assert (info.st_uid, info.st_gid) == (uid, gid)
        assert stat.S_IMODE(info.st_mode) == 0o660
        [worker] = server.workers
        status = Path(f"/proc/{worker}/status").read_text()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded")
        assert server.stop() == 0


@AS_ROOT
def test_preloading_master_is_somebody_else_as_well(open_path: Path) -> None:
    if not _runs_python("nobody"):
        pytest.skip("the user nobody cannot read this Python")
    (open_path / "app.py").write_text(APP)
    with serve("app:app", "--user", "nobody", "--preload", cwd=open_path) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
        uid = pwd.getpwnam("nobody").pw_uid
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
        assert server.stop() == 0


@AS_ROOT
@pytest.mark.parametrize("closed", ["this Python", "this bare-serve"])
def test_user_that_cannot_read_what_runs_is_told(tmp_path: Path, closed: str) -> None:
    (tmp_path / "os.py").touch()
    tmp_path.chmod(0o700)
    source = f"""
import sys
from bare_serve.system import privileges
privileges._NEEDED = {{**dict.fromkeys(privileges._NEEDED, "/"), {closed!r}: sys.argv[1]}}
try:
    privileges.Identity(65534, 65534, (), "nobody").assume()
except privileges.UsageError as error:
    print(error)
"""
    command = [sys.executable, "-c", source, str(tmp_path / "os.py")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == (
        f"--user nobody: that user cannot read {closed} ({tmp_path}/os.py): "
        "install one that it can read, or open its directories\n"
    )


@AS_ROOT
@pytest.mark.parametrize("mode", ["--check", "--workers=0", "--workers=2", "--preload"])
def test_user_that_cannot_read_this_python(open_path: Path, mode: str) -> None:
    if _runs_python("nobody"):
        pytest.skip("the user nobody can read this Python")
    (open_path / "app.py").write_text(APP)
    done = run_cli("app:app", "--user", "nobody", mode, "--port", "0", cwd=open_path)
    assert done.returncode in (2, 3)
    assert done.stderr.startswith("bare-serve: error: --user nobody: that user cannot read this ")
    assert done.stderr.count("\n") == 1


def _assumed(identity: str, environ: dict[str, str]) -> tuple[object, ...]:
    """Who a process of root's with strange groups is after `assume`, twice, and its variables."""
    source = f"""
import os
from bare_serve.system.privileges import Identity, find
os.setgroups([4242, 4243])
identity = {identity}
for _ in range(2):
    identity.assume()
print((os.getuid(), os.getgid(), sorted(os.getgroups()), dict(os.environ)))
"""
    command = [sys.executable, "-c", source]
    done = subprocess.run(
        command, env=clean_environment(environ), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    told = eval(done.stdout)
    assert isinstance(told, tuple)
    return told


ROOTS = {
    "HOME": "/root",
    "MAIL": "/var/mail/root",
    "XDG_RUNTIME_DIR": "/run/user/0",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus",
    "SUDO_USER": "me",
    "SUDO_COMMAND": "/bin/sh",
}


@AS_ROOT
@pytest.mark.parametrize("how", ['find("root", None)', 'find("0", "0")'])
def test_root_lets_go_of_groups_that_are_not_its_own(how: str) -> None:
    root = pwd.getpwnam("root")
    uid, gid, groups, environ = _assumed(how, ROOTS)
    assert (uid, gid) == (0, root.pw_gid)
    assert groups == sorted(os.getgrouplist("root", root.pw_gid))
    assert isinstance(environ, dict)
    assert {**environ, **ROOTS} == environ, "what is root's stays with root"


@AS_ROOT
def test_variables_of_root_stay_behind() -> None:
    how = 'Identity(4000000, 5000000, (5000000,), "someone", "/home/someone")'
    module = '__import__("bare_serve.system.privileges").system.privileges'
    how = f"({module}._NEEDED.clear(), {how})[1]"
    uid, gid, groups, environ = _assumed(how, {**ROOTS, "MAIL_HOST": "x", "SHOP": "open"})
    assert (uid, gid, groups) == (4000000, 5000000, [5000000])
    assert isinstance(environ, dict)
    assert not ({*ROOTS} - {"HOME"}) & {*environ}
    assert {name: environ[name] for name in ("HOME", "USER", "LOGNAME", "MAIL_HOST", "SHOP")} == {
        "HOME": "/home/someone", "USER": "someone", "LOGNAME": "someone", "MAIL_HOST": "x",
        "SHOP": "open",
    }  # fmt: skip


def test_mail_that_is_no_mailbox_is_the_application_s() -> None:
    environ = {"MAIL": "smtp://relay", "SUDO_UID": "0"}
    privileges.Identity(1, 1).dress(environ)
    assert environ == {"MAIL": "smtp://relay"}


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        ("no-such-user", None, "--user no-such-user: there is no such user"),
        (None, "no-such-group", "--group no-such-group: there is no such group"),
        ("99999999999", "1", "--user 99999999999: the greatest number there can be is 4294967294"),
        ("1", "9" * 5000, "--group 9+: the greatest number there can be is 4294967294"),
        ("4000000", None, "--user 4000000: no such user is known here; give --group as well"),
    ],
)
def test_names_that_are_wrong(user: str | None, group: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        privileges.find(user, group)


def test_numbers_need_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert privileges.find("4000000", "5000000") == privileges.Identity(
        4000000, 5000000, (5000000,)
    )


def test_only_root_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert privileges.find(str(os.getuid()), str(os.getgid())) is None
    with pytest.raises(UsageError, match="only root can become somebody else"):
        privileges.find("4000000", "5000000")


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_mode_of_a_unix_socket(tmp_path: Path, mode: int) -> None:
    address = sockets.parse_address(f"unix:{tmp_path}/sock")
    sock = sockets.bind(address, access=sockets.Access(mode=mode))
    assert stat.S_IMODE((tmp_path / "sock").stat().st_mode) == mode
    sockets.release(address, sock)


def test_link_in_the_place_of_a_unix_socket_is_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "sock", tmp_path / "victim"
    victim.touch(mode=0o600)
    before = victim.stat()

    class Raced(socket.socket):
        """Somebody else is quicker."""

        def bind(self, address: object) -> None:
            super().bind(str(address))
            path.unlink()
            path.symlink_to(victim)

    owner = (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    with Raced(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        access = sockets.Access(mode=0o666, owner=owner)
        sockets._bind_file(sock, str(path), access, (None, str(path)))
    after = victim.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_port_can_be_shared_only_if_both_want_to() -> None:
    shared = sockets.Access(reuse_port=True)
    first = sockets.bind(sockets.parse_address("127.0.0.1:0"), access=shared)
    address = sockets.parse_address(f"127.0.0.1:{first.getsockname()[1]}")
    sockets.bind(address, access=shared).close()
    with pytest.raises(BareServeError, match="in use"):
        sockets.bind(address)
    first.close()


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ()),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, ()),
        ({"LISTEN_PID": str(os.getpid())}, ()),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}, ()),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}, ("fd://3", "fd://4")),
    ],
)
def test_addresses_from_systemd(environ: dict[str, str], found: tuple[str, ...]) -> None:
    assert sockets.from_systemd(environ) == found


# Process 1 of a namespace of its own, if this machine lets us have one.
AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "bare_serve")
ORPHANING = """
import os, time
def app(environ, start_response):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
    start_response("200 OK", [])
    return [b"hi"]
"""


@AS_ROOT
def test_process_1_reaps_strangers_and_hears_signals() -> None:
    with serve("app:app", source=ORPHANING, command=AS_PROCESS_1, ready=False) as server:
        eventually(lambda: "http://" in server.stderr or server.process.poll() is not None)
        if server.process.poll() is not None:
            pytest.skip("no namespaces here")
        server.wait_until_ready()
        for _ in range(5):
            assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"
        [master] = children_of(server.pid)
        tasks = Path(f"/proc/{master}/task/{master}/children")
        eventually(lambda: len(tasks.read_text().split()) == 1, "no zombie")
        os.kill(master, signal.SIGTERM)
        assert server.wait() == 0


def test_unix_socket_that_is_served_by_nobody_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "sock"))
    left.close()
    with serve("app:app", "-b", f"unix:{tmp_path}/sock", "-b", "127.0.0.1:0", source=APP) as server:
        assert server.stop() == 0
    assert not (tmp_path / "sock").exists()


@AS_ROOT
@pytest.mark.parametrize("mode", [(), ("--preload",)])
def test_nothing_imports_the_application_as_root(tmp_path: Path, mode: tuple[str, ...]) -> None:
    """Neither the trial before a replacement nor --check; and log files are that user's."""
    told = tmp_path / "told"
    source = "import os\nos.write(os.open('told', os.O_WRONLY | os.O_APPEND | os.O_CREAT),"
    source += "b'%d %o\\n' % (os.getgid(), os.umask(0o77)))\n" + APP
    options = ("--user", "root", "--group", "12345", "--umask", "077", "--access-log", "log")
    with serve("app:app", *options, *mode, source=source, cwd=tmp_path) as server:
        assert (tmp_path / "log").stat().st_gid == 12345
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Reloaded", 30)
        assert server.stop() == 0
    assert run_cli("app:app", *options, "--check", cwd=tmp_path).returncode == 0
    assert told.read_text() == "12345 77\n" * 4


def test_pid_file_that_was_handed_over_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    inode, handover = path.stat().st_ino, Handover()
    handover.pid_file = str(path)
    with reload.own_pid_file(str(path), handover):
        assert path.stat().st_ino == inode
    assert not path.exists()


def _handed_over(role: str) -> tuple[Handover, int, str]:
    old = sockets.bind(sockets.parse_address("127.0.0.1:0"))
    port, handover = old.getsockname()[1], Handover()
    key = f"127.0.0.1:{port}"
    handover.received, handover.listeners = True, {key: old.detach()}
    handover.roles = {key: role} if role else {}
    return handover, port, key


def test_addresses_are_kept_if_a_new_one_fails() -> None:
    handover, port, key = _handed_over("")
    with reload.listening(Settings(), (f"0.0.0.0:{port}",), handover, None) as listeners:
        assert [sock.getsockname() for sock in listeners] == [("127.0.0.1", port)]
        assert [*listeners.values()] == [""]
        assert [*handover.listeners] == [key]
        socket.create_connection(("127.0.0.1", port)).close()


def test_address_of_tls_is_never_kept_without() -> None:
    handover, port, _ = _handed_over("tls")
    with reload.listening(Settings(), (f"0.0.0.0:{port}",), handover, None) as listeners:
        assert [*listeners] == []


def test_file_of_an_address_that_is_not_wanted_goes_though_workers_have_it(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    old = sockets.bind(sockets.parse_address(f"unix:{path}"))
    handover = Handover()
    handover.received = True
    handover.listeners = {f"unix:{path}": os.dup(old.fileno())}
    with reload.listening(Settings(), ("127.0.0.1:0",), handover, None), old:
        assert not path.exists()


def test_address_that_is_not_wanted_is_let_go_of() -> None:
    handover, port, _ = _handed_over("")
    with reload.listening(Settings(), ("127.0.0.1:0",), handover, None) as listeners:
        assert [sock.getsockname()[1] == port for sock in listeners] == [False]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
