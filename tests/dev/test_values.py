"""Values of variables are one short line each, and hold no secret."""

from __future__ import annotations

from collections import OrderedDict, UserDict, defaultdict, deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from bare_serve.dev import values

MARK = "S3cr3tV4lue"


@dataclass
class Login:
    user: str
    password: str


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("in repr")


class Sized(Raises):
    def __len__(self) -> int:
        raise RuntimeError("in len")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (12, "12"),
        ("é\n\x1b[31m", r"'é\n\x1b[31m'"),
        (b"\xff\x00a", r"b'\xff\x00a'"),
        ([], "[]"),
        ({}, "{}"),
        ({"a": [1, {"b": (2,)}]}, "{'a': [1, {'b': (2,)}]}"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (Login("ann", MARK), "Login(user='ann', password=<11 characters hidden>)"),
        (Raises(), "<Raises, whose repr raised RuntimeError>"),
        (Sized(), "<Sized, whose repr raised RuntimeError>"),
        ([Raises()], "<list, whose repr raised RuntimeError>"),
    ],
)
def test_how_a_value_is_shown(value: Any, shown: str) -> None:
    assert values.show("name", value) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", MARK),
        ("api_key", MARK.encode()),
        ("SECRET_KEY", [MARK]),
        ("session", {"a": MARK}),
        ("form", {"csrf_token": MARK}),
        ("form", OrderedDict(password=MARK)),
        ("form", defaultdict(list, password=[MARK])),
        ("deep", {"a": {"b": {"token": MARK}}}),
        ("environ", {"HTTP_COOKIE": MARK, "HTTP_AUTHORIZATION": MARK}),
        ("headers", [(b"cookie", MARK.encode()), (b"x-api-key", MARK.encode())]),
        ("url", f"postgres://ann:{MARK}@host/x"),
        ("query", f"a=1&access_token={MARK}"),
        ("body", f'{{"user": "ann", "password": "{MARK}"}}'),
        ("body", f'{{"password": "{MARK * 1000}"}}'.encode()),
        ("login", Login("ann", MARK)),
        ("logins", [Login("ann", MARK)]),
    ],
)
def test_secrets_are_hidden(name: str, value: Any) -> None:
    shown = values.show(name, value)
    assert MARK not in shown
    assert "hidden" in shown


@pytest.mark.parametrize("value", [None, True, False])
def test_that_there_is_no_secret_is_none(value: object) -> None:
    assert values.show("password", value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        b"x" * 10_000_000,
        [["x" * 1000] * 1000] * 1000,
        {str(number): "x" * 1000 for number in range(1000)},
        deque(range(100_000)),
        10**3000,
        UserDict({"x" * 1000: "y" * 1000}),
        type("X", (), {"__repr__": lambda self: "x" * 1_000_000})(),
    ],
)
def test_a_value_is_one_short_line(value: Any) -> None:
    shown = values.show("x", value)
    assert len(shown) <= 2 * values.MOST + 3
    assert shown.isprintable()


def test_a_list_that_holds_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    assert values.show("x", value).startswith("[[[")


def test_what_would_ask_a_database_is_not_asked() -> None:
    module = ModuleType("django.db.models.query")
    made: dict[str, Any] = {"__name__": module.__name__}
    exec("class QuerySet:\n    def __repr__(self):\n        raise AssertionError\n", made)
    shown = values.show("users", made["QuerySet"]())
    assert shown == "<django.db.models.query.QuerySet, which is not asked for its content>"
