"""Tests of the clock (pip install pytest; then `pytest examples/tests`)."""

import json

import pytest

from bare_serve.testing import TestClient
from examples import bare_clock


@pytest.fixture(params=["asgi", "wsgi"])
def client(request, monkeypatch):
    monkeypatch.setattr(bare_clock, "INTERVAL", 0.01)
    app = bare_clock.app if request.param == "asgi" else bare_clock.app.wsgi
    with TestClient(app) as client:
        yield client


def test_the_page(client):
    assert "EventSource" in client.get("/").text


@pytest.mark.parametrize(("last", "first"), [(None, 1), ("41", 42), ("nonsense", 1)])
def test_ticks(client, last, first):
    headers = {} if last is None else {"Last-Event-ID": last}
    with client.stream("GET", "/clock", headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        events = answer.events()
        for number in range(first, first + 3):
            tick = next(events)
            assert tick.id == str(number)
            assert len(json.loads(tick.data)["time"]) == len("12:00:00")
