"""`wsgi.input` behaves as a file, for every kind of body."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone
from bare_serve.wsgi.input import NO_INPUT, StreamInput

BODY = b"first line\nsecond\n\nlast without end"


def stream(cuts: int) -> StreamInput:
    pieces = [BODY[i : i + cuts] for i in range(0, len(BODY), cuts)]
    ended: Iterator[bytes] = iter(())

    def receive() -> bytes:
        return pieces.pop(0) if pieces else next(ended, b"")

    return StreamInput(receive)


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile(4)  # noqa: SIM115 (closed by the test)
    file.write(BODY)
    file.seek(0)
    return file


KINDS: dict[str, Callable[[], Any]] = {
    "buffered": lambda: io.BytesIO(BODY),
    "spooled": spooled,
    "stream of bytes": lambda: stream(1),
    "stream of 7": lambda: stream(7),
    "stream at once": lambda: stream(1000),
}


@pytest.fixture(params=KINDS)
def body(request: pytest.FixtureRequest) -> Iterator[Any]:
    with KINDS[request.param]() as body:
        yield body


def test_read_all(body: Any) -> None:
    assert body.read() == BODY
    assert [body.read(), body.read(5), body.read(-1), body.readline(), body.readlines()] == [
        b"",
        b"",
        b"",
        b"",
        [],
    ], "for ever"


def test_read_by_size(body: Any) -> None:
    assert body.read(0) == b""
    assert body.read(5) == BODY[:5]
    assert body.read(7) == BODY[5:12]
    assert body.read(1 << 20) == BODY[12:], "past the end gives what there is"
    assert body.read(1) == b""


def test_minus_one_and_none_read_all(body: Any) -> None:
    assert body.read(3) == BODY[:3]
    assert body.read(-1) == BODY[3:]


def test_lines(body: Any) -> None:
    lines = BODY.splitlines(keepends=True)
    assert body.readline() == lines[0]
    assert body.readline(3) == b"sec"
    assert body.readline() == b"ond\n"
    assert body.readlines() == lines[2:]


def test_readlines_with_a_hint(body: Any) -> None:
    assert body.readlines(12) == [b"first line\n", b"second\n"]


def test_iteration(body: Any) -> None:
    assert list(body) == BODY.splitlines(keepends=True)


def test_no_body() -> None:
    assert [NO_INPUT.read(), NO_INPUT.read(5), NO_INPUT.readline()] == [b"", b"", b""]
    assert (NO_INPUT.readlines(), list(NO_INPUT)) == ([], [])
    NO_INPUT.close()
    assert NO_INPUT.read() == b"", "it serves the next request as well"


def test_a_stream_asks_for_no_more_than_it_needs() -> None:
    asked = []

    def receive() -> bytes:
        asked.append(None)
        return b"abc" if len(asked) == 1 else b""

    with StreamInput(receive) as body:
        assert asked == []
        assert body.read(3) == b"abc"
        assert len(asked) == 1


def test_a_stream_that_breaks_off_never_looks_complete() -> None:
    answers = iter([b"abc"])

    def receive() -> bytes:
        for piece in answers:
            return piece
        raise ClientGone("left")

    body = StreamInput(receive)
    assert body.read(3) == b"abc"
    for _ in range(2):
        with pytest.raises(ClientGone):
            body.read()


@pytest.mark.parametrize("size", [1, 8192, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("step", [-1, 1000, 100_000])
def test_pieces_of_any_size(size: int, step: int) -> None:
    data = bytes(i % 251 for i in range(size))
    pieces = iter([data, data[::-1], b"", b"behind the end"])
    body = StreamInput(lambda: next(pieces))
    got = b""
    while len(got) < 2 * size:
        piece = body.read(step)
        assert piece
        got += piece
    assert got == data + data[::-1]
