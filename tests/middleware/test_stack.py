"""One policy around a WSGI and an ASGI application: the contract, in short."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.middleware import Answer, Exchange, Head, Headers, Outcome, wrap
from bare_serve.testing import TestClient


class Tell(Exchange):
    """Writes down what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def begin(self, request: Head) -> Exchange | Answer:
        if request.path == "/stop":
            return Answer(403, [("Content-Type", "text/plain")], b"no\n")
        request.put("told", request.header("x-asked"))
        return self

    def start(self, status: int, headers: Headers) -> None:
        self.seen.append(status)
        headers.set("X-Told", "yes")

    def end(self, outcome: Outcome) -> None:
        self.seen.append((outcome.status, outcome.sent))


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Says what the policy has put there."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["told"].encode()]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Says what the policy has put there."""
    fields = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": scope["told"].encode()})


@pytest.mark.parametrize("app", [wsgi, asgi], ids=["wsgi", "asgi"])
def test_a_policy_sees_and_changes(app: Any) -> None:
    tell = Tell()
    with TestClient(wrap(app, tell)) as client:
        response = client.get("/", headers=[("X-Asked", "abc")])
        assert (response.status, response.text) == (200, "abc")
        assert response.headers["x-told"] == "yes"
        assert tell.seen == [200, (200, 3)]
        refused = client.get("/stop")
        assert (refused.status, refused.text) == (403, "no\n")
