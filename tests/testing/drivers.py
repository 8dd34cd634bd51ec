"""Callers of applications, as plain as a server can be: what the lint finds is the lint's own."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from typing import Any

from bare_serve.testing import SpecAdvice, lint


def environ(**changes: Any) -> dict[str, Any]:
    """An environ of a GET; `wsgi_input` stands for `wsgi.input`, None takes a key away."""
    made: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "test",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"body"),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in changes.items():
        key = name.replace("wsgi_", "wsgi.", 1) if name.startswith("wsgi_") else name
        made[key] = value
        if value is None:
            del made[key]
    return made


class Answer:
    """What a WSGI application has answered."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.exc_info: Any = None
        self.pieces: list[bytes] = []
        self.result: Any = None

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info and self.pieces:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status, self.headers, self.exc_info = status, headers, exc_info
        return self.pieces.append


def call_wsgi(app: Any, given: Any = None) -> Answer:
    """Call an application, take all of its answer, and close that in every case."""
    answer = Answer()
    answer.result = app(environ() if given is None else given, answer.start_response)
    try:
        answer.pieces.extend(answer.result)
    finally:
        if hasattr(answer.result, "close"):
            answer.result.close()
    return answer


def http_scope(**changes: Any) -> dict[str, Any]:
    """The scope of a GET that is offered all extensions; None takes a key away."""
    made: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        "client": ("192.0.2.9", 1),
        "server": ("192.0.2.1", 80),
        "extensions": {
            f"http.response.{name}": {}
            for name in ("pathsend", "zerocopysend", "trailers", "early_hint", "debug")
        },
        "state": {},
    }
    return _changed(made, changes)


def websocket_scope(**changes: Any) -> dict[str, Any]:
    """The scope of a WebSocket that offers the subprotocol `chat`."""
    made = http_scope(type="websocket", scheme="ws", method=None)
    made["subprotocols"] = ["chat"]
    made["extensions"] = {"websocket.http.response": {}}
    return _changed(made, changes)


def lifespan_scope(**changes: Any) -> dict[str, Any]:
    """The scope of a lifespan."""
    return _changed({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, changes)


def _changed(made: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        made[name] = value
        if value is None:
            del made[name]
    return made


EVENTS: dict[str, list[Any]] = {
    "http": [{"type": "http.request", "body": b"body", "more_body": False}],
    "websocket": [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}],
    "lifespan": [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}],
}
DISCONNECTS: dict[str, Any] = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1001},
}


async def call_asgi(
    app: Any, scope: Any, events: Iterable[Any] | None = None, *, stays: bool = False
) -> list[Any]:
    """Call an application with these events; all that it has sent.

    Then the client disconnects; if it `stays`, after its answer.
    """
    kind = scope.get("type", "http") if isinstance(scope, dict) else "http"
    coming = iter(EVENTS[kind] if events is None else events)
    sent: list[Any] = []
    accepted, complete = asyncio.Event(), asyncio.Event()

    async def receive() -> Any:
        event = next(coming, None)
        if events is None and event == EVENTS["websocket"][1]:
            await accepted.wait()
        if event is None and stays:
            await complete.wait()
        return event or DISCONNECTS[kind]

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)
        accepted.set()
        kind_sent = message["type"]
        last = kind_sent == "http.response.body" and not message.get("more_body")
        if last or kind_sent == "websocket.close":  # which a server answers by a disconnect
            complete.set()

    await app(scope, receive, send)
    return sent


def linted(app: Any, interface: Any = "auto") -> tuple[Any, list[SpecAdvice]]:
    """An application with the lint around it, and the list that its advice goes to."""
    said: list[SpecAdvice] = []
    return lint(app, interface, on_advice=said.append), said
