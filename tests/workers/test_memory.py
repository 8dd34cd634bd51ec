"""Memory is given back once after a crowd, and at no other time."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from bare_serve.workers import memory
from bare_serve.workers.memory import CROWD, MemoryTrimmer, trim


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order, instead of doing it."""
    calls: list[str] = []
    monkeypatch.setattr(memory.gc, "collect", lambda: calls.append("collect"))
    monkeypatch.setattr(memory, "trim", lambda: calls.append("trim"))
    return calls


def test_a_crowd_that_has_left_is_tidied_up_after_once(done: list[str]) -> None:
    look = MemoryTrimmer().look
    going = (0, 10, CROWD * 4, CROWD * 2, CROWD * 2, CROWD, CROWD // 2)
    assert [look(count) for count in going] == [False] * len(going)
    assert done == [], "they are still going"
    assert look(CROWD // 2)
    assert done == ["collect", "trim"]
    assert not look(CROWD // 2)
    assert not look(0)
    assert len(done) == 2


def test_a_few_clients_are_no_crowd(done: list[str]) -> None:
    look = MemoryTrimmer().look
    for count in (CROWD - 1, 0, 0, CROWD // 2, 0, 0):
        assert not look(count)
    assert done == []


def test_the_next_crowd_counts_anew(done: list[str]) -> None:
    look = MemoryTrimmer().look
    for _ in range(3):
        assert not look(CROWD)
        assert not look(0)
        assert look(0)
    assert len(done) == 6


def test_a_c_library_that_cannot_trim_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(name: None) -> Any:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", library)
    trim()


def test_trimming_harms_nothing() -> None:
    kept = [bytes(1000) for _ in range(1000)]
    trim()
    assert kept == [bytes(1000)] * 1000
