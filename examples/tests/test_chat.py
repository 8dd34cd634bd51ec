"""Tests of the chat example (pip install pytest; then `pytest examples/tests`)."""

import pytest

from bare_serve.testing import TestClient, WebSocketClosed, WebSocketRefused
from examples.chat import LONGEST_QUEUE, app, rooms


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client
    assert not rooms, "who has left is forgotten"


def heard(member):
    message = member.receive_json(timeout=20)
    return message["name"], message["text"]


def test_the_page(client):
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<html" in response.text
    assert client.get("/elsewhere").status == 404


def test_members_of_a_room_hear_each_other(client):
    with client.websocket("/rooms/tea") as ann, client.websocket("/rooms/coffee") as eve:
        assert heard(ann) == heard(eve) == ("system", "1 in this room")
        with client.websocket("/rooms/tea") as bob:
            assert heard(ann) == heard(bob) == ("system", "2 in this room")
            ann.send_json({"name": "Ann", "text": "Hello, Bob!"})
            assert heard(ann) == heard(bob) == ("Ann", "Hello, Bob!")
        assert heard(ann) == ("system", "1 in this room")
        eve.send_json({"name": "Eve", "text": "Anybody here?"})
        assert heard(eve) == ("Eve", "Anybody here?")


@pytest.mark.parametrize("nonsense", ["no json", "[1]", "{}", "null", b"\xff"])
def test_nonsense_is_not_passed_on(client, nonsense):
    with client.websocket("/rooms/tea") as ann:
        assert heard(ann) == ("system", "1 in this room")
        ann.send(nonsense)
        ann.send_json({"name": "Ann", "text": "after it"})
        assert heard(ann) == ("Ann", "after it")


def test_there_are_no_rooms_elsewhere(client):
    with pytest.raises(WebSocketRefused) as caught, client.websocket("/tea"):
        pass
    assert caught.value.status == 403


def test_who_does_not_read_is_asked_to_leave(client):
    with client.websocket("/rooms/tea") as ann, client.websocket("/rooms/tea") as slow:
        for number in range(20 * LONGEST_QUEUE):
            ann.send_json({"name": "Ann", "text": str(number)})
            while heard(ann) != ("Ann", str(number)):
                pass
            if slow.close_code is not None:
                break
        assert slow.close_code == 1013
        with pytest.raises(WebSocketClosed, match="You read too slowly"):
            for _ in iter(slow):
                pass
