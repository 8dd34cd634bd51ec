"""Context variables of a WSGI request are its own: they are gone when it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from bare_serve.http import RequestHead
from bare_serve.wsgi.input import NO_INPUT
from bare_serve.wsgi.service import Service
from tests.support import RawClient, serve
from tests.wsgi.fakes import PLAIN, request
from tests.wsgi.pairs import pair

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="nothing")


def test_each_call_has_context_variables_of_its_own() -> None:
    """As the import of the application has left them, up to close(); the next call sees none."""
    seen = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(VARIABLE.get())
            VARIABLE.set("by the body")
            yield b"x"

        def close(self) -> None:
            seen.append(VARIABLE.get())

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(VARIABLE.get())
        VARIABLE.set("by the call")
        start_response("200 OK", [PLAIN])
        return Body()

    token = VARIABLE.set("by the import")
    try:
        service = Service(app, "", None)
        VARIABLE.set("by whoever leads the loop")
        for _ in range(2):
            with pair() as both:
                both.client.sendall(request("GET", "/"))
                assert both.connection.read()
                head = both.connection.http.next_event()
                assert isinstance(head, RequestHead)
                environ = {**service.environ(both.connection, head), "wsgi.input": NO_INPUT}
                service.call(both.connection, head, environ)
                assert both.finish().startswith(b"HTTP/1.1 200")
        assert VARIABLE.get() == "by whoever leads the loop"
    finally:
        VARIABLE.reset(token)
    assert seen == ["by the import", "by the call", "by the body"] * 2


APP = """
import time
from contextvars import ContextVar
VARIABLE = ContextVar("VARIABLE", default="nothing")
VARIABLE.set("by the import")
def app(environ, start_response):
    seen = VARIABLE.get()
    VARIABLE.set(environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    start_response("200 OK", [])
    return [f"{seen} {VARIABLE.get()}".encode()]
"""


@pytest.mark.parametrize("how", [("--threads", "1"), (), ("--preload",), ("--workers", "0")])
def test_whichever_thread_answers(how: tuple[str, ...]) -> None:
    """With several threads the lead changes at each slow call."""
    with serve("app:app", *how, source=APP) as server, RawClient(server.address) as client:
        for target in ("/a", "/slow", "/b", "/slow", "/slow", "/c"):
            assert client.request("GET", target).body == f"by the import {target}".encode()
