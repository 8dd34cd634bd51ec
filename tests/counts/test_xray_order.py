"""Orders to show requests, and the ring in which records come back, without a server."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bare_serve.cli.verbs.xray import _block
from bare_serve.counts import layout
from bare_serve.counts.snapshot import Memory, Unreadable
from bare_serve.counts.xray_order import LONGEST_RECORD, ROOM, Order, Orders, Ring, RingReader
from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.xray.text import render

F_SEAL_SHRINK, F_SEAL_WRITE = 2, 8
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")


@pytest.mark.parametrize(
    "order", [Order(1), Order(1000, "GET /ä*", full=True, bodies=True, layers=True)]
)
def test_an_order_comes_back_as_it_was(order: Order) -> None:
    assert Order.of(order.to_bytes()) == order


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"[1]", b"1", b"\xff", b"[" * 640, b'["1","",false,false,false]'),
        *(b'[0,"",false,false,false]', b'[1001,"",false,false,false]'),
        *(b'[true,"",false,false,false]', b"[1,2,false,false,false]", b'[1,"",0,false,false]'),
    ],
)
def test_what_is_no_order_is_none(data: bytes) -> None:
    assert Order.of(data) is None


def test_a_row_shows_an_order_until_it_ends() -> None:
    board = Scoreboard(rows=2)
    row, other = board.acquire(), board.acquire()
    with Memory(board.fd) as memory:
        orders, second = Orders(memory, Order(5, "/a")), Orders(memory, Order(6))
        assert row.xray_order() == (0, b"")
        assert orders.give(0)
        number, text = row.xray_order()
        assert (number, Order.of(text)) == (orders.number, Order(5, "/a"))
        assert not orders.give(0)  # put off, and not new
        assert not second.give(0)  # one at a time
        assert row.xray_order()[0] == orders.number
        assert not orders.is_offered(0)
        row.offer_xray(True)
        row.obey_xray(number)
        assert orders.is_offered(0)
        assert orders.is_obeyed(0)
        assert not second.is_obeyed(0)
        second.take_back(0)  # which is not its own
        assert row.xray_order()[0] == orders.number
        orders.take_back(0)
        assert row.xray_order() == (0, b"")
        assert second.give(0)
        assert other.xray_order() == (0, b"")
        row.clear()
        assert row.xray_order() == (0, b"")
    board.release(row)
    board.release(other)


def test_an_order_ends_if_nobody_puts_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Scoreboard(rows=1)
    row = board.acquire()
    monkeypatch.setattr("bare_serve.counts.xray_order.LEASE", 0.0)
    with Memory(board.fd) as memory:
        assert Orders(memory, Order(5)).give(0)
        assert row.xray_order() == (0, b"")
    board.release(row)


def test_an_order_without_an_end_is_void() -> None:
    """By rubbish, or by a clock that is not the worker's: nobody would take it back."""
    board = Scoreboard(rows=1)
    row = board.acquire()
    with Memory(board.fd) as memory:
        assert Orders(memory, Order(5)).give(0)
        for until in ((1 << 63) - 1, time.monotonic_ns() + 3_600_000_000_000, -(1 << 63)):
            row._words[layout.ROW_XRAY_UNTIL] = until
            assert row.xray_order() == (0, b"")
        assert Orders(memory, Order(6)).give(0)  # nor does it keep others out
    board.release(row)


@contextmanager
def ring(number: int) -> Iterator[tuple[Ring, RingReader]]:
    made = Ring(number)
    reader = RingReader(os.getpid(), number)
    try:
        yield made, reader
    finally:
        reader.close()
        made.close()


def test_records_come_in_their_order_however_often_the_ring_goes_round() -> None:
    with ring(1) as (made, reader):
        for number in range(240):
            record = [number, "x" * (number * 700 % 30_000)]
            made.write(json.dumps(record).encode())
            if number % 3 == 0:
                made.write(b'"more"')
            assert reader.read() == [record] + ["more"] * (number % 3 == 0)
        assert reader.read() == []
        assert (reader.dropped, reader.left_out, reader.is_over) == (0, 0, False)


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    with ring(2) as (made, reader):
        made.write(b'"' + b"x" * LONGEST_RECORD + b'"')
        assert reader.dropped == 1
        while reader.dropped == 1:
            made.write(b'"' + b"y" * 1000 + b'"')
        found = reader.read()
        assert len(found) == ROOM // 1010
        made.write(b"1")
        made.leave_out()
        made.finish()
        assert reader.read() == [1]
        assert (reader.dropped, reader.left_out, reader.is_over) == (2, 1, True)


def test_after_the_end_nothing_is_written_and_what_is_there_can_be_read() -> None:
    with ring(3) as (made, reader):
        made.write(b"1")
        made.close()
        made.write(b"2")
        made.leave_out()
        made.finish()
        made.close()
        assert reader.read() == [1]
        assert reader.is_over
    with pytest.raises(Unreadable):
        RingReader(os.getpid(), 3)


def test_who_reads_can_neither_shrink_the_memory_nor_confuse_who_writes() -> None:
    with ring(4) as (made, reader):
        for seal in (0, ROOM * 2):
            with pytest.raises(PermissionError):
                os.ftruncate(reader._fd, seal)
        for position in (1 << 60, -(1 << 60), 5):
            os.pwrite(reader._fd, position.to_bytes(8, "little", signed=True), 8)
            made.write(b"1")
        assert reader.dropped >= 3
        os.pwrite(reader._fd, ((1 << 63) - 1).to_bytes(8, "little") * 5, 0)
        assert not made.write(b"1")
        made.leave_out()
        made.finish()
        os.pwrite(reader._fd, bytes(16), 0)
        assert made.write(b"2")


def test_who_writes_cannot_confuse_who_reads() -> None:
    with ring(5) as (made, reader):
        made.write(b"not JSON")
        assert reader.read() == []
        made.write(b"1")
        os.pwrite(made.fd, (1 << 62).to_bytes(8, "little"), 8 * 8 + 16)
        assert reader.read() == [1]
        os.pwrite(made.fd, b"\xff" * 64, 0)
        assert reader.read() == []
        assert reader.dropped == 0


@pytest.mark.parametrize("seals", [0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_WRITE])
def test_a_ring_that_is_not_sealed_as_a_worker_seals_it_is_none(seals: int) -> None:
    """Whoever reads would not be able to say how far it has read, or read what has gone."""
    fd = os.memfd_create(f"{layout.RECORDS}-6", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 64 + ROOM)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    with pytest.raises(Unreadable, match="another version"):
        RingReader(os.getpid(), 6)
    os.close(fd)


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ([0, "->", "\x1b[2J", "\u202ex"], "    0.00 -> \\x1b[2J         \\u202ex\n"),
        ([0, "->", "a\nb", ""], "    0.00 -> a\\nb\n"),
        ([10**400, "->", "n", "x"], None),
        ([0, [], "n", "x"], None),
        ([0, "->"], None),
    ],
)
def test_records_of_foreign_code_are_fit_for_a_terminal(step: list[Any], shown: str | None) -> None:
    block = _block(json.loads(json.dumps(["title\x07", ["1 ms\x9b"], [step], [], True])))
    assert (block and render(block)) == (shown and f"title\\x07   1 ms\\x9b\n{shown}\n")


def test_an_order_has_room_in_a_row() -> None:
    assert layout.ROW_XRAY_TEXT + layout.LONGEST_XRAY <= layout.ROW_TEXT
    assert layout.ROW_XRAY < layout.ROW_WORDS
    assert layout.ROW_XRAY_TEXT >= 8 * layout.ROW_WORDS
