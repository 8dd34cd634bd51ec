"""The chat example: with the websockets library, with a member who does not read, in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support import ROOT, RawClient, Server, eventually, serve
from tests.support.chromium import Page, chromium, opened

WHERE = "examples/chat.py:app"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(WHERE, "--timeout-graceful-shutdown", "2s", cwd=ROOT) as made:
        yield made


def member(server: Server, room: str, **more: Any) -> ClientConnection:
    return connect(f"ws://{server.host}:{server.port}{room}", proxy=None, **more)


def say(ws: ClientConnection, name: str, text: str) -> None:
    ws.send(json.dumps({"name": name, "text": text}))


def heard(ws: ClientConnection) -> tuple[str, str]:
    said = json.loads(ws.recv(20))
    return said["name"], said["text"]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_rooms(server: Server, compression: str | None) -> None:
    with (
        member(server, "/rooms/tea", compression=compression) as one,
        member(server, "/rooms/coffee") as elsewhere,
    ):
        assert heard(one) == heard(elsewhere) == ("system", "1 in this room")
        with member(server, "/rooms/tea") as two:
            assert heard(one) == heard(two) == ("system", "2 in this room")
            say(one, "Ann", "Hello, world! " * 50)
            say(two, "Bob", "<b>caf\u00e9</b>")
            for ws in (one, two):
                assert {heard(ws), heard(ws)} == {
                    ("Ann", "Hello, world! " * 50),
                    ("Bob", "<b>caf\u00e9</b>"),
                }
        assert heard(one) == ("system", "1 in this room")
        for nonsense in ("[1]", "{}", "no json", "null", b"\xff"):
            one.send(nonsense)
        say(one, "Ann", "alone")
        assert heard(one) == ("Ann", "alone")
        say(elsewhere, "Eve", "here")
        assert heard(elsewhere) == ("Eve", "here")


def test_there_is_nothing_elsewhere(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        member(server, "/tea")
    assert caught.value.response.status_code == 403


def test_a_member_who_does_not_read_is_asked_to_leave(server: Server) -> None:
    with member(server, "/rooms/tea") as ws, RawClient(server.address) as slow:
        assert heard(ws) == ("system", "1 in this room")
        slow.send(
            b"GET /rooms/tea HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert heard(ws) == ("system", "2 in this room")
        for _ in range(20_000):  # 40 MB, if all of it were kept
            say(ws, "Ann", "x" * 2000)
            if (said := heard(ws)) != ("Ann", "x" * 2000):
                break
        assert said == ("system", "1 in this room")
        say(ws, "Ann", "and nobody else has waited")
        eventually(lambda: heard(ws) == ("Ann", "and nobody else has waited"))
        # When it reads after all, it finds out why.
        assert slow.read_to_eof().endswith(b"You read too slowly.")


def test_members_are_told_of_a_restart(server: Server) -> None:
    with member(server, "/rooms/tea") as ws:
        assert heard(ws) == ("system", "1 in this room")
        server.stop()
        with pytest.raises(ConnectionClosed):
            ws.recv(20)
        assert ws.close_code == 1012


# ---------------------------------------------------------------------- in a browser


def write(page: Page, name: str, text: str) -> None:
    page.run(f"at('name').value = {json.dumps(name)}; at('text').value = {json.dumps(text)}")
    page.run("at('form').requestSubmit()")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("option", ["--ws-compression", "--no-ws-compression"])
def test_two_pages_talk_and_come_back_after_a_restart(tmp_path: Path, option: str) -> None:
    options = (WHERE, option, "--timeout-graceful-shutdown", "2s")
    with chromium(tmp_path) as port, ExitStack() as stack:
        with serve(*options, cwd=ROOT) as server:
            where = server.url
            pages = [stack.enter_context(opened(port, f"{where}/#tea")) for _ in range(2)]
            for page in pages:
                page.shows("2 in this room")
            write(pages[0], "Ann", "Hello, Bob! <i>" + "\u2615" * 200)
            pages[1].shows("Hello, Bob! <i>" + "\u2615" * 200)
            write(pages[1], "Bob", "Hello, Ann!")
            pages[0].shows("Hello, Ann!")
            pages[0].run("location.hash = 'coffee'")
            pages[1].shows("1 in this room")
            pages[0].run("location.hash = 'tea'")
            pages[0].shows("2 in this room")
            assert server.stop() == 0
        for page in pages:
            page.shows("not connected, trying again")
            page.run("at('lines').replaceChildren()")
        with serve(*options, "--bind", where.removeprefix("http://"), cwd=ROOT):
            for page in pages:
                page.shows("2 in this room")
            write(pages[0], "Ann", "There you are again")
            pages[1].shows("There you are again")
