"""A memo gives what its function gives, is bounded, and keeps what is asked for again."""

from __future__ import annotations

from random import Random

import pytest

from bare_serve.http import fields
from bare_serve.http.fields import harmless
from bare_serve.http.memo import Memo


class Counted:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, key: int) -> str:
        self.calls += 1
        if key < 0:
            raise ValueError(key)
        return str(key)


def test_it_gives_what_the_function_gives_and_is_bounded() -> None:
    random, function = Random(1), Counted()
    memo = Memo(function, lambda key: key % 7 != 0, 20)
    for _ in range(5000):
        keys = [random.randrange(60) for _ in range(5)]
        assert list(map(memo.__getitem__, keys)) == [str(key) for key in keys]
        assert len(memo) <= 20
        assert not [key for key in memo if key % 7 == 0]


def test_what_is_kept_is_computed_once_and_the_rest_each_time() -> None:
    function = Counted()
    memo = Memo(function, lambda key: key != 2, 8)
    for key, calls in ((1, 1), (1, 1), (2, 2), (2, 3), (1, 3)):
        assert memo[key] == str(key)
        assert function.calls == calls


def test_an_exception_is_not_remembered() -> None:
    memo = Memo(Counted(), lambda _: True, 8)
    for _ in range(2):
        with pytest.raises(ValueError, match="-1"):
            memo[-1]
    assert memo == {}


def test_it_begins_anew_when_it_is_full() -> None:
    function = Counted()
    memo = Memo(function, lambda _: True, 4)
    for key in range(6):
        assert memo[key] == str(key)
    assert memo == {4: "4", 5: "5"}
    assert memo[0] == "0"
    assert function.calls == 7


@pytest.mark.parametrize(
    "name",
    [
        *("cookie", "set-cookie", "authorization", "proxy-authorization", "x-auth-token"),
        *("x-api-key", "x-csrftoken", "x-amz-signature", "x-session-id", "sec-websocket-key"),
    ],
)
def test_no_secret_is_kept(name: str) -> None:
    assert not harmless(name.encode())


def test_what_repeats_is_kept() -> None:
    for name in (b"host", b"accept", b"user-agent", b"x-forwarded-for", b"referer", b"connection"):
        assert harmless(name)


def test_a_long_name_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client chooses its length, and the pattern takes its time for each byte."""
    looked_through = []

    class Pattern:
        def search(self, name: bytes) -> None:
            looked_through.append(len(name))

    monkeypatch.setattr(fields, "_SECRET", Pattern())
    for length, kept in ((63, True), (64, False), (8000, False)):
        assert harmless(b"x" * length) is kept
    assert looked_through == [63]
