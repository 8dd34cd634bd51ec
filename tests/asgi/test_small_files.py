"""Small files as bodies: which part of them, where the file stands afterwards, and trailers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from tests.asgi.conftest import Run
from tests.asgi.fakes import Recorder, Wire, bodies, body, get, start

CONTENT = bytes(range(250))


@pytest.fixture
def file() -> Iterator[Any]:
    with tempfile.TemporaryFile(buffering=0) as made:
        made.write(CONTENT)
        yield made


def zerocopy(file: Any, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": file, **more}


async def sent(*messages: dict[str, Any]) -> bytes:
    """The body that a client gets of these."""
    app = Recorder()
    wire = Wire(app)
    await wire.feed(get("/"))
    try:
        await app.send(start())
        for message in messages:
            await app.send(message)
        (data,) = bodies(wire.output)
        return data
    finally:
        app.done[0].set()
        await wire.lose()


@pytest.mark.parametrize("kind", ["descriptor", "object"])
@pytest.mark.parametrize(
    ("place", "more", "part", "after"),
    [
        (0, {}, (0, 250), 250),
        (3, {}, (3, 250), 250),
        (3, {"count": 10}, (3, 13), 13),
        (3, {"count": 1000}, (3, 250), 250),
        (3, {"count": 0}, (3, 3), 3),
        (3, {"offset": 0}, (0, 250), 3),
        (3, {"offset": 7, "count": 5}, (7, 12), 3),
        (3, {"offset": 250}, (250, 250), 3),
        (3, {"offset": 900, "count": 5}, (250, 250), 3),
        (300, {}, (250, 250), 300),
    ],
)
def test_a_part_of_an_open_file(
    run: Run,
    file: Any,
    kind: str,
    place: int,
    more: dict[str, int],
    part: tuple[int, int],
    after: int,
) -> None:
    source = file.fileno() if kind == "descriptor" else file

    async def scene() -> None:
        os.lseek(file.fileno(), place, os.SEEK_SET)
        assert await sent(zerocopy(source, **more)) == CONTENT[slice(*part)]
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == after, "as a read would have done"

    run(scene())


@pytest.mark.parametrize(
    "more",
    [{"offset": -1}, {"count": -1}, {"offset": "1"}, {"count": 1.0}, {"more_body": 1}],
)
def test_a_part_that_is_none(run: Run, file: Any, more: dict[str, Any]) -> None:
    async def scene() -> None:
        with pytest.raises(ResponseError, match=f"'{next(iter(more))}' must be"):
            await sent(zerocopy(file, **more))

    run(scene())


@pytest.mark.parametrize("source", [None, "path", 99_999, -1])
def test_what_is_no_open_file(run: Run, source: Any) -> None:
    async def scene() -> None:
        with pytest.raises(ResponseError, match="must be an open file"):
            await sent(zerocopy(source))

    run(scene())


def test_what_is_no_regular_file(run: Run, tmp_path: Path) -> None:
    async def scene() -> None:
        with pytest.raises(ResponseError, match="only a regular file"):
            await sent({"type": "http.response.pathsend", "path": str(tmp_path)})
        read, write = os.pipe()
        try:
            with pytest.raises(ResponseError, match="must be an open file"):
                await sent(zerocopy(read))
        finally:
            os.close(read)
            os.close(write)

    run(scene())


def test_a_path_leaves_no_descriptor_behind(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)

    async def scene() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for name in (str(path), path):
            assert await sent({"type": "http.response.pathsend", "path": name}) == CONTENT
        assert len(os.listdir("/proc/self/fd")) == before
        for wrong in (None, b"bytes", 7):
            with pytest.raises(ResponseError, match="'path' must be the path"):
                await sent({"type": "http.response.pathsend", "path": wrong})
        with pytest.raises(ResponseError, match="cannot open"):
            await sent({"type": "http.response.pathsend", "path": str(path) + "-not"})

    run(scene())


@pytest.mark.parametrize("offered", [True, False])
def test_trailers_in_two_messages(run: Run, offered: bool) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(get("/", *(("TE: trailers",) if offered else ())))
        await app.send({**start(), "trailers": True})
        await app.send(body(b"one"))
        kind = "http.response.trailers"
        await app.send({"type": kind, "headers": [(b"x-a", b"1")], "more_trailers": True})
        await app.send({"type": kind, "headers": [(b"x-b", b"2")]})
        end = b"3\r\none\r\n0\r\n" + (b"x-a: 1\r\nx-b: 2\r\n" if offered else b"") + b"\r\n"
        assert wire.output.endswith(end)
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_hints_before_the_answer(run: Run) -> None:
    async def scene() -> None:
        for minor, hinted in ((1, True), (0, False)):
            app = Recorder()
            wire = Wire(app)
            await wire.feed(get("/").replace(b"HTTP/1.1", b"HTTP/1.%d" % minor))
            await app.send({"type": "http.response.early_hint", "links": [b"</a.css>"]})
            expected = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
            assert wire.output == (expected if hinted else b"")
            app.done[0].set()
            await wire.lose()

    run(scene())
