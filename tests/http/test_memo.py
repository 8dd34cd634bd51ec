"""A memo gives what its function gives, is bounded, and keeps what is asked for again."""

from __future__ import annotations

from random import Random

import pytest

from bare_serve.http.fields import repeats
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
    memo = Memo(function, lambda key, _: key % 7 != 0, 20)
    for _ in range(5000):
        keys = [random.randrange(60) for _ in range(5)]
        assert list(map(memo.__getitem__, keys)) == [str(key) for key in keys]
        assert len(memo.kept) <= 20
        assert not [key for key in memo.kept if key % 7 == 0]


def test_what_is_kept_is_computed_once_and_the_rest_each_time() -> None:
    function = Counted()
    memo = Memo(function, lambda key, _: key != 2, 8)
    for key, calls in ((1, 1), (1, 1), (2, 2), (2, 3), (1, 3)):
        assert memo[key] == str(key)
        assert function.calls == calls


def test_an_exception_is_not_remembered() -> None:
    memo = Memo(Counted(), lambda *_: True, 8)
    for _ in range(2):
        with pytest.raises(ValueError, match="-1"):
            memo[-1]
    assert memo.kept == {}


def test_keys_that_never_repeat_push_out_no_key_that_does() -> None:
    """An attacker's fields cost an honest client a second lookup at most, now and then."""
    function = Counted()
    memo = Memo(function, lambda *_: True, 40)
    honest = list(range(10))
    for stranger in range(1000, 3000):
        assert memo[stranger] == str(stranger)
        assert list(map(memo.__getitem__, honest)) == [str(key) for key in honest]
    assert function.calls == 2000 + len(honest)


def test_it_forgets() -> None:
    function = Counted()
    memo = Memo(function, lambda *_: True, 4)
    for key in (1, 2, 3):
        memo[key]
    memo.forget()
    assert memo.kept == {}
    assert memo[1] == "1"
    assert function.calls == 4


@pytest.mark.parametrize(
    "name",
    [
        *("cookie", "set-cookie", "authorization", "proxy-authorization", "x-auth-token"),
        *("x-api-key", "x-csrftoken", "x-amz-signature", "x-session-id", "sec-websocket-key"),
    ],
)
def test_no_secret_is_kept(name: str) -> None:
    assert not repeats(name.encode(), b"x")


def test_what_repeats_is_kept_as_far_as_it_is_small() -> None:
    for name in (b"host", b"accept", b"user-agent", b"x-forwarded-for", b"referer", b"connection"):
        assert repeats(name, b"x")
        assert not repeats(name, b"x" * 256)
