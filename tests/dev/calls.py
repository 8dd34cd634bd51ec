"""Applications in front of a browser that is made up: a state, and clients at this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO, StringIO
from typing import Any

from bare_serve.dev import failure
from bare_serve.dev.browser import wrap
from bare_serve.dev.state import BrowserOptions, DevState, record_of
from bare_serve.testing import TestClient

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "host": "localhost:8000"}


def fails(state: DevState, error: BaseException, message: str = "'app:app' failed") -> None:
    """Tell the state that new code does not start."""
    structure = failure.to_json(failure.describe(error))
    state.failed(record_of(message, "", structure))


class Answer:
    """What a WSGI application gave, called as PEP 3333 says."""

    def __init__(self, app: Any, path: str, method: str, fields: Mapping[str, str]) -> None:
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": StringIO(),
            **{f"HTTP_{n.upper().replace('-', '_')}": value for n, value in fields.items()},
        }
        pieces: list[bytes] = []
        self.raised: BaseException | None = None
        self.status = 0
        self.headers: dict[str, str] = {}

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            if exc_info is not None and any(pieces):
                raise exc_info[1]
            assert exc_info is not None or not self.status, "start_response is called once"
            self.status = int(status[:3])
            self.headers = {name.lower(): value for name, value in headers}
            return pieces.append

        result: Any = None
        try:
            try:
                result = app(environ, start)
                for piece in result:
                    pieces.append(piece)  # noqa: PERF402 (what was before an exception counts)
            finally:
                getattr(result, "close", lambda: None)()
        except Exception as error:
            self.raised = error
        self.content = b"".join(pieces)
        self.text = self.content.decode("utf-8", "replace")


class Browser:
    """One application, and what is asked of it."""

    def __init__(self, app: Any, interface: str, *, live: bool = False, page: bool = True) -> None:
        self.state = DevState()
        self.app = wrap(app, interface, self.state, BrowserOptions(page, live))
        self.interface: Any = interface
        self.client = TestClient(self.app, interface=self.interface, raise_app_exceptions=False)

    def get(self, path: str = "/", method: str = "GET", **fields: str) -> Any:
        """Ask as a browser does, or as `fields` say."""
        given = {**BROWSER, **{name.replace("_", "-"): value for name, value in fields.items()}}
        if self.interface == "wsgi":
            return Answer(self.app, path, method, given)
        return self.client.request(method, path, headers=given)

    def json(self, path: str = "/") -> Any:
        """Ask as a program does."""
        return json.loads(self.get(path, accept="application/json").text)
