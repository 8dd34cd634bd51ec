"""Calls under the x-ray without a server: request and application in, the text of blocks out."""

from __future__ import annotations

import asyncio
from typing import Any

from bare_serve.asgi import HttpOptions, Service
from bare_serve.asgi.traced import traced_app
from bare_serve.asgi.traced_connection import TracedConnection as AsgiConnection
from bare_serve.errors import RequestError
from bare_serve.http import Limits, RequestHead, Timeouts
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.http1.traced import TracedConnection, watch
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.input import NO_INPUT
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.traced import TracedService
from bare_serve.xray.options import XrayOptions
from bare_serve.xray.text import render
from bare_serve.xray.trace import Block, Tracer
from tests.asgi.fakes import until
from tests.asgi.websocket_fakes import SwitchingTransport

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Shown:
    """A tracer, and the blocks that it has shown."""

    def __init__(self, **options: Any) -> None:
        self.blocks: list[Block] = []
        self._numbers = iter(range(1, 10_000))
        self.tracer = Tracer(XrayOptions(**options), self._admit, self.blocks.append, "worker 1")

    def _admit(self) -> int:
        return next(self._numbers)

    @property
    def text(self) -> str:
        return "".join(map(render, self.blocks))

    def http(self) -> TracedConnection:
        http = watch(ServerConnection(select_parser("python").make(), Limits()), self.tracer)
        assert isinstance(http, TracedConnection)
        return http


class FakeClient:
    """What a `Service` of WSGI sees of a connection; nothing waits, all is taken."""

    def __init__(self, http: TracedConnection) -> None:
        base = server_environ(multithread=True, multiprocess=False, file_wrapper=FileWrapper)
        self.http = http
        self.client = "10.0.0.9"
        self.environ = connection_environ(base, ("127.0.0.1", 80), ("10.0.0.9", 4711))
        self.last_head: RequestHead | None = None
        self.last_environ: dict[str, Any] = {}
        self.trust = self.failure = self.collected = self.at_end = self.upgraded = None
        self.given_up = self.sends_file = False
        self.output = b""
        self.started = 0.0

    def transmit(self, output: Any, last: bool) -> None:
        self.output += output if isinstance(output, bytes) else b"".join(output)

    def send_piece(self, data: bytes) -> None:
        self.transmit(self.http.send_body(data, True), False)

    def take_kept(self) -> bytes:
        return b""

    def release(self) -> None:
        """Nothing is held."""

    def send_file(self, fd: int, offset: int, count: int) -> None:
        head, _ = self.http.send_external(count, at_most=True)
        self.transmit(head, False)

    def abort(self) -> None:
        """The client sees it."""

    def forget_collected(self) -> None:
        """There is none."""


def call_wsgi(app: Any, raw: bytes = GET, times: int = 1, **options: Any) -> str:
    """Return what is shown of requests to a WSGI application."""
    shown = Shown(**options)
    http = shown.http()
    client: Any = FakeClient(http)
    service = TracedService(app, "", None)
    for _ in range(times):
        http.receive_data(raw)
        try:
            head = http.next_event()
            body = b""
            while isinstance(piece := http.next_event(), bytes):
                body += piece
        except RequestError as error:
            service.refuse(client, error)
            break
        environ = service.environ(client, head)
        environ["wsgi.input"] = _Input(body) if body else NO_INPUT
        service.call(client, head, environ)
    return shown.text


class _Input:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing to close."""


def call_asgi(app: Any, raw: bytes = GET, **options: Any) -> str:
    """Return what is shown of one request to an ASGI application."""
    shown = Shown(**options)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        http = HttpOptions(new_exchange=shown.http, timeouts=Timeouts())
        service = Service(traced_app(app), loop, http)
        service.state = {}
        connection = AsgiConnection(service, ("127.0.0.1", 80), ("10.0.0.9", 4711))
        transport: Any = SwitchingTransport()
        connection.connection_made(transport)
        connection.data_received(raw)
        await asyncio.sleep(0)
        await until(lambda: not service.running)
        (transport.protocol or connection).connection_lost(None)

    asyncio.run(serve())
    return shown.text
