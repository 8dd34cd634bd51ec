"""Orders as messages, and rules as messages: nothing else is one."""

from __future__ import annotations

import pytest

from bare_serve.ops.orders import LONGEST, Order, parse
from bare_serve.ops.rules import Rules


@pytest.mark.parametrize(
    "order", [*map(Order, ("reload", "more", "fewer", "reopen")), Order("replace", 12)]
)
def test_an_order_arrives_as_it_was_given(order: Order) -> None:
    assert len(order.message()) <= LONGEST
    assert parse(order.message()) == order


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"stop", b"RELOAD", b"reload\n", b" reload", b"reload 1", b"replace", b"replace 0"),
        *(b"replace -1", b"replace 12345", b"replace 1 ", b"reload\0", b"more\xff", b"replace 1;"),
    ],
)
def test_anything_else_is_none(message: bytes) -> None:
    assert parse(message) is None


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(True, "secret" * 4, ("a.example",), (0, 33), True, (33, 33, (33, 4))),
    ],
)
def test_rules_arrive_as_they_were_given(rules: Rules) -> None:
    assert Rules.read(rules.message()) == rules
