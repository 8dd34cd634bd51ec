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
