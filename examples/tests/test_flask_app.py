"""Tests of the Flask example (pip install flask pytest; then `pytest examples/tests`)."""

import pytest

from bare_serve.testing import TestClient
from examples.flask_app import app


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client


def test_hello(client):
    response = client.get("/", params={"name": "Ann"})
    assert response.status == 200
    assert response.text == "Hello, Ann! This is Flask.\n"


def test_sum(client):
    assert client.post("/sum", json=[1, 2, 3]).json() == {"sum": 6}


def test_sum_of_nonsense(client):
    assert client.post("/sum", data={"a": "1"}).status == 415
    assert (
        client.post("/sum", content="{", headers={"content-type": "application/json"}).status == 400
    )


def test_what_is_not_there(client):
    assert client.get("/sum").status == 405
    assert client.get("/elsewhere").status == 404
