"""TLS between a transport and an ASGI connection, with a transport that only remembers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.asgi import tls_protocol
from bare_serve.asgi.tls_protocol import TlsProtocol
from bare_serve.http import LINGER_SECONDS, Timeouts
from bare_serve.net.proxy_protocol import ProxyHeader
from bare_serve.tls.session import Session
from benchmarks.hostile.key_updates import KeyUpdater
from tests.asgi.fakes import GET, FakeTransport, Recorder, Scope, Wire, body, hello, post, start
from tests.tls.test_session import Client, certificates


class Raw(FakeTransport):
    """The loop's transport, which also has its own limits."""

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        """Nothing waits here."""


class Secure(Wire):
    """A client that speaks TLS to `app`."""

    def __init__(self, app: Any, pki: SimpleNamespace, told: Any = None, **options: Any) -> None:
        super().__init__(app, transport=Raw(), **options)
        self.service.connections.clear()  # the one that speaks no TLS
        self.link = TlsProtocol(
            self.service, certificates(pki), ("192.0.2.1", 443), ("10.0.0.9", 4711), told
        )
        self.link.connection_made(self.transport)  # type: ignore[arg-type]
        self.client = Client(pki.ca.client())
        self._heard = 0

    def arrive(self) -> bytes:
        """Plaintext of what was written since the last time."""
        sealed = self.output[self._heard :]
        self._heard += len(sealed)
        self.client.incoming.write(sealed)
        got = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self.client.tls.read(1 << 16):
                got += piece
        return got

    async def meet(self) -> None:
        while data := self.client.shake():
            self.link.data_received(data)
            sealed = self.output[self._heard :]
            self._heard += len(sealed)
            self.client.incoming.write(sealed)
        await self.settle()

    async def ask(self, raw: bytes = GET) -> bytes:
        self.link.data_received(self.client.seal(raw))
        await self.settle()
        return self.arrive()


def scene(coroutine: Any) -> None:
    asyncio.run(coroutine)


def said_goodbye(client: Client) -> bool:
    """Whether TLS's own end has come."""
    try:
        return client.tls.read(1) == b""
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLWantReadError:
        return False


def test_a_request_and_its_scope(pki: SimpleNamespace) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(scope)
        await hello(scope, receive, send)

    async def run() -> None:
        wire = Secure(app, pki)
        assert wire.link in wire.service.connections
        await wire.meet()
        assert wire.link not in wire.service.connections, "its connection takes its place"
        assert len(wire.service.connections) == 1
        for _ in range(2):
            assert (await wire.ask()).endswith(b"\r\n\r\n/")
        assert seen[0]["scheme"] == "https"
        assert seen[0]["server"] == ("192.0.2.1", 443)
        assert seen[0]["client"] == ("10.0.0.9", 4711)
        assert seen[0]["extensions"]["tls"]["tls_version"] == 0x0304
        assert wire.link.get_extra_info("ssl_object") is not None
        assert wire.link.get_extra_info("peername") == ("10.0.0.9", 4711)
        assert wire.link.get_extra_info("nothing", 7) == 7
        wire.link.connection_lost(None)
        await wire.settle()
        assert not wire.service.connections

    scene(run())


def test_what_a_proxy_has_told(pki: SimpleNamespace) -> None:
    async def run() -> None:
        app = Recorder()
        told = ProxyHeader(source=("203.0.113.5", 1), destination=("198.51.100.1", 443))
        wire = Secure(app, pki, told)
        await wire.meet()
        await wire.ask()
        assert app.scopes[0]["client"] == ("203.0.113.5", 1)
        assert app.scopes[0]["server"] == ("198.51.100.1", 443)
        app.done[0].set()
        await wire.settle()

    scene(run())


@pytest.mark.parametrize("size", [10, 1 << 17, (1 << 17) + 1, 1_000_000])
def test_large_answers_are_sealed_in_pieces(pki: SimpleNamespace, size: int) -> None:
    data = bytes(range(250)) * (size // 250 + 1)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(data[:size]))

    async def run() -> None:
        wire = Secure(app, pki)
        await wire.meet()
        assert (await wire.ask()).partition(b"\r\n\r\n")[2] == data[:size]
        assert max(map(len, wire.transport.writes)) < (1 << 17) + 4096

    scene(run())


def test_the_clients_end_is_told_once_and_answers_still_leave(pki: SimpleNamespace) -> None:
    async def run() -> None:
        app = Recorder()
        wire = Secure(app, pki)
        await wire.meet()
        await wire.ask()
        with pytest.raises(ssl.SSLWantReadError):
            wire.client.tls.unwrap()
        wire.link.data_received(wire.client.outgoing.read())
        await wire.settle()
        assert wire.link.eof_received() is True, "the answer is still owed"
        assert not wire.transport.closed
        await app.send(start())
        await app.send(body(b"late"))
        await wire.settle()
        assert wire.arrive().endswith(b"late")
        assert wire.transport.closed
        app.done[0].set()
        await wire.settle()

    scene(run())


def test_an_end_between_requests_closes(pki: SimpleNamespace) -> None:
    async def run() -> None:
        wire = Secure(hello, pki)
        assert wire.link.eof_received() is False, "in the middle of the handshake"
        await wire.meet()
        await wire.ask()
        wire.link.eof_received()
        await wire.settle()
        assert wire.transport.closed
        wire.arrive()
        assert said_goodbye(wire.client)

    scene(run())


def test_plain_http_is_answered_and_waited_for(
    pki: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bare_serve")

    async def run() -> None:
        wire = Secure(hello, pki)
        wire.link.data_received(GET)
        assert wire.output.startswith(b"HTTP/1.1 400 ")
        assert wire.transport.eof_written
        assert not wire.transport.closed
        wire.link.data_received(b"more")  # is thrown away
        now = wire.loop.time()
        wire.link.check(now + LINGER_SECONDS - 1)
        assert not wire.transport.closed
        wire.link.check(now + LINGER_SECONDS + 1)
        assert wire.transport.aborted
        wire.link.connection_lost(None)
        assert not wire.service.connections

    scene(run())
    assert "10.0.0.9: no TLS: the client speaks plain HTTP" in caplog.text


@pytest.mark.parametrize("established", [False, True])
def test_what_is_no_tls_is_broken_off(pki: SimpleNamespace, established: bool) -> None:
    async def run() -> None:
        wire = Secure(hello, pki)
        if established:
            await wire.meet()
        wire.link.data_received(b"\x00" * 50)
        assert wire.transport.aborted
        wire.link.write(b"nothing more is sent")
        assert wire.arrive() == b""
        wire.link.connection_lost(None)
        await wire.settle()
        assert not wire.service.connections

    scene(run())


@pytest.mark.parametrize(("seconds", "kept"), [(10, False), (0, True)])
def test_a_handshake_has_its_time(pki: SimpleNamespace, seconds: int, kept: bool) -> None:
    async def run() -> None:
        wire = Secure(hello, pki, timeouts=Timeouts(headers=seconds))
        now = wire.loop.time()
        wire.link.check(now + 9)
        assert not wire.transport.closed
        wire.link.check(now + 11)
        assert wire.transport.aborted is not kept

    scene(run())


def test_a_stop_while_hands_are_shaken(pki: SimpleNamespace) -> None:
    async def run() -> None:
        wire = Secure(hello, pki)
        wire.link.drain()
        wire.link.wind_down(fresh=False)
        assert not wire.transport.closed, "its handshake may still end"
        wire.link.wind_down(fresh=True)
        assert wire.transport.aborted
        other = Secure(hello, pki)
        other.link.cut()
        assert other.transport.aborted

    scene(run())


def test_who_comes_through_while_the_worker_drains_is_served_once(pki: SimpleNamespace) -> None:
    async def run() -> None:
        wire = Secure(hello, pki)
        wire.service.draining = True
        await wire.meet()
        if not wire.transport.closed:
            assert b"connection: close" in (await wire.ask()).lower()
        assert wire.transport.closed

    scene(run())


def test_a_close_says_goodbye_once_and_an_abort_never(pki: SimpleNamespace) -> None:
    async def run() -> None:
        for end in ("close", "write_eof", "abort"):
            wire = Secure(hello, pki)
            await wire.meet()
            getattr(wire.link, end)()
            count = len(wire.transport.writes)
            if end != "abort":
                wire.arrive()
                assert said_goodbye(wire.client)
            wire.link.write(b"x")
            wire.link.writelines([b"x", b"y"])
            assert len(wire.transport.writes) == count
            if end == "write_eof":
                assert wire.transport.eof_written
                assert not wire.transport.closed
                wire.link.close()
                assert len(wire.transport.writes) == count, "once"
            assert wire.transport.closed
            assert wire.transport.aborted is (end == "abort")

    scene(run())


def test_a_body_and_pauses_go_through(pki: SimpleNamespace) -> None:
    async def run() -> None:
        app = Recorder()
        wire = Secure(app, pki)
        wire.link.pause_writing()
        wire.link.resume_writing()  # nobody is there to be told yet
        await wire.meet()
        await wire.ask(post(b"hello"))
        assert (await app.receive())["body"] == b"hello"
        inner = wire.link.get_protocol()
        wire.link.pause_writing()
        assert inner.write_paused  # type: ignore[union-attr]
        wire.link.resume_writing()
        assert not inner.write_paused  # type: ignore[union-attr]
        await app.send(start())
        wire.link.writelines([b"a", b"b"])
        assert wire.arrive().endswith(b"ab")
        other = asyncio.Protocol()
        wire.link.set_protocol(other)
        assert wire.link.get_protocol() is other
        app.done[0].set()
        await wire.settle()

    scene(run())


def test_tls_own_end_between_requests_closes(pki: SimpleNamespace) -> None:
    async def run() -> None:
        wire = Secure(hello, pki)
        await wire.meet()
        await wire.ask()
        with pytest.raises(ssl.SSLWantReadError):
            wire.client.tls.unwrap()
        wire.link.data_received(wire.client.outgoing.read())
        await wire.settle()
        assert wire.transport.closed, "the socket's end is not waited for"

    scene(run())


def test_each_end_is_told_once(pki: SimpleNamespace) -> None:
    class Inner(asyncio.Protocol):
        ends = 0

        def eof_received(self) -> bool:
            self.ends += 1
            return True

    async def run() -> None:
        wire = Secure(hello, pki)
        await wire.meet()
        inner = Inner()
        wire.link.set_protocol(inner)
        sealed = wire.client.seal(b"x")
        with pytest.raises(ssl.SSLWantReadError):
            wire.client.tls.unwrap()
        wire.link.data_received(sealed + wire.client.outgoing.read())
        assert inner.ends == 1
        assert wire.link.eof_received() is True
        assert inner.ends == 1
        other = Secure(hello, pki)
        await other.meet()
        other.link.set_protocol(inner)
        assert other.link.eof_received() is True
        assert inner.ends == 2

    scene(run())


def test_a_connection_that_is_lost_leaves_nothing_to_the_collector(pki: SimpleNamespace) -> None:
    """What is held of a client's goes with it: until the collector comes there may be many."""

    async def run() -> None:
        wire = Secure(hello, pki)
        await wire.meet()
        assert b"200" in await wire.ask()
        wire.link.connection_lost(None)
        await wire.settle()
        del wire.link

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        scene(run())
        gc.collect()
        left = {type(each) for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left & {TlsProtocol, Session}


# ------------------------------------------------------------------------------ in turns


async def read_all(scope: Scope, receive: Any, send: Any) -> None:
    whole = b""
    while True:
        message = await receive()
        whole += message["body"]
        if not message["more_body"]:
            break
    await send(start())
    await send(body(whole[::-1]))


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is over with the first slice of what has come."""
    monkeypatch.setattr(tls_protocol, "_TURN", -1.0)


def test_what_takes_long_to_decrypt_is_taken_in_turns(
    pki: SimpleNamespace, short_turns: None
) -> None:
    whole = bytes(range(251)) * 2000

    async def run() -> None:
        wire = Secure(read_all, pki)
        await wire.meet()
        sealed = wire.client.seal(post(whole))
        core = wire.link.get_protocol().core  # type: ignore[union-attr]
        wire.link.data_received(sealed[:300_000])
        taken = core.buffered + core.body_received
        assert taken < 100_000
        assert not wire.transport.reading
        wire.link.data_received(sealed[300_000:300_001])
        wire.link.data_received(sealed[300_001:])
        assert core.buffered + core.body_received == taken, "the rest is for later turns"
        for _ in range(10):
            await wire.settle()
        assert wire.arrive().partition(b"\r\n\r\n")[2] == whole[::-1]
        assert wire.transport.reading

    scene(run())


def test_what_waits_for_its_turn_is_forgotten_with_its_connection(
    pki: SimpleNamespace, short_turns: None
) -> None:
    async def run() -> None:
        wire = Secure(read_all, pki)
        await wire.meet()
        wire.link.data_received(wire.client.seal(post(bytes(500_000))))
        wire.link.connection_lost(None)
        await wire.settle()
        assert not wire.service.connections
        assert wire.link.get_protocol() is None

    scene(run())


def test_who_does_not_take_what_tls_answers_is_not_read_from_until_it_does(
    pki: SimpleNamespace,
) -> None:
    """KeyUpdates ask for answers (RFC 8446, 4.6.3)."""

    async def run() -> None:
        wire = Secure(hello, pki)
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
            shaking = pool.submit(KeyUpdater, listener.getsockname(), pki.ca.client())
            between, _ = listener.accept()
            heard = 0
            while wire.link.get_protocol() is None:
                wire.link.data_received(between.recv(1 << 16))
                between.sendall(wire.output[heard:])
                heard = len(wire.output)
            client = shaking.result()
        client.socket.close()
        between.close()
        wire.link.data_received(client.key_update())
        assert wire.transport.reading, "the client takes it"
        wire.link.pause_writing()
        assert wire.transport.reading
        wire.link.data_received(client.key_update())
        assert not wire.transport.reading
        wire.link.resume_writing()
        assert wire.transport.reading
        wire.link.data_received(client.key_update() + client.data(GET))
        assert wire.transport.reading
        await wire.settle()
        assert wire.service.requests == 1
        wire.link.connection_lost(None)

    scene(run())


def test_when_a_handshake_is_late(pki: SimpleNamespace) -> None:
    async def run() -> None:
        wire = Secure(hello, pki, timeouts=Timeouts(headers=7))
        wire.service.loop = SimpleNamespace(time=lambda: 100.0)  # type: ignore[assignment]
        link = TlsProtocol(wire.service, certificates(pki), None, None)
        link.connection_made(wire.transport)  # type: ignore[arg-type]
        link.check(106.9)
        assert not wire.transport.aborted
        link.check(107.0)
        assert wire.transport.aborted

    scene(run())
