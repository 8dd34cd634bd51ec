"""A line that is too long and holds a bare CR: which fault is the earlier one, in any pieces."""

from __future__ import annotations

import pytest

from bare_serve.http1 import Limits
from tests.http1.harness import PARSERS, bytewise, play

LINE = 40
LIMITS = Limits(request_line=LINE, header_size=60)
START = b"GET /"
PIECES = ("whole", "bytes", "pairs")


def status(raw: bytes, pieces: str, parser: str) -> int | None:
    cut = {"whole": [raw], "bytes": bytewise(raw), "pairs": []}[pieces] or [
        raw[i : i + 2] for i in range(0, len(raw), 2)
    ]
    error = play(cut, parser=parser, limits=LIMITS).error
    return error[0] if error else None


def line_with(byte: bytes, place: int, length: int) -> bytes:
    """A request line of so many bytes with `byte` at a place of it."""
    line = bytearray(START + b"x" * (length - len(START) - 9) + b" HTTP/1.1")
    line[place : place + 1] = byte
    return bytes(line)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("pieces", PIECES)
def test_a_bare_cr_in_an_over_long_request_line(pieces: str, parser: str) -> None:
    """A CR up to the limit is met before the limit is."""
    for length in (LINE + 1, LINE + 2, LINE + 3, 3 * LINE):
        for end in (b"\r\n\r\n", b"\n", b""):
            for place in range(len(START), min(length - 9, LINE - 1)):
                raw = line_with(b"\r", place, length) + end
                assert status(raw, pieces, parser) == 400, raw


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("pieces", PIECES)
def test_a_bare_cr_behind_the_limit_of_a_request_line(pieces: str, parser: str) -> None:
    length = 3 * LINE
    for place in range(LINE - 2, LINE + 20):
        for end in (b"\r\n\r\n", b"\n", b""):
            raw = line_with(b"\r", place, length) + end
            expected = 400 if place <= LINE else 414
            assert status(raw, pieces, parser) == expected, (place, raw)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("pieces", PIECES)
def test_the_length_of_a_request_line_to_the_byte(pieces: str, parser: str) -> None:
    for length, expected in ((LINE - 1, None), (LINE, None), (LINE + 1, 414), (LINE + 2, 414)):
        line = line_with(b"x", len(START), length)
        assert status(line + b"\r\nHost: x\r\n\r\n", pieces, parser) == expected, length
        if expected or length < LINE:
            assert status(line + b"\n", pieces, parser) == (expected or 400), "a bare LF"


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("pieces", PIECES)
def test_an_unfinished_request_line_is_too_long_one_byte_behind_its_cr(
    pieces: str, parser: str
) -> None:
    line = line_with(b"x", len(START), 3 * LINE)
    assert status(line[: LINE + 1], pieces, parser) is None, "the last byte might be a CR"
    assert status(line[: LINE + 2], pieces, parser) == 414


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("pieces", PIECES)
def test_a_bare_cr_in_fields_that_are_too_large(pieces: str, parser: str) -> None:
    """The fields have 60 bytes with their CRLFs: the first line takes 9, the second 51."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    for size in (51, 52, 60, 200):
        for place in range(3, 80):
            value = bytearray(b"A: " + b"y" * (size - 5))
            if place >= len(value):
                continue
            value[place] = 13
            expected = 400 if place <= 49 else 431
            for end in (b"\r\n\r\n", b""):
                raw = head + bytes(value) + end
                if not end and (size == 51 or place == len(value) - 1):
                    continue  # its CRLF may still come
                assert status(raw, pieces, parser) == expected, (size, place, raw)
