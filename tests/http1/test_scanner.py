"""A line that is too long and holds a bare CR: which fault is the earlier one, in any pieces."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits
from bare_serve.http1.scanner import HeadScanner
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


# ------------------------------------------------------------------------------ the scanner itself


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"
TOKENS = (b"GET", b"/", 1, [(b"host", b"x"), (b"a", b"b")])


def refused(raw: bytes, limits: Limits = LIMITS) -> int | None:
    """The status; the same if it grows byte by byte."""
    found = []
    for step in (len(raw), 1, 2):
        scanner = HeadScanner(limits)
        try:
            for end in [*range(step, len(raw), step), len(raw)]:
                scanner.scan(raw[:end])
            found.append(None)
        except RequestError as error:
            found.append(error.status)
    assert found[0] == found[1] == found[2], raw
    return found[0]


def test_a_scan_tells_where_the_head_ends() -> None:
    scanner = HeadScanner(LIMITS)
    ends = [scanner.scan(HEAD[:length]) for length in range(1, len(HEAD) + 1)]
    assert ends == [False] * (len(HEAD) - 1) + [True]
    assert HeadScanner(LIMITS).scan(HEAD) is True
    assert HeadScanner(LIMITS).tokens(HEAD) == TOKENS


@pytest.mark.parametrize("first", [b"\x16", b"\x00", b" ", b"\xff", b"("])
def test_a_first_byte_that_no_method_has_is_enough(first: bytes) -> None:
    assert refused(first) == 400
    assert play([first]).status == 400


@pytest.mark.parametrize(("size", "status"), [(59, None), (60, None), (61, 431), (62, 431)])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_all_field_lines_to_the_byte(size: int, status: int | None, lines: int) -> None:
    small = b"A: b\r\n" * (lines - 1)
    last = b"B: " + b"y" * (size - len(small) - 5) + b"\r\n"
    assert len(small + last) == size
    head = b"GET / HTTP/1.1\r\n" + small + last + b"\r\n"
    assert refused(head) == status
    assert refused(head[:-2]) == status, "without its blank line"


@pytest.mark.parametrize(("count", "status"), [(1, None), (2, None), (3, 431)])
def test_the_number_of_field_lines(count: int, status: int | None) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * count + b"\r\n"
    assert refused(head, Limits(headers=2)) == status


@pytest.mark.parametrize("place", range(26))
def test_a_bare_lf_at_any_end(place: int) -> None:
    for index in [i for i, byte in enumerate(HEAD) if byte == 13][:3]:
        assert refused(HEAD[:index] + HEAD[index + 1 :]) == 400
    raw = HEAD[:place] + b"\r" + HEAD[place:]
    assert refused(raw + b"\n\r\n") == 400, "a bare CR"


@pytest.mark.parametrize("line", [b"GET /", b"GET / HTTP/1.1\r\nHost: x"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_bare_cr_is_refused_with_the_byte_behind_it(line: bytes, pieces: int) -> None:
    scanner = HeadScanner(LIMITS)
    assert scanner.scan(line) is False
    if pieces == 2:
        assert scanner.scan(line + b"\r") is False, "an LF may come"
    with pytest.raises(RequestError, match="bare CR"):
        scanner.scan(line + b"\rx")
