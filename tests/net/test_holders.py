"""Whoever holds an address that is in use is named, with what to do about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bare_serve.errors import BareServeError
from bare_serve.net import holders
from bare_serve.net.bind_address import Address
from bare_serve.net.sockets import bind

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc here")


@needs_proc
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_port_in_use_names_the_holder(hold, host: str) -> None:
    pid, port = hold("tcp")
    with pytest.raises(BareServeError) as caught:
        bind(Address("tcp", host, int(port)))
    assert f"{host}:{port}: it is in use by pid {pid} ({sys.executable} -c" in str(caught.value)
    assert caught.value.exit_code == 1


LEAVES_A_CHILD = """
import os, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
if os.fork():
    os._exit(0)
print(os.getpid(), s.getsockname()[1], flush=True)
sys.stdin.read()
"""


@needs_proc
def test_port_held_by_a_process_that_was_left_behind_says_so() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pid, port = process.stdout.readline().split()
    process.wait(10)
    with pytest.raises(BareServeError) as caught:
        bind(Address("tcp", "127.0.0.1", int(port)))
    said = str(caught.value)
    assert f"in use by pid {pid} ({sys.executable} -c" in said
    assert "whose parent has ended without it: a process that an application has started" in said
    assert said.endswith(f"End it (kill {pid}) or bind another address.")
    process.communicate(timeout=10)


def test_port_in_use_without_proc(hold, monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = hold("tcp")
    monkeypatch.setattr(holders, "_table", lambda name: iter(()))
    with pytest.raises(BareServeError, match=rf":{port}: it is in use\. Stop"):
        bind(Address("tcp", "127.0.0.1", int(port)))


@needs_proc
def test_port_bound_twice_by_the_same_command() -> None:
    with bind(Address("tcp", "127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(BareServeError, match=r"binds it twice\. Name it once or bind another"):
            bind(Address("tcp", "127.0.0.1", port))
