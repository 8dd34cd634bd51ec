"""The Autobahn test suite: its framing cases but for UTF-8 always, all of it in the long tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobahn import suite
from tests.support import Server, serve

APP = """
async def application(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
"""

# 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 sizes and
# speed, 10 automatic fragments, 12 and 13 compression.
FRAMING = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
SHORT = ("9.1.1", "9.2.1", "9.3.2", "9.5.1", "9.7.1", "12.1.1", "12.3.5", "13.1.1", "13.5.2")
LONG = ("9.*", "12.*", "13.*")
# UTF-8 (6) is more than half of the cases, waits a second in some, and is what tests/websocket has
# tables for: so it is played in the long tests.
EACH_TIME = (*(cases for cases in FRAMING if cases != "6.*"), *SHORT)
PLAYED = {FRAMING: 247, FRAMING + SHORT: 256, EACH_TIME: 111, LONG: 270}

pytestmark = pytest.mark.xdist_group("autobahn")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, engine = request.param
    options = ("--loop", loop, "--ws", engine, "--no-access-log", "--log-level", "warning")
    with serve("app:application", *options, source=APP) as made:
        yield made


def check(server: Server, cases: tuple[str, ...], directory: Path, seconds: float) -> None:
    url = f"ws://{server.host}:{server.port}"
    try:
        found = suite.play(url, cases, directory, seconds)
    except suite.Unavailable as reason:
        pytest.skip(f"no Autobahn test suite: {reason}")
    assert found == {"played": str(PLAYED[cases])}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("server", [("uvloop", "auto")], indirect=True, ids=["auto"])
def test_framing(server: Server, tmp_path: Path) -> None:
    check(server, EACH_TIME, tmp_path, 300)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("server", [("uvloop", "auto")], indirect=True, ids=["auto"])
def test_framing_with_text(server: Server, tmp_path: Path) -> None:
    check(server, FRAMING + SHORT, tmp_path, 600)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "server",
    [("asyncio", "auto"), ("uvloop", "wsproto"), ("asyncio", "wsproto")],
    indirect=True,
    ids="-".join,
)
def test_framing_on_every_loop_and_engine(server: Server, tmp_path: Path) -> None:
    check(server, FRAMING, tmp_path, 600)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("server", [("uvloop", "auto")], indirect=True, ids=["auto"])
def test_sizes_speed_and_compression(server: Server, tmp_path: Path) -> None:
    check(server, LONG, tmp_path, 3000)
