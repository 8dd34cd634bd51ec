"""A part of a file that waits: sent by the kernel where it can, else read; a turn at a time."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.wsgi.file_part import TURN_BYTES, FileError, FilePart, send_file

CONTENT = bytes(range(256)) * 8400  # more than goes in one turn


@pytest.fixture
def part() -> Iterator[FilePart]:
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        made = FilePart(os.dup(file.fileno()), 10, len(CONTENT))
        yield made
        made.close()


class Calls:
    """Of a function of `os`, in whose place it is; what it is to do is asked of `then`."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, then: Any = None) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self._then = then or getattr(os, name)
        monkeypatch.setattr(os, name, self)

    def __call__(self, *arguments: Any) -> Any:
        self.seen.append(arguments)
        return self._then(*arguments)


def refused(*arguments: object) -> int:
    raise OSError(errno.EINVAL, "not this file")


def test_the_kernel_sends_it(part: FilePart, monkeypatch: pytest.MonkeyPatch) -> None:
    sends = Calls("sendfile", monkeypatch, lambda *arguments: 700)
    reads = Calls("pread", monkeypatch)
    whole = part.left
    assert part.send_to(99) == 700
    assert (part.left, part.offset) == (whole - 700, 710)
    assert [(to, offset, count) for to, _, offset, count in sends.seen] == [(99, 10, TURN_BYTES)]
    part.offset = part.end - 3
    part.send_to(99)
    assert sends.seen[-1][3] == 3, "and no more than is left"
    assert reads.seen == []


def test_what_the_kernel_refuses_is_read_from_then_on(
    part: FilePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends = Calls("sendfile", monkeypatch, refused)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        received = b""
        for _ in range(3):
            count = part.send_to(ours.fileno())
            assert 0 < count <= 1 << 16
            while count:
                received += (data := theirs.recv(count))
                count -= len(data)
    assert len(sends.seen) == 1
    assert received == CONTENT[10 : 10 + len(received)]
    assert part.offset == 10 + len(received)


def test_a_file_that_ends_early(part: FilePart, monkeypatch: pytest.MonkeyPatch) -> None:
    Calls("sendfile", monkeypatch, lambda *arguments: 0)
    with pytest.raises(FileError, match="become shorter"):
        part.send_to(99)
    part.offset, part.end = len(CONTENT), len(CONTENT) + 1
    with pytest.raises(FileError, match="become shorter"):
        part.read(10)


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADF])
def test_the_file_is_at_fault(part: FilePart, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> int:
        raise OSError(number, "broken")

    Calls("sendfile", monkeypatch, broken)
    Calls("pread", monkeypatch, broken)
    with pytest.raises(FileError, match="broken"):
        part.send_to(99)
    with pytest.raises(FileError, match="broken"):
        part.read(10)


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError, ConnectionResetError])
def test_the_client_is_at_fault(error: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    def unwilling(*arguments: object) -> int:
        raise error(errno.EAGAIN, "not now")

    Calls("sendfile", monkeypatch, unwilling)
    with pytest.raises(error):
        send_file(99, 98, 0, 1)


def test_a_descriptor_is_given_back_once(part: FilePart, monkeypatch: pytest.MonkeyPatch) -> None:
    closes = Calls("close", monkeypatch)
    part.close()
    part.close()
    assert len(closes.seen) == 1


def test_the_descriptor_0_is_given_back_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    closes = Calls("close", monkeypatch, lambda fd: None)
    part = FilePart(0, 0, 1)
    part.close()
    part.close()
    assert closes.seen == [(0,)]


def test_where_sendfile_does_not_work_it_says_minus_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Calls("sendfile", monkeypatch, refused)
    assert send_file(99, 98, 0, 1) == -1
