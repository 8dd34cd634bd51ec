"""What the kernel knows of a client: whether it has left, and what it has not taken."""

from __future__ import annotations

import importlib.util
import select
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from types import ModuleType

import pytest

from bare_serve.wsgi import peer
from bare_serve.wsgi.peer import has_left, untaken


def test_a_socket_that_is_closed_has_nobody_at_its_end() -> None:
    sock = socket.socket()
    sock.close()
    assert has_left(sock) is True


def test_nothing_is_known_of_a_descriptor_that_is_no_socket() -> None:
    sock = socket.socket()
    fd = sock.detach()
    socket.close(fd)
    assert untaken(fd) == 0


def test_what_was_sent_and_not_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert untaken(ours.fileno()) == 0
        ours.sendall(bytes(1000))
        assert untaken(ours.fileno()) >= 1000
        assert theirs.recv(1000) == bytes(1000)
        assert untaken(ours.fileno()) == 0
        assert (has_left(ours), has_left(theirs)) == (False, False)
        theirs.shutdown(socket.SHUT_WR)
        assert (has_left(ours), has_left(theirs)) == (True, False)


def test_a_connection_may_have_the_descriptor_0() -> None:
    """As in a process that was started without a standard input."""
    code = "import socket; from bare_serve.wsgi.peer import has_left as left; "
    code += "print(left(socket.socket(fileno=0)))"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert has_left(ours) is False
        told = subprocess.check_output([sys.executable, "-c", code], stdin=ours)
    assert told == b"False\n"


# ------------------------------------------------------------------------------ other platforms


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModuleType]:
    """The module, executed a second time, as on a platform whose kernel does not tell."""
    monkeypatch.delattr(select, "POLLRDHUP", raising=False)

    def execute() -> ModuleType:
        spec = importlib.util.find_spec("bare_serve.wsgi.peer")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return execute


@pytest.mark.parametrize("missing", ["fcntl", "termios", "TIOCOUTQ"])
def test_a_platform_that_cannot_tell_what_was_taken(
    missing: str, elsewhere: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "TIOCOUTQ":
        monkeypatch.delattr(termios, missing)
    else:
        monkeypatch.setitem(sys.modules, missing, None)
    there = elsewhere()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(bytes(1000))
        assert there.untaken(ours.fileno()) == 0


def test_what_was_taken_is_not_asked_where_there_is_no_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer, "_UNTAKEN", 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(bytes(1000))
        assert untaken(ours.fileno()) == 0


def test_bytes_that_wait_are_no_end_where_only_reading_tells(
    elsewhere: Callable[[], ModuleType],
) -> None:
    there = elsewhere()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert there.has_left(ours) is False
        theirs.sendall(b"next request")
        assert there.has_left(ours) is False


def test_where_only_reading_tells_an_end_is_seen_behind_all_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer, "_END", 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert has_left(ours) is False, "nothing has come"
        theirs.sendall(b"!")
        theirs.shutdown(socket.SHUT_WR)
        assert has_left(ours) is False, "a byte waits"
        assert ours.recv(10) == b"!", "and was left where it is"
        assert has_left(ours) is True


def test_where_only_reading_tells_a_reset_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "_END", 0)
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        ours.sendall(b"not read")
        theirs.close()  # with bytes that were not read: a reset
        assert has_left(ours) is True
