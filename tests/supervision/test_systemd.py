"""What systemd is told, heard by a socket that plays its part; sockets it hands over."""

from __future__ import annotations

import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.supervision.systemd import Notifier
from tests.support import eventually, serve

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]
"""


class Manager:
    """Plays systemd: remembers every datagram."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        while True:
            try:
                self._heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard

    def states(self) -> list[str]:
        """Without what comes again and again."""
        return [
            message.partition("\n")[0]
            for message in self.heard()
            if not message.startswith(("STATUS", "WATCHDOG"))
        ]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def test_the_life_of_a_service(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": manager.address}
    with serve("app:app", "-w", "2", source=APP, env=env) as server:
        eventually(lambda: manager.states() == ["READY=1"])
        heard = manager.heard()
        assert heard.index("STATUS=0 of 2 workers serve") < heard.index("READY=1")
        eventually(lambda: "STATUS=2 of 2 workers serve" in manager.heard())
        server.send_signal(signal.SIGHUP)
        eventually(lambda: manager.states() == ["READY=1", "RELOADING=1", "READY=1"])
        reloading = next(each for each in manager.heard() if each.startswith("RELOADING"))
        since = int(reloading.partition("MONOTONIC_USEC=")[2])
        assert 0 < since / 1e6 <= time.monotonic()
        assert server.stop() == 0
    assert manager.states()[3:] == ["STOPPING=1"]


def test_a_reload_that_fails_ends_too(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": manager.address}
    with serve("app:app", source=APP, env=env) as server:
        eventually(lambda: manager.states() == ["READY=1"])
        server.send_signal(signal.SIGUSR2)
        eventually(lambda: manager.states() == ["READY=1", "RELOADING=1", "READY=1"], "", 30)
        assert server.stop() == 0


def test_a_reload_by_settings_that_are_wrong_ends_too(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with serve("app:app", cwd=tmp_path, env={"NOTIFY_SOCKET": manager.address}) as server:
        eventually(lambda: manager.states() == ["READY=1"])
        (tmp_path / "bare-serve.toml").write_text('workers = "many"\n')
        server.send_signal(signal.SIGHUP)
        eventually(lambda: manager.states() == ["READY=1", "RELOADING=1", "READY=1"])
        assert server.stop() == 0


def test_watchdog_is_fed_twice_in_its_time(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    with serve("app:app", source=APP, env=env) as server:
        eventually(lambda: manager.heard().count("WATCHDOG=1") > 5)
        assert server.stop() == 0


# The master has NOTIFY_SOCKET, and so has what it imports: what it says shows the order of things.
SAYS_THAT_IT_IS_IMPORTED = """
import os, socket
if "NOTIFY_SOCKET" in os.environ:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(f"IMPORT {os.getpid()}".encode(), os.environ["NOTIFY_SOCKET"])
"""
HOOK = """
def on_exit(facts):
    pass
"""


def _patience(heard: list[str], pid: int) -> list[tuple[int, int]]:
    """For each import in the master: the microseconds that systemd grants then, and next."""
    found, granted, waits = [], 0, False
    for message in heard:
        if message == f"IMPORT {pid}":
            waits = True
        elif "WATCHDOG_USEC=" in message:
            assert message.startswith("WATCHDOG=1\n")
            before, granted = granted, int(message.rpartition("=")[2])
            if waits:
                found.append((before, granted))
                waits = False
    return found


@pytest.mark.parametrize("kind", ["preload", "hooks"])
def test_watchdog_has_patience_while_the_master_imports(
    manager: Manager, tmp_path: Path, kind: str
) -> None:
    said = SAYS_THAT_IT_IS_IMPORTED
    (tmp_path / "hooks.py").write_text(HOOK + (said if kind == "hooks" else ""))
    source = APP + (said if kind == "preload" else "")
    options = ("--preload",) if kind == "preload" else ("--hooks", "hooks.py")
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    granted = (60_000_000 + 3_000_000, 3_000_000)  # --timeout-boot, and what the unit says
    with serve("app:app", *options, source=source, env=env, cwd=tmp_path) as server:
        eventually(lambda: _patience(manager.heard(), server.pid) == [granted])
        server.send_signal(signal.SIGHUP)
        eventually(lambda: _patience(manager.heard(), server.pid) == [granted] * 2, "", 30)
        server.wait_for_output("Reloaded: all workers are new.", 30)
        beats = manager.heard().count("WATCHDOG=1")
        eventually(lambda: manager.heard().count("WATCHDOG=1") > beats, "signs of life go on")
        assert server.stop() == 0


def test_watchdog_has_patience_for_the_next_program(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    with serve("app:app", "--timeout-boot", "off", source=APP, env=env) as server:
        eventually(lambda: manager.states() == ["READY=1"])
        before = len(manager.heard())
        server.send_signal(signal.SIGUSR2)
        eventually(lambda: manager.states() == ["READY=1", "RELOADING=1", "READY=1"], "", 30)
        lines = [each.partition("\n")[2] for each in manager.heard()[before:]]
        told = [line for line in lines if line.startswith("WATCHDOG_USEC=")]
        day = f"WATCHDOG_USEC={86_400_000_000 + 3_000_000}"
        # Before the old program is gone, as soon as the new one is there, and when it serves.
        assert told == [day, day, "WATCHDOG_USEC=3000000"]
        assert server.stop() == 0


def test_patience_is_nobodys_business_without_a_watchdog(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    notifier.have_patience(10)
    notifier.have_none()
    assert manager.heard() == []
    manager.socket.close()


def test_the_application_does_not_speak_for_the_service(manager: Manager) -> None:
    source = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [str(sorted({"NOTIFY_SOCKET", "WATCHDOG_USEC"} & {*os.environ})).encode()]
"""
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}
    with serve("app:app", source=source, env=env) as server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"[]"
        assert server.stop() == 0


def test_abstract_names_and_nobody_there(tmp_path: Path) -> None:
    manager = Manager(f"@{tmp_path}")
    Notifier({"NOTIFY_SOCKET": manager.address}).ready()
    assert manager.heard() == ["READY=1"]
    manager.socket.close()
    Notifier({"NOTIFY_SOCKET": manager.address}).ready()
    Notifier({}).ready()


def test_watchdog_of_another_process_is_not_ours() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    assert Notifier(environ).due is None
    assert Notifier({**environ, "WATCHDOG_PID": "mine"}).due is None


# As systemd does: descriptors from 3 on, and the variables for this very process.
ACTIVATE = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 0))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "bare_serve", *sys.argv[1:]])
"""


def test_sockets_are_taken_over_and_survive_a_replacement() -> None:
    command = (sys.executable, "-c", ACTIVATE)
    # --bind is given by the helper unless the environment says otherwise; empty counts as unset.
    env = {"BARE_SERVE_BIND": ""}
    with serve("app:app", source=APP, env=env, command=command) as server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Reloaded", 30)
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"
        assert server.stop() == 0
