"""The benchmark of the test clients: each client is asked, and gives a figure."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from benchmarks.clients import clients


@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_each_client_has_a_turn() -> None:
    with ExitStack() as stack:
        turns = clients(stack)
        assert {"TestClient, WSGI", "TestClient, ASGI, lint", "httpx.ASGITransport"} < {*turns}
        for name in ("TestClient, WSGI", "AsyncTestClient"):
            assert turns[name]() > 0
