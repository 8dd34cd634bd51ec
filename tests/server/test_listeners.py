"""Listeners that are handed over, kept, and let go of."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bare_serve.config.settings import Settings
from bare_serve.net import sockets
from bare_serve.net.bind_address import parse_address
from bare_serve.server.listeners import listening
from bare_serve.supervision import Handover
from tests.support import serve

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]
"""


def test_unix_socket_that_is_served_by_nobody_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "sock"))
    left.close()
    with serve("app:app", "-b", f"unix:{tmp_path}/sock", "-b", "127.0.0.1:0", source=APP) as server:
        assert server.stop() == 0
    assert not (tmp_path / "sock").exists()


def _handed_over(role: str) -> tuple[Handover, int, str]:
    old = sockets.bind(parse_address("127.0.0.1:0"))
    port, handover = old.getsockname()[1], Handover()
    key = f"127.0.0.1:{port}"
    handover.received, handover.listeners = True, {key: old.detach()}
    handover.roles = {key: role} if role else {}
    return handover, port, key


def test_addresses_are_kept_if_a_new_one_fails() -> None:
    handover, port, key = _handed_over("")
    with listening(Settings(), (f"0.0.0.0:{port}",), handover, None) as listeners:
        assert [sock.getsockname() for sock in listeners] == [("127.0.0.1", port)]
        assert [*listeners.values()] == [""]
        assert [*handover.listeners] == [key]
        socket.create_connection(("127.0.0.1", port)).close()


def test_address_of_tls_is_never_kept_without() -> None:
    handover, port, _ = _handed_over("tls")
    with listening(Settings(), (f"0.0.0.0:{port}",), handover, None) as listeners:
        assert [*listeners] == []


def test_file_of_an_address_that_is_not_wanted_goes_though_workers_have_it(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    old = sockets.bind(parse_address(f"unix:{path}"))
    handover = Handover()
    handover.received = True
    handover.listeners = {f"unix:{path}": os.dup(old.fileno())}
    with listening(Settings(), ("127.0.0.1:0",), handover, None), old:
        assert not path.exists()


def test_address_that_is_not_wanted_is_let_go_of() -> None:
    handover, port, _ = _handed_over("")
    with listening(Settings(), ("127.0.0.1:0",), handover, None) as listeners:
        assert [sock.getsockname()[1] == port for sock in listeners] == [False]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
