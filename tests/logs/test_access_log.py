"""The access log: what a line says, and that no output can raise, block or fill the memory."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bare_serve.http import RequestHead
from bare_serve.logs import sinks
from bare_serve.logs.access_format import text_format
from bare_serve.logs.access_log import AccessLog
from tests.support.answers import Answer, request


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):  # the test may have closed it
            os.close(fd)


def record(log: AccessLog, target: bytes = b"/", status: int = 200, method: str = "GET") -> None:
    log.record("127.0.0.1", request(target, method), Answer(status, 13), 0.00042)


def written(path: Path, *entries: tuple[str, RequestHead, Answer, float]) -> str:
    with path.open("ab") as file:
        log = AccessLog(file.fileno())
        for entry in entries:
            log.record(*entry)
        log.flush()
    return path.read_text()


def test_a_line_has_each_fact_as_one_word(tmp_path: Path) -> None:
    text = written(tmp_path / "log", ("127.0.0.1", request(b"/a?b=c"), Answer(200, 13), 0.00042))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1 GET /a\?b=c HTTP/1\.1 200 13 0\.42ms\n", text
    )


ESCAPED = [
    (b"/a b", r"/a\x20b"),
    (b"/a\r\n1.2.3.4 GET /", r"/a\x0d\x0a1.2.3.4\x20GET\x20/"),
    (b"/\x1b[31m", r"/\x1b[31m"),
    (b"/\xc3\xa9\x00\x7f\xff", r"/\xc3\xa9\x00\x7f\xff"),
    (rb"/\x41", r"/\x5cx41"),
    (b"/%41?q='\"", "/%41?q='\""),
    (b"", "-"),
]


@pytest.mark.parametrize(("target", "shown"), ESCAPED)
def test_what_a_client_chose_cannot_break_the_line(
    tmp_path: Path, target: bytes, shown: str
) -> None:
    text = written(tmp_path / "log", ("::1", request(target, version="1.0"), Answer(404), 1.5))
    assert text.split(" ", 2)[2] == f"::1 GET {shown} HTTP/1.0 404 0 1500.00ms\n"


def test_client_and_method_are_one_word_each(tmp_path: Path) -> None:
    text = written(
        tmp_path / "log",
        ("", request(method=""), Answer(400), 0),
        ("a b\n", request(method="G\x1b"), Answer(), 0),
    )
    lines = text.splitlines()
    assert lines[0].split()[2:] == ["-", "-", "/", "HTTP/1.1", "400", "0", "0.00ms"]
    assert lines[1].split()[2:4] == [r"a\x20b\x0a", r"G\x1b"]


def test_what_is_remembered_changes_no_line(tmp_path: Path) -> None:
    entries = [
        (f"10.0.{n // 250}.{n % 250}", request(), Answer(200, n), n / 100_000)
        for _ in range(2)
        for n in range(1100)
    ]
    lines = written(tmp_path / "log", *entries).splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        f"{client} GET / HTTP/1.1 200 {answer.bytes_sent} {seconds * 1000:.2f}ms"
        for client, _, answer, seconds in entries
    ]


def test_colours_only_when_asked(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        log = AccessLog(file.fileno(), text_format(colour=True))
        for status in (200, 302, 404, 500, 103):
            record(log, status=status)
        log.flush()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [
        f"\x1b[{hue}m{status}\x1b[0m" in line
        for line, hue, status in zip(
            lines, (32, 36, 33, 31, 39), (200, 302, 404, 500, 103), strict=True
        )
    ] == [True] * 5
    plain = re.sub(r"\x1b\[\d+m", "", lines[0])
    assert plain.split(" ", 2)[2] == "127.0.0.1 GET / HTTP/1.1 200 13 0.42ms"


def test_recording_writes_nothing_until_the_flush(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(reader, False)
    log = AccessLog(writer)
    assert not log.pending
    record(log)
    assert log.pending
    with pytest.raises(BlockingIOError):
        os.read(reader, 100)
    log.flush()
    assert not log.pending
    assert os.read(reader, 1000).count(b"\n") == 1
    log.flush()
    with pytest.raises(BlockingIOError):
        os.read(reader, 100)


def test_a_file_gets_a_batch_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = os.write
    monkeypatch.setattr(sinks.os, "write", lambda fd, data: sizes.append(fd) or real(fd, data))
    written(tmp_path / "log", *[("::1", request(b"/" + b"x" * 100), Answer(), 0.0)] * 500)
    assert len(sizes) == 1
    assert (tmp_path / "log").read_text().count("\n") == 500


def test_a_write_that_takes_a_part_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(sinks.os, "write", lambda fd, data: real(fd, data[:7]))
    text = written(tmp_path / "log", *[("::1", request(b"/abc"), Answer(), 0.0)] * 3)
    assert [line.split(" ", 2)[2] for line in text.splitlines()] == [
        "::1 GET /abc HTTP/1.1 200 0 0.00ms"
    ] * 3


def test_a_pipe_gets_whole_lines_in_pieces_it_takes_at_once(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pipe
    pieces: list[bytes] = []
    real = os.write
    monkeypatch.setattr(sinks.os, "write", lambda fd, data: pieces.append(data) or real(fd, data))
    log = AccessLog(writer)
    for number in range(200):
        record(log, b"/" + b"x" * number)
    log.flush()
    assert len(pieces) > 3
    assert all(len(piece) <= 4096 and piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces).count(b"\n") == 200
    assert os.read(reader, 1 << 20) == b"".join(pieces)


def fill(log: AccessLog, lines: int = 1000) -> None:
    for _ in range(lines):
        record(log, b"/" + b"x" * 1000)
    log.flush()


BLOCKED = ["pipe", "pipe of another user", "socket"]


@pytest.mark.parametrize("kind", BLOCKED)
def test_a_reader_that_stalls_blocks_nobody_and_costs_bounded_memory(
    kind: str,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader, writer = pipe
    left, right = socket.socketpair()
    with left, right:
        if kind == "socket":
            reader, writer = left.fileno(), right.fileno()
        elif kind == "pipe of another user":

            def refuse(*_: object) -> int:
                raise PermissionError

            monkeypatch.setattr(sinks.os, "open", refuse)
        log = AccessLog(writer)
        assert os.get_blocking(writer), "the descriptor others share keeps its mode"
        for _ in range(3):
            fill(log)
        assert log.pending
        assert "drops lines until it works again: nobody reads the output" in caplog.text
        assert caplog.text.count("drops lines") == 1
        kept = log._backlog.holds
        fill(log)
        assert log._backlog.holds <= kept < 3_000_000

        os.set_blocking(reader, False)
        seen = bytearray()
        while log.pending:
            seen += os.read(reader, 1 << 20)
            log.flush()
        while chunk := _read(reader):
            seen += chunk
        dropped = int(re.search(r"works again; (\d+) lines were dropped", caplog.text)[1])  # type: ignore[index]
        lines = bytes(seen).split(b"\n")
        assert lines.pop() == b""
        assert all(line.endswith(b"0.42ms") for line in lines), "no torn line"
        assert len(lines) + dropped == 4000
        record(log)
        log.flush()
        assert caplog.text.count("works again;") == 1


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 20)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_an_output_that_fails_drops_lines_counts_them_and_recovers(
    trouble: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(trouble, os.strerror(trouble))

    with (tmp_path / "log").open("ab") as file:
        log = AccessLog(file.fileno())
        with monkeypatch.context() as broken:
            broken.setattr(sinks.os, "write", fail)
            for _ in range(3):
                record(log)
                log.flush()
                assert not log.pending
        assert caplog.text.count("drops lines") == 1
        assert os.strerror(trouble) in caplog.text
        log.flush()
        assert "works again;" not in caplog.text, "nothing was written yet"
        record(log)
        log.flush()
    assert "works again; 3 lines were dropped" in caplog.text
    assert (tmp_path / "log").read_text().count("\n") == 1


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log = AccessLog(writer)
    os.close(reader)
    record(log)
    log.flush()
    assert not log.pending


def test_a_closed_output_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    log = AccessLog(pipe[1])
    record(log)
    log.flush()
    assert not log.pending


def test_a_full_disk_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with open("/dev/full", "wb") as full:
        log = AccessLog(full.fileno())
        record(log)
        log.flush()
    assert os.strerror(errno.ENOSPC) in caplog.text


def test_the_end_says_what_was_lost(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    log = AccessLog(pipe[1])
    fill(log)
    fill(log)
    read = _read_all(pipe[0])
    fill(log, 3000)
    log.close()
    read += _read_all(pipe[0])
    lost = int(re.search(r"did not work again; (\d+) lines were dropped", caplog.text)[1])  # type: ignore[index]
    assert lost + read.count(b"\n") == 5000
    assert not log.pending


def test_the_end_says_nothing_if_nothing_was_lost(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    log = AccessLog(pipe[1])
    record(log)
    log.close()
    assert _read_all(pipe[0]).count(b"\n") == 1
    assert caplog.text == ""


def _read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    return b"".join(iter(lambda: _read(fd), b""))
