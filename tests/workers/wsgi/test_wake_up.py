"""The pair of sockets by which a thread wakes the one that leads."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

import pytest

from bare_serve.workers.wsgi.wake_up import WakeUp


@pytest.fixture
def wake_up() -> Iterator[WakeUp]:
    made = WakeUp()
    yield made
    made.close()


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_it_can_be_read_from_a_wake_until_it_is_cleared(wake_up: WakeUp) -> None:
    assert not is_readable(wake_up.fd)
    for _ in range(3):
        wake_up.wake()
    assert is_readable(wake_up.fd)
    wake_up.clear()
    assert not is_readable(wake_up.fd)
    wake_up.wake()
    assert is_readable(wake_up.fd)


def test_nothing_to_clear_is_no_error(wake_up: WakeUp) -> None:
    wake_up.clear()
    assert not is_readable(wake_up.fd)


def test_a_full_pair_is_no_error(wake_up: WakeUp) -> None:
    _, writer = wake_up.descriptors()
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 16))
    wake_up.wake()
    assert is_readable(wake_up.fd)


def test_a_wake_behind_the_end_is_no_error() -> None:
    wake_up = WakeUp()
    wake_up.close()
    wake_up.wake()


def test_a_forked_process_is_told_both_descriptors(wake_up: WakeUp) -> None:
    reader, writer = wake_up.descriptors()
    assert reader == wake_up.fd
    os.write(writer, b"\0")
    assert is_readable(reader)
    assert not os.get_inheritable(reader)
    assert not os.get_inheritable(writer)
