"""What waits for a bus is bounded, goes out in order, and is heard once."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.bare import bus
from bare_serve.bare.bus import MARK, Inbox, Outbox
from bare_serve.bare.member import Data

ROOMS = b"room"


def box(most: int = 1000, most_bytes: int = 1 << 20) -> tuple[Outbox, list[int]]:
    told: list[int] = []
    return Outbox(most, most_bytes, told.append), told


def sent(outbox: Outbox) -> list[Data | None]:
    """All that is sent, as one other process reads it."""
    inbox = Inbox(b"somebody")
    found = []
    while batch := outbox.batch():
        found += [inbox.read(payload) for _, payload in batch]
        outbox.confirm()
    return found


@pytest.mark.parametrize("message", ["", "hi", "\u00e4\U0001f600", b"", b"\xff\0", MARK])
def test_messages_arrive_as_they_are(message: Data) -> None:
    outbox, _ = box()
    outbox.put(ROOMS, message)
    assert sent(outbox) == [message]


def test_order_and_batches() -> None:
    outbox, told = box()
    for number in range(250):
        outbox.put(b"%d" % (number % 2), str(number))
    assert len(outbox) == 250
    sizes = []
    channels: list[bytes] = []
    while batch := outbox.batch():
        sizes.append(len(batch))
        channels += [channel for channel, _ in batch]
        outbox.confirm()
    assert sizes == [100, 100, 50]
    assert channels == [b"0", b"1"] * 125
    assert (len(outbox), outbox.lost, told) == (0, 0, [])


def test_what_is_not_confirmed_goes_out_again() -> None:
    outbox, _ = box()
    outbox.put(ROOMS, "1")
    first = [*outbox.batch()]
    outbox.put(ROOMS, "2")
    second = [*outbox.batch()]
    assert second[:1] == first
    inbox = Inbox(b"somebody")
    assert [inbox.read(payload) for _, payload in first + second] == ["1", None, "2"]


def test_the_oldest_are_lost() -> None:
    outbox, told = box(most=3)
    for number in range(5):
        outbox.put(ROOMS, str(number))
    assert (outbox.lost, told) == (2, [3])
    assert sent(outbox) == ["2", "3", "4"]
    for number in range(5):
        outbox.put(ROOMS, str(number))
    assert (outbox.lost, told) == (4, [3, 3]), "told once for each time that it filled up"


def test_what_is_under_way_is_not_lost() -> None:
    outbox, _ = box(most=2)
    outbox.put(ROOMS, "0")
    outbox.batch()
    for number in range(1, 5):
        outbox.put(ROOMS, str(number))
    assert sent(outbox) == ["0", "3", "4"]


def test_bytes_are_bounded() -> None:
    outbox, _ = box(most_bytes=100)
    for message in ("a" * 60, "b" * 60, "c" * 40):
        outbox.put(ROOMS, message)
    assert outbox.lost == 1
    outbox.put(ROOMS, b"d" * 101)
    assert (outbox.lost, len(outbox)) == (4, 0)
    outbox.put(ROOMS, "e" * 100)
    assert sent(outbox) == ["e" * 100]


def payload(sender: bytes, number: int, body: bytes = b"x", kind: bytes = b"t") -> bytes:
    return MARK + sender + number.to_bytes(8, "big") + kind + body


READ: dict[str, tuple[list[bytes], list[Any]]] = {
    "numbers grow": ([payload(b"sender-1", n) for n in (1, 2, 5)], ["x", "x", "x"]),
    "heard before": ([payload(b"sender-1", n) for n in (2, 1, 2, 3)], ["x", None, None, "x"]),
    "of two": ([payload(b"sender-1", 1), payload(b"sender-2", 1)], ["x", "x"]),
    "our own": ([payload(b"ourselfs", 1)], [None]),
    "bytes": ([payload(b"sender-1", 1, b"\xff", b"b")], [b"\xff"]),
    "no text": ([payload(b"sender-1", 1, b"\xff")], ["\ufffd"]),
    "of another program": ([b"hello", b"\xff", b"", MARK + b"short"], ["hello", None, "", ...]),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_heard(case: str) -> None:
    data, expected = READ[case]
    inbox = Inbox(b"ourselfs")
    found = [inbox.read(each) for each in data]
    assert [each for each in found if each != "\0bare1short"] == [
        each for each in expected if each is not ...
    ]


def test_senders_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "_SENDERS", 2)
    inbox = Inbox(b"ourselfs")
    for name, number in ((b"sender-1", 1), (b"sender-2", 1), (b"sender-1", 2), (b"sender-3", 1)):
        inbox.read(payload(name, number))
    assert inbox.read(payload(b"sender-1", 2)) is None
    assert inbox.read(payload(b"sender-3", 1)) is None
    assert inbox.read(payload(b"sender-2", 1)) == "x", "forgotten"


def test_two_outboxes_are_two_senders() -> None:
    assert box()[0].sender != box()[0].sender
