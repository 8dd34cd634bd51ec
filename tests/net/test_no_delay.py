"""Connections send at once: because of their listener, or told one by one."""

from __future__ import annotations

import socket
import sys

import pytest

from bare_serve.net import no_delay
from bare_serve.net.no_delay import inherit_no_delay, set_no_delay


def delays(sock: socket.socket) -> bool:
    return not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is relied upon")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_have_it_from_their_listener(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, socket.create_connection(listener.getsockname()[:2]):
        assert inherit_no_delay(listener)  # also for one that is established, and not accepted
        with socket.create_connection(listener.getsockname()[:2]):
            first, _ = listener.accept()
            second, _ = listener.accept()
            with first, second:
                assert not delays(second)
                set_no_delay(first)
                assert not delays(first)


def test_elsewhere_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_delay, "_INHERITS", False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not inherit_no_delay(listener)


def test_a_listener_that_takes_no_options() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.close()
    assert not inherit_no_delay(listener)
