"""Files by the kernel and by hand, to a client that is slow, that leaves, or that is quick."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.asgi.sendfile import send_file
from bare_serve.asgi.wakeup import Wakeup
from bare_serve.errors import ClientGone, ResponseError
from tests.asgi.conftest import Run

CONTENT = bytes(range(256)) * 12_000  # 3 MB: more than the kernel takes


class Sink(asyncio.Protocol):
    """A connection as far as files need one."""

    transport: Any

    def __init__(self) -> None:
        self.drained = Wakeup(asyncio.get_running_loop())
        self.write_paused = self.lost = False
        self.file_left = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self.drained.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.write_paused = False
        self.drained.wake()


@pytest.fixture
def file() -> Iterator[int]:
    with tempfile.TemporaryFile() as made:
        made.write(CONTENT)
        made.flush()
        yield made.fileno()


@pytest.fixture(params=["kernel", "hand"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without a system that can do it with this file."""
    if request.param == "hand":

        def no_sendfile(*arguments: object) -> int:
            raise OSError(errno.EINVAL, "not with this file")

        monkeypatch.setattr(os, "sendfile", no_sendfile)
    return str(request.param)


async def connected() -> tuple[Sink, asyncio.StreamReader, asyncio.StreamWriter]:
    """A sink, and its client."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    _, sink = await loop.connect_accepted_socket(Sink, ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    return sink, reader, writer


async def close(sink: Sink, writer: asyncio.StreamWriter) -> None:
    sink.transport.abort()
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    while not sink.lost:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize(("start", "count"), [(0, len(CONTENT)), (300, 1_500_000), (5, 1), (9, 0)])
def test_a_part_of_a_file(run: Run, file: int, way: str, start: int, count: int) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        sink, reader, writer = await connected()
        sink.transport.write(b"head")
        sink.file_left = count
        descriptors = len(os.listdir("/proc/self/fd"))
        sending = asyncio.create_task(send_file(sink, loop, file, start))
        assert await reader.readexactly(4 + count) == b"head" + CONTENT[start : start + count]
        await sending
        assert sink.file_left == 0
        assert len(os.listdir("/proc/self/fd")) == descriptors
        sink.transport.write(b"next")
        assert await reader.readexactly(4) == b"next"
        await close(sink, writer)

    run(scene())


def test_a_file_waits_for_its_client(run: Run, file: int, way: str) -> None:
    async def scene() -> None:
        sink, reader, writer = await connected()
        sink.file_left = len(CONTENT)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(send_file(sink, loop, file, 0))
        left = -1
        while left != sink.file_left or not left < len(CONTENT):
            left = sink.file_left
            await asyncio.sleep(0.02)
        assert not sending.done()
        assert left > 0
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await reader.readexactly(len(CONTENT)) == CONTENT
        await sending
        await close(sink, writer)

    run(scene())


def test_the_kernel_also_sends_what_has_waited(
    run: Run, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr(os, "pread", never)

    async def scene() -> None:
        sink, reader, writer = await connected()
        sink.file_left = len(CONTENT)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(send_file(sink, asyncio.get_running_loop(), file, 0))
        while sink.file_left == len(CONTENT):
            await asyncio.sleep(0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await reader.readexactly(len(CONTENT)) == CONTENT
        await sending
        await close(sink, writer)

    run(scene())


def test_a_file_that_has_become_shorter(run: Run, file: int, way: str) -> None:
    async def scene() -> None:
        sink, reader, writer = await connected()
        sink.file_left = 20
        loop = asyncio.get_running_loop()
        with pytest.raises(ResponseError, match="became shorter"):
            await send_file(sink, loop, file, len(CONTENT) - 10)
        assert sink.file_left == 10
        assert await reader.readexactly(10) == CONTENT[-10:]
        await close(sink, writer)

    run(scene())


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_leaves(run: Run, file: int, way: str, waits: bool) -> None:
    async def scene() -> None:
        sink, _, writer = await connected()
        sink.file_left = len(CONTENT)
        loop = asyncio.get_running_loop()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(send_file(sink, loop, file, 0))
        while sink.file_left == len(CONTENT):
            await asyncio.sleep(0)
        for _ in range(20 * waits):  # until nothing more is taken
            await asyncio.sleep(0)
        sink.transport.abort()
        with pytest.raises(ClientGone, match="before the file was sent"):
            await asyncio.wait_for(sending, 10)
        assert sink.file_left > 0
        await close(sink, writer)

    run(scene())


@pytest.mark.parametrize("turns", [0, 3])
def test_a_connection_that_is_closed_before(run: Run, file: int, way: str, turns: int) -> None:
    """Whatever the loop: also while the transport is closing, before the loop has said so."""

    async def scene() -> None:
        sink, _, writer = await connected()
        sink.file_left = 10
        sink.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(ClientGone, match="before the file was sent"):
            await send_file(sink, asyncio.get_running_loop(), file, 0)
        assert sink.file_left == 10
        await close(sink, writer)

    run(scene())


def test_what_the_transport_changes_goes_by_hand(
    run: Run, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TLS does."""

    def never(*arguments: object) -> int:
        raise AssertionError("sendfile")

    monkeypatch.setattr(os, "sendfile", never)

    async def scene() -> None:
        sink, reader, writer = await connected()
        real = sink.transport

        class Sealing:
            write, is_closing = real.write, real.is_closing

            def get_extra_info(self, name: str) -> Any:
                return "a session" if name == "ssl_object" else real.get_extra_info(name)

        sink.transport, sink.file_left = Sealing(), 1000
        await send_file(sink, asyncio.get_running_loop(), file, 1)
        assert await reader.readexactly(1000) == CONTENT[1:1001]
        sink.transport = real
        await close(sink, writer)

    run(scene())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EBADF])
def test_a_worker_that_is_out_of_descriptors_sends_by_hand(
    run: Run, file: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head of the answer may have left, so this is too late to fail for a want of them."""

    def no_dup(descriptor: int) -> int:
        raise OSError(number, "no descriptor is left")

    async def scene() -> None:
        sink, reader, writer = await connected()
        monkeypatch.setattr(os, "dup", no_dup)
        sink.file_left = 300_000
        loop = asyncio.get_running_loop()
        sending = loop.create_task(send_file(sink, loop, file, 5))
        if number == errno.EBADF:
            with pytest.raises(OSError, match="no descriptor is left"):
                await sending
        else:
            reading = loop.create_task(reader.readexactly(300_000))
            await sending
            assert await reading == CONTENT[5:300_005]
            assert sink.file_left == 0
        monkeypatch.undo()
        await close(sink, writer)

    run(scene())


def test_a_client_that_closes_while_the_kernel_sends(run: Run, file: int) -> None:
    async def scene() -> None:
        sink, _, writer = await connected()
        sink.file_left = len(CONTENT)
        loop = asyncio.get_running_loop()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(send_file(sink, loop, file, 0))
        while sink.file_left == len(CONTENT):
            await asyncio.sleep(0)
        writer.transport.abort()
        with pytest.raises(ClientGone, match="before the file was sent"):
            await sending
        assert sink.file_left > 0
        await close(sink, writer)

    run(scene())


@pytest.mark.parametrize("leaves", [False, True])
def test_a_quick_client_does_not_keep_the_others_waiting(
    run: Run, file: int, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def takes_all(out: int, source: int, offset: int, count: int) -> int:
        asked.append(count)
        return count

    monkeypatch.setattr(os, "sendfile", takes_all)

    async def scene() -> None:
        sink, _, writer = await connected()
        sink.file_left = 9_000_000
        turns = 0

        async def others() -> None:
            nonlocal turns
            while sink.file_left:
                turns += 1
                if leaves and turns == 2:
                    sink.lost = True
                await asyncio.sleep(0)

        other = asyncio.create_task(others())
        sending = send_file(sink, asyncio.get_running_loop(), file, 0)
        if leaves:
            with pytest.raises(ClientGone):
                await sending
            assert sink.file_left > 0
            sink.file_left = 0
            sink.lost = False
        else:
            await sending
            assert sum(asked) == 9_000_000
            assert turns >= len(asked) - 1 >= 3
        await other
        await close(sink, writer)

    run(scene())


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.EINVAL])
def test_what_breaks_in_the_middle_is_the_client(
    run: Run, file: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never from the beginning once more, also where the error could be the file's."""
    counts = iter([1000])

    def breaks(out: int, source: int, offset: int, count: int) -> int:
        for sent in counts:
            return sent
        raise OSError(number, "broken")

    monkeypatch.setattr(os, "sendfile", breaks)

    async def scene() -> None:
        sink, _, writer = await connected()
        sink.file_left = 5000
        with pytest.raises(ClientGone, match="before the file was sent"):
            await send_file(sink, asyncio.get_running_loop(), file, 0)
        assert sink.file_left == 4000
        await close(sink, writer)

    run(scene())
