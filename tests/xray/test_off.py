"""Without --xray nothing of it is there: no module, no other class."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.support import RawClient, serve

WSGI = """
import json, sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    call = environ["wsgi.early_hints"]
    http = environ["bare_serve.client_disconnected"].__self__.http
    seen = {"exchange": type(call).__qualname__, "http": type(http).__qualname__,
            "modules": [name for name in sys.modules if "xray" in name or "traced" in name]}
    return [json.dumps(seen).encode()]
"""
ASGI = """
import json, sys
async def app(scope, receive, send):
    assert scope["type"] == "http"
    call = receive.__self__
    seen = {"exchange": type(call).__qualname__, "http": type(call.core).__qualname__,
            "modules": [name for name in sys.modules if "xray" in name or "traced" in name]}
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
"""


@pytest.mark.parametrize("source", [WSGI, ASGI], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("asked", [(), ("--xray",)], ids=["off", "on"])
def test_nothing_of_it_is_there_unless_asked_for(source: str, asked: tuple[str, ...]) -> None:
    with serve("app:app", *asked, source=source) as server, RawClient(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        seen = json.loads(client.read_to_eof().partition(b"\r\n\r\n")[2])
    if asked:
        assert (seen["exchange"], seen["http"]) == ("TracedExchange", "TracedConnection")
    else:
        assert seen == {"exchange": "Exchange", "http": "ServerConnection", "modules": []}


def test_only_its_own_modules_import_it_at_their_top(root: Path) -> None:
    importing = set()
    for path in (root / "bare_serve").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names: list[str] = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if any("xray" in name or "traced" in name for name in names):
                importing.add(str(path.relative_to(root)))
    assert len(importing) > 5
    # Of dev/ nothing is imported without --reload.
    own = ("xray", "traced", "bare_serve/dev/")
    assert {name for name in importing if not any(each in name for each in own)} == set()
