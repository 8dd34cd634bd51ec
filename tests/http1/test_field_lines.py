"""Lines that are read quickly and remembered: the law holds, and what is kept is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bare_serve.errors import RequestError
from bare_serve.http import Field
from bare_serve.http1 import field_lines as module
from bare_serve.http1.field_lines import FieldLines
from bare_serve.http1.head import parse_field_line


def _lines() -> Iterator[bytes]:
    """Yield lines that hold each byte at each place of a line, and lines that lack a part."""
    yield from (
        b"",
        b":",
        b"a",
        b"a:",
        b":b",
        b"a: ",
        b"a:\t \t",
        b"a: :b",
        b" a: b",
        b"a:b\r",
        b"a::",
    )
    for number in range(256):
        byte = bytes([number])
        for line in (b"%bx: y z", b"x%bx: y z", b"x%b: y z", b"x:%by z", b"x: y%bz", b"x: y z%b"):
            yield line.replace(b"%b", byte)
            yield line.replace(b"%b", byte * 2)


def _verdict(read: Callable[[bytes], Field], line: bytes) -> Field | tuple[int, str]:
    try:
        return read(line)
    except RequestError as error:
        return error.status, str(error)


def test_what_is_read_quickly_is_what_the_law_says() -> None:
    memo, taken = FieldLines(), 0
    for line in _lines():
        expected = _verdict(parse_field_line, line)
        assert _verdict(memo.read, line) == expected, line
        taken += type(expected[0]) is bytes
    assert 1000 < taken < 2500, "most are well-formed, many are not"


def test_names_are_remembered_as_far_as_they_are_short_and_few() -> None:
    names, memo = module._names, FieldLines()
    names.clear()
    for length in (1, 63, 64, 200):
        assert memo.read(b"X" * length + b": y") == (b"x" * length, b"y")
    assert [len(name) for name in names] == [1, 63]
    assert names.most == 1024
    names.clear()
    for number in range(1500):
        assert memo.read(b"X%d: y" % number) == (b"x%d" % number, b"y")
        assert len(names) == number % 1024 + 1
