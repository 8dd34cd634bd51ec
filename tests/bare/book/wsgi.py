"""Request, Response, Router and Mount for WSGI as textbooks write them, with their faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

REASONS = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 404: "Not Found"}


class Request:
    def __init__(self, environ: Any) -> None:
        self.environ = environ

    def header(self, name: str, default: str = "") -> str:
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), default))

    @property
    def url(self) -> str:
        environ = self.environ
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        host = environ.get("HTTP_HOST", "localhost")
        return f"{environ['wsgi.url_scheme']}://{host}{environ['PATH_INFO']}{query}"

    @property
    def content(self) -> bytes:
        length = int(self.environ.get("CONTENT_LENGTH") or 0)
        return self.environ["wsgi.input"].read(length) if length else b""

    def query(self, name: str) -> str:
        return parse_qs(self.environ["QUERY_STRING"])[name][0]


class Response:
    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: Any = None,
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        self.status = status
        self._headers = {"Content-Type": content_type, **(headers or {})}
        self._body = body if isinstance(body, bytes) else str(body or "").encode()

    def set_header(self, name: str, value: str) -> Response:
        self._headers[name] = value
        return self

    def set_cookie(self, name: str, value: str, http_only: bool = True) -> Response:
        cookies = self._headers.setdefault("_cookies", "")
        cookie = f"{name}={value}; Path=/" + ("; HttpOnly" if http_only else "")
        self._headers["Set-Cookie"] = cookie
        self._headers["_cookies"] = cookies
        return self

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        if "Content-Length" not in self._headers:
            self._headers["Content-Length"] = str(len(self._body))
        reason = REASONS.get(self.status, "Unknown")
        start_response(f"{self.status} {reason}", list(self._headers.items()))
        return [self._body]


def handler(function: Callable[[Request], Any]) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> Any:
        answer = function(Request(environ))
        if not isinstance(answer, Response):
            answer = Response(json.dumps(answer), content_type="application/json")
        return answer(environ, start_response)

    return app


class Mount:
    def __init__(self, mounts: dict[str, Any]) -> None:
        self._mounts = sorted(mounts.items(), key=lambda item: -len(item[0]))

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        for prefix, app in self._mounts:
            if path.startswith(prefix):
                below = {**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix}
                below["PATH_INFO"] = path[len(prefix) :] or "/"
                return app(below, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found"]
