"""The application of a server that has files alone."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.app import nothing
from bare_serve.testing import TestClient, WebSocketRefused


@pytest.mark.parametrize("app", [nothing.wsgi, nothing.asgi])
def test_there_is_nothing(app: Any) -> None:
    with TestClient(app) as client:
        for response in (client.get("/"), client.post("/x", content=b"y")):
            assert (response.status, response.text) == (404, "There is nothing here.\n")
        assert client.head("/").content == b""


def test_no_websocket_either() -> None:
    client = TestClient(nothing.asgi)
    with pytest.raises(WebSocketRefused), client.websocket("/"):
        pass
