"""Connections of ASGI as they come and go: their sockets are of the C class, lent to the loop."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest

from bare_serve.asgi.connection import Connection
from bare_serve.net import no_delay
from tests.support import RawClient, eventually
from tests.workers.asgi.threads import GET, Serve, echo, serve_on

__all__ = ["serve_on"]

CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux only")
@pytest.mark.parametrize("unix", [False, True])
def test_each_descriptor_is_closed_once(serve_on: Serve, unix: bool, tmp_path: Path) -> None:
    """Twice would close that of another connection, which is then reset; never is a leak."""
    options: dict[str, Any] = {"unix": tmp_path / "s"} if unix else {}

    def client() -> RawClient:
        return RawClient(str(tmp_path / "s") if unix else worker.address)

    with serve_on(echo, lifespan="off", **options) as worker:
        with client() as first:
            first.request()
        before = eventually(open_descriptors)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            for count in (1, 1, 50, 1, 30):
                with contextlib.ExitStack() as stack:
                    clients = [stack.enter_context(client()) for _ in range(count)]
                    for each in clients[::2]:
                        each.send(CLOSE)
                    for each in clients[::2]:
                        assert each.response().status == 200
                        assert each.is_closed()
                    for each in clients[1::2]:
                        assert each.request().status == 200
            gc.collect()
        eventually(lambda: open_descriptors() <= before, "all are closed")


def test_no_delay_where_it_is_not_inherited(
    serve_on: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = Connection.connection_made

    def look(self: Any, transport: Any) -> None:
        sock = transport.get_extra_info("socket")
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        real(self, transport)

    monkeypatch.setattr(no_delay, "_INHERITS", False)
    monkeypatch.setattr(Connection, "connection_made", look)
    with serve_on(echo) as worker, worker.client() as client:
        client.request()
    assert seen == [1]
