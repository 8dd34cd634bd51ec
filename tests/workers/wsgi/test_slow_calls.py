"""What is remembered of slow calls."""

from __future__ import annotations

import pytest

from bare_serve.workers.wsgi.slow_calls import ENTRIES, FORGIVEN_AFTER, SlowCalls, shape


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", b"/"),
        (b"*", b"*"),
        (b"/report", b"/report"),
        (b"/report/", b"/report/"),
        (b"/orders/17", b"/orders/*"),
        (b"/orders/17/lines/4", b"/orders/*/lines/*"),
        (b"/orders/17a", b"/orders/*"),
        (b"/o/550e8400-e29b-41d4-a716-446655440000/x", b"/o/*/x"),
        (b"/o/" + b"x" * 24, b"/o/" + b"x" * 24),
        (b"/o/" + b"x" * 25, b"/o/*"),
    ],
)
def test_shapes(path: bytes, expected: bytes) -> None:
    assert shape(path) == expected


def test_a_slow_call_is_expected_again_and_so_is_its_like() -> None:
    slow = SlowCalls()
    assert not slow.entries
    slow.note("GET", b"/orders/17", True)
    assert slow.expects("GET", b"/orders/17")
    assert slow.expects("GET", b"/orders/18")
    assert not slow.expects("GET", b"/orders")
    assert not slow.expects("POST", b"/orders/17")


def test_a_quick_call_alone_is_nothing_to_remember() -> None:
    slow = SlowCalls()
    slow.note("GET", b"/", False)
    assert not slow.entries


def test_quick_calls_are_forgiven() -> None:
    slow = SlowCalls()
    slow.note("GET", b"/", True)
    for _ in range(FORGIVEN_AFTER - 1):
        slow.note("GET", b"/", False)
    slow.note("GET", b"/", True)
    for _ in range(FORGIVEN_AFTER):
        assert slow.expects("GET", b"/")
        slow.note("GET", b"/", False)
    assert not slow.entries


def test_random_paths_crowd_out_nothing_in_use() -> None:
    slow = SlowCalls()
    slow.note("GET", b"/report", True)
    for number in range(3 * ENTRIES):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        slow.note("GET", b"/" + word.encode(), True)
        if number % (ENTRIES // 2) == 0:
            slow.note("GET", b"/report", True)
    assert slow.expects("GET", b"/report")
    assert len(slow.entries) == ENTRIES


def test_random_identifiers_are_one_entry() -> None:
    slow = SlowCalls()
    for number in range(5000):
        slow.note("GET", b"/slow/%d" % number, True)
    assert len(slow.entries) == 1
