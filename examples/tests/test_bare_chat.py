"""Tests of the chat by the framework (pip install pytest; then `pytest examples/tests`)."""

import pytest

from bare_serve.testing import TestClient, WebSocketClosed, WebSocketRefused
from examples.bare_chat import LONGEST_QUEUE, app, rooms

CAME, LEFT = ("system", "somebody came in"), ("system", "somebody left")


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client
    assert not rooms, "who has left is forgotten"


def heard(member):
    message = member.receive_json(timeout=20)
    return message["name"], message["text"]


def test_the_page(client):
    assert "new WebSocket" in client.get("/").text


def test_members_of_a_room_hear_each_other(client):
    with client.websocket("/rooms/tea") as ann, client.websocket("/rooms/coffee") as eve:
        assert heard(ann) == heard(eve) == CAME
        with client.websocket("/rooms/tea") as bob:
            assert heard(ann) == heard(bob) == CAME
            ann.send_json({"name": "Ann", "text": "Hello, Bob!"})
            assert heard(ann) == heard(bob) == ("Ann", "Hello, Bob!")
        assert heard(ann) == LEFT
        eve.send_json({"name": "Eve", "text": "Anybody here?"})
        assert heard(eve) == ("Eve", "Anybody here?")


@pytest.mark.parametrize("nonsense", ["no json", "[1]", "{}", "null", b"\xff"])
def test_nonsense_is_not_passed_on(client, nonsense):
    with client.websocket("/rooms/tea") as ann:
        assert heard(ann) == CAME
        ann.send(nonsense)
        ann.send_json({"name": "Ann", "text": "after it"})
        assert heard(ann) == ("Ann", "after it")


def test_pages_of_other_hosts_may_not_connect(client):
    foreign = {"Host": "chat.example", "Origin": "https://evil.example"}
    with (
        pytest.raises(WebSocketRefused) as caught,
        client.websocket("/rooms/tea", headers=foreign),
    ):
        pass
    assert caught.value.status == 403


def test_a_name_that_is_too_long(client):
    with client.websocket("/rooms/" + "x" * 201) as ann, pytest.raises(WebSocketClosed) as caught:
        ann.receive()
    assert caught.value.code == 1008


def test_who_does_not_read_is_asked_to_leave(client):
    with client.websocket("/rooms/tea") as ann, client.websocket("/rooms/tea") as slow:
        for number in range(20 * LONGEST_QUEUE):
            ann.send_json({"name": "Ann", "text": str(number)})
            while heard(ann) != ("Ann", str(number)):
                pass
            if slow.close_code is not None:
                break
        assert slow.close_code == 1013
