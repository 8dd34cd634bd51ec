"""An answer that is cut never looks whole, whoever cuts it, in each way a client can be told.

An answer without a length ends with its last chunk, or for HTTP/1.0, which knows no chunks, with
the connection. So a chunked answer that is cut lacks its last chunk; one of HTTP/1.0 must be reset,
or under TLS lack the closure alert (RFC 9112, 9.8; RFC 8446, 6.1). Real servers and sockets.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Authority, Server, eventually, serve
from tests.support.processes import BANNER_URL
from tests.workers.cut_app import FIRST

HERE = Path(__file__).parent
Address = tuple[str, int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


class Reader:
    """A client that has the beginning of an answer, and waits for its end."""

    def __init__(self, address: Address, path: str, minor: int, tls: ssl.SSLContext | None) -> None:
        self.socket = socket.create_connection(address, 20)
        if tls is not None:
            self.socket = tls.wrap_socket(
                self.socket, server_hostname="localhost", suppress_ragged_eofs=False
            )
        self.socket.sendall(f"GET {path} HTTP/1.{minor}\r\nHost: localhost\r\n\r\n".encode())
        self.received = b""
        while FIRST not in self.received:
            self.received += self.socket.recv(65536)

    def end(self) -> str:
        """How it ends: "clean", if only what was sent can tell that it was cut."""
        try:
            while data := self.socket.recv(65536):
                self.received += data
        except ConnectionResetError:
            return "reset"
        except ssl.SSLEOFError:
            return "no closure alert"
        finally:
            self.socket.close()
        return "clean"


@contextlib.contextmanager
def serving(
    interface: str, authority: Authority, *options: str
) -> Iterator[tuple[Server, Address, Address]]:
    """A server, its plain address, and that with TLS."""
    chain, key = authority.issue("server")
    tls = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key))
    binds = ("--bind", "tls:127.0.0.1:0", "--bind", "127.0.0.1:0")
    target = f"cut_app:{interface}_app"
    with serve(target, "--workers", "1", *tls, *binds, *options, cwd=HERE) as server:

        def told() -> dict[str, int] | None:
            found = {match[1]: int(match[3]) for match in BANNER_URL.finditer(server.stderr)}
            return found if len(found) == 2 else None

        ports = eventually(told, "both addresses")
        assert ports is not None
        yield server, ("127.0.0.1", ports["http"]), ("127.0.0.1", ports["https"])


def stop_twice(server: Server) -> None:
    server.send_signal(signal.SIGTERM)
    server.wait_for_output("Stopping")
    server.send_signal(signal.SIGTERM)


ENDINGS: dict[str, tuple[str, tuple[str, ...], Callable[[Server], None]]] = {
    "the application raises": ("/raise", (), lambda server: None),
    "stopped twice": ("/wait", (), stop_twice),
    "the grace is over": (
        "/wait",
        ("--timeout-graceful-shutdown", "1"),
        lambda server: server.send_signal(signal.SIGTERM),
    ),
    "the request takes too long": ("/wait", ("--timeout-request", "1"), lambda server: None),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_cut_answer_never_looks_whole(interface: str, ending: str, authority: Authority) -> None:
    path, options, act = ENDINGS[ending]
    with serving(interface, authority, *options) as (server, plain, secure):
        trusting = authority.client()
        readers = {
            (minor, kind): Reader(address, path, minor, context)
            for minor in (0, 1)
            for kind, address, context in (("plain", plain, None), ("tls", secure, trusting))
        }
        act(server)
        ends = {cell: reader.end() for cell, reader in readers.items()}
    for (minor, kind), reader in readers.items():
        assert reader.received.count(FIRST) == 1
        assert not reader.received.endswith(b"0\r\n\r\n"), "no last chunk"
        chunked = b"\r\nTransfer-Encoding: chunked\r\n" in reader.received
        assert chunked is bool(minor), (minor, kind)
    assert ends[0, "plain"] == "reset"
    assert ends[0, "tls"] in ("reset", "no closure alert")
