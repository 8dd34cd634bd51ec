"""Another client is answered during each attack that needs nothing but HTTP, and memory stays.

For WSGI and ASGI, plain and behind TLS. (Floods on WebSockets: test_floods; of KeyUpdates:
tests/tls/test_key_updates.)

The waits asserted are generous, for a machine that is busy with other things. Without the bounds
they are longer: 8 s for the burst, 2.4 s and more for the lists, and chunks as fast as they come
leave no time to others. Memory is bounded by 8 MiB for an attacker with one connection, and by one
more for each further connection, where a head of 64 KiB may be held several times over.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

import pytest

from tests.hurt.conftest import Pki
from tests.hurt.crowd import Process
from tests.hurt.floods import flood, worst_wait
from tests.support import serve

APP = """
import time

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/sleep":
        time.sleep(0.003)  # as computing does
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(0.003)
    while environ["wsgi.input"].read(65536):
        pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
MIB = 1 << 20
LONGEST_WAIT = 2.0
SECONDS = 1.5
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BURST = b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n" * 2600
LISTS = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %b\r\n\r\n" % (b"::," * 21_500)


@dataclass(frozen=True, slots=True)
class Attack:
    block: bytes
    greeting: bytes = b""
    connections: int = 1
    options: tuple[str, ...] = ()
    refused: bool = False
    """Whether the server ends such a connection, so that the attacker has to come again."""


ATTACKS = {
    "burst": Attack(BURST),
    "one-byte chunks": Attack(b"1\r\nx\r\n" * 10_000, UPLOAD, 4, refused=True),
    "two-byte chunks": Attack(b"2\r\nxy\r\n" * 10_000, UPLOAD, 4),
    "forwarded lists": Attack(LISTS, connections=8, options=("--forwarded-allow-ips", "*")),
}


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    "tls", [False, pytest.param(True, marks=pytest.mark.long)], ids=["plain", "tls"]
)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
def test_an_attack_keeps_nobody_waiting_and_fills_no_memory(
    attack: Attack, tls: bool, interface: str, pki: Pki
) -> None:
    context = pki.ca.client() if tls else None
    options = (*attack.options, *(pki.options if tls else ()))
    with serve(f"app:{interface}", "--no-access-log", *options, source=APP) as server:

        def connect() -> socket.socket:
            client = socket.create_connection(server.address, timeout=60)
            return context.wrap_socket(client, server_hostname="localhost") if context else client

        worker = Process(server.workers[0])
        worst_wait(connect, 0.3)
        before = worker.memory
        worker.forget_peak()
        many = {"count": attack.connections, "greeting": attack.greeting}
        with flood(connect, attack.block, **many) as sender:
            wait = worst_wait(connect, SECONDS)
        assert worker.peak - before < (7 + attack.connections) * MIB
        assert server.workers == [int(worker._proc.name)], "the worker has outlived it"
        print(f"{wait * 1000:.0f} ms, {sender.sent} bytes, {sender.refusals} refusals")
        assert wait < LONGEST_WAIT
        assert sender.sent >= min(len(attack.block), 1 << 16)
        assert (sender.refusals > 0) is attack.refused
