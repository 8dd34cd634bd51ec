"""A framework as textbooks build it in one chapter, rebuilt with its faults."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

CONVERTERS = {"str": r"[^/]+", "int": r"[0-9]+", "slug": r"[a-zA-Z0-9-]+"}


class Request:
    def __init__(self, scope: Any, receive: Any) -> None:
        self._scope, self._receive = scope, receive
        self._content: bytes | None = None
        self.method, self.path = scope["method"], scope["path"]
        self.path_params = scope.get("path_params", {})

    @property
    def headers(self) -> dict[str, str]:
        return {n.decode("latin-1"): v.decode("latin-1") for n, v in self._scope["headers"]}

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name.lower(), default)

    def query(self, name: str, default: str = "") -> str:
        values = urllib.parse.parse_qs(self._scope["query_string"].decode("latin-1")).get(name)
        return values[0] if values else default

    async def body(self) -> bytes:
        if self._content is None:
            self._content = b""
            while True:
                event = await self._receive()
                self._content += event.get("body", b"")
                if not event.get("more_body", False):
                    break
        return self._content

    async def text(self) -> str:
        return (await self.body()).decode("utf-8")

    async def json(self) -> Any:
        return json.loads(await self.body())


class Response:
    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: Any = None,
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        self.status = status
        self._headers = {"content-type": content_type}
        self._headers.update({name.lower(): value for name, value in (headers or {}).items()})
        text = "" if body is None else body
        self._body = text if isinstance(text, bytes) else str(text).encode()

    def set_header(self, name: str, value: str) -> Response:
        self._headers[name.lower()] = value
        return self

    def set_cookie(self, name: str, value: str, **attributes: Any) -> Response:
        cookie = f"{name}={value}"
        for key, said in attributes.items():
            cookie += f"; {key.replace('_', '-')}={said}"
        self._headers.setdefault("set-cookie", cookie)
        return self

    async def send(self, send: Any) -> None:
        fields = [*self._headers.items(), ("content-length", str(len(self._body)))]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class JSONResponse(Response):
    def __init__(self, data: Any, status: int = 200, **more: Any) -> None:
        text = json.dumps(data, default=str)
        super().__init__(text, status, content_type="application/json", **more)


class HTMLResponse(Response):
    def __init__(self, html: str, status: int = 200, **more: Any) -> None:
        super().__init__(html, status, content_type="text/html; charset=utf-8", **more)


class RedirectResponse(Response):
    def __init__(self, location: str, status: int = 302) -> None:
        super().__init__(None, status, {"location": location})


class WebSocket:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self._receive, self._send = receive, send
        self.path_params = scope.get("path_params", {})

    async def __aenter__(self) -> WebSocket:
        assert (await self._receive())["type"] == "websocket.connect"
        await self._send({"type": "websocket.accept", "subprotocol": None})
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._send({"type": "websocket.close", "code": 1000})

    async def receive_text(self) -> str | None:
        event = await self._receive()
        return event.get("text") if event["type"] == "websocket.receive" else None

    async def send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def send_json(self, data: Any) -> None:
        await self.send_text(json.dumps(data))


def compiled(path: str) -> re.Pattern[str]:
    def group(found: re.Match[str]) -> str:
        name, _, kind = found[1].partition(":")
        return f"(?P<{name}>{CONVERTERS.get(kind or 'str', CONVERTERS['str'])})"

    return re.compile("^" + re.sub(r"\{([^}]+)\}", group, path) + "$")


class Bare:
    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Any]] = []
        self._startup: list[Any] = []
        self._shutdown: list[Any] = []
        self._middleware: list[Any] = []
        self._built: Any = None
        self.state: dict[str, Any] = {}

    def route(self, path: str, methods: Any = ("GET",)) -> Callable[[Any], Any]:
        def register(handler: Any) -> Any:
            self._routes += [(method, compiled(path), handler) for method in methods]
            return handler

        return register

    def get(self, path: str) -> Callable[[Any], Any]:
        return self.route(path, ["GET"])

    def post(self, path: str) -> Callable[[Any], Any]:
        return self.route(path, ["POST"])

    def websocket(self, path: str) -> Callable[[Any], Any]:
        return self.route(path, ["WS"])

    def on_startup(self, function: Any) -> Any:
        self._startup.append(function)
        return function

    def on_shutdown(self, function: Any) -> Any:
        self._shutdown.append(function)
        return function

    def add_middleware(self, kind: Any, **more: Any) -> None:
        self._middleware.append((kind, more))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._built is None:
            self._built = self._handle
            for kind, more in reversed(self._middleware):
                self._built = kind(self._built, **more)
        await self._built(scope, receive, send)

    async def _handle(self, scope: Any, receive: Any, send: Any) -> None:
        await getattr(self, "_" + scope["type"])(scope, receive, send)

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            for function in self._startup:
                found = function()
                if asyncio.iscoroutine(found):
                    await found
            await send({"type": "lifespan.startup.complete"})
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await receive()
        for function in self._shutdown:
            try:
                found = function()
                if asyncio.iscoroutine(found):
                    await found
            except Exception:
                pass
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        matched = [
            (method, handler, found)
            for method, pattern, handler in self._routes
            if (found := pattern.match(scope["path"])) and method != "WS"
        ]
        for method, handler, found in matched:
            if method == scope["method"]:
                scope["path_params"] = found.groupdict()
                try:
                    answer = await handler(Request(scope, receive))
                    if answer is None:
                        answer = Response()
                    if not isinstance(answer, Response):
                        answer = JSONResponse(answer)
                    await answer.send(send)
                except Exception as error:
                    await JSONResponse({"error": str(error)}, 500).send(send)
                return
        allowed = sorted({method for method, _, _ in matched})
        if allowed:
            data = {"error": "method not allowed"}
            await JSONResponse(data, 405, headers={"allow": ", ".join(allowed)}).send(send)
        else:
            await JSONResponse({"error": "not found"}, 404).send(send)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        for method, pattern, handler in self._routes:
            if method == "WS" and (found := pattern.match(scope["path"])):
                scope["path_params"] = found.groupdict()
                try:
                    await handler(WebSocket(scope, receive, send))
                except Exception:
                    await send({"type": "websocket.close", "code": 1011})
                return
        await receive()
        await send({"type": "websocket.close", "code": 4004})

    def run(self, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> None:
        if options.get("reload"):
            raise SystemExit(1)  # what the server that it calls does with an object


class Redirecting(Bare):
    """With what such texts advise for slashes: strip the last one, and redirect."""

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path != "/" and path.endswith("/"):
            await RedirectResponse(path.rstrip("/"), 301).send(send)
            return
        await super()._http(scope, receive, send)
