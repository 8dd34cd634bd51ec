"""Becoming another user: groups, variables, umask, and who owns what is made."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.errors import UsageError
from bare_serve.system import privileges
from tests.support import clean_environment, run_cli, serve

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    made = os.open("made", os.O_CREAT | os.O_WRONLY, 0o666) if os.access(".", os.W_OK) else -1
    told = os.getuid(), os.getgid(), sorted(os.getgroups()), os.environ["HOME"], made >= 0
    return [repr(told).encode()]
"""


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
    assert done.returncode == 2
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
