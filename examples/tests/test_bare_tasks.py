"""Tests of the tasks, each with its own database (pip install pytest; `pytest examples/tests`)."""

import pytest

from bare_serve.testing import TestClient
from examples import bare_tasks
from examples.bare_tasks import app

AUTH = {"authorization": f"Bearer {bare_tasks.TOKEN}"}


@pytest.fixture(params=["asgi", "wsgi"])
def client(request, tmp_path):
    def connection():
        yield from bare_tasks.open_database(str(tmp_path / "tasks.db"))

    app.override(bare_tasks.connection, connection)
    with TestClient(app if request.param == "asgi" else app.wsgi) as client:
        yield client
    app.override(bare_tasks.connection, None)


def test_a_task_from_its_beginning_to_its_end(client):
    created = client.post("/tasks", json={"title": "tea"}, headers=AUTH)
    assert created.status == 201
    where = created.headers["location"]
    assert client.get(where).json() == {"id": 1, "title": "tea", "done": 0}
    assert client.patch(where, headers=AUTH).json()["done"] == 1
    assert client.get("/tasks").json() == []
    assert [task["title"] for task in client.get("/tasks?done=yes").json()] == ["tea"]
    assert client.delete(where, headers=AUTH).status == 204
    assert client.get(where).json() == {"error": "There is no task 1."}


def test_who_may_change_tasks(client):
    for headers in ({}, {"authorization": "Bearer guess"}, {"authorization": "\xe9"}):
        refused = client.post("/tasks", json={"title": "tea"}, headers=headers)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/").json() == {"greeting": "Hello, world!", "tasks": 0}


@pytest.mark.parametrize(
    ("sent", "status", "where"),
    [
        ({"json": {}}, 422, "body.title"),
        ({"json": {"title": 5}}, 422, "body.title"),
        ({"json": {"title": ""}}, 422, "body"),
        ({"json": {"title": "a", "id": 1}}, 422, "body.id"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "body"),
        ({"content": b"title=a"}, 415, "content-type"),
    ],
)
def test_what_is_no_task(client, sent, status, where):
    refused = client.post("/tasks", **{**sent, "headers": {**AUTH, **sent.get("headers", {})}})
    assert (refused.status, refused.json()["where"]) == (status, where)


def test_what_fails_is_rolled_back(client):
    assert client.post("/tasks", json={"title": "tea"}, headers=AUTH).status == 201
    assert client.post("/tasks", json={"title": "tea"}, headers=AUTH).status == 409
    assert len(client.get("/tasks").json()) == 1
