"""What a snapshot says of a memory, and which memory is declined."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bare_serve.counts import layout, numbers
from bare_serve.counts.layout import Layout
from bare_serve.counts.records import Counters, add, quantile
from bare_serve.counts.snapshot import Memory, Unreadable
from bare_serve.counts.stack_request import StackRequest


@contextmanager
def memory_of(rows: int = 2, **words: int) -> Iterator[int]:
    """The descriptor of a memory; `words` are those of the head, by their names."""
    fd = os.memfd_create("test")
    try:
        os.ftruncate(fd, Layout.of(rows).size)
        first = {"HEAD_MAGIC": layout.MAGIC, "HEAD_LAYOUT": layout.LAYOUT, "HEAD_ROWS": rows}
        for name, value in {**first, **words}.items():
            os.pwrite(fd, value.to_bytes(8, "little"), 8 * getattr(layout, name))
        yield fd
    finally:
        os.close(fd)


def test_an_empty_memory_is_read_and_is_json() -> None:
    with memory_of() as fd, Memory(fd) as memory:
        snapshot = memory.snapshot()
        assert snapshot.workers == ()
        assert snapshot.history == ()
        assert json.loads(json.dumps(snapshot.to_json()))["counters"]["requests"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"HEAD_LAYOUT": 99}, "of another version: its layout is 99"),
        ({"HEAD_MAGIC": 1}, "not the memory of a server"),
        ({"HEAD_ROWS": 7}, "size of the memory"),
        ({"HEAD_ROWS": 1 << 40}, "size of the memory"),
    ],
)
def test_what_is_not_understood_is_declined(words: dict[str, int], said: str) -> None:
    with memory_of(**words) as fd, pytest.raises(Unreadable, match=said):
        Memory(fd)


@pytest.mark.parametrize("size", [0, 5, 8, 4096])
def test_memory_that_is_too_small_is_declined(size: int) -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    with pytest.raises(Unreadable):
        Memory(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (b'{"target": "\\u001b[2J\xd0\xb0", "n": 1}', {"target": "\\x1b[2J\u0430", "n": 1}),
        (b'{"settings": {"\\u202e": ["\\r"]}}', {"settings": {"\\u202e": ["\\r"]}}),
        (b'{"settings": [], "addresses": 5}', {}),
        (b"[1]", {}),
        (b"\xff", {}),
        (b"[" * 8000, {}),
        (b'{"a":' * 1500, {}),
    ],
)
def test_facts_are_fit_for_a_terminal_whoever_has_written_them(
    text: bytes, facts: dict[str, object]
) -> None:
    with memory_of(HEAD_FACTS=len(text)) as fd:
        os.pwrite(fd, text, Layout.of(2).facts)
        with Memory(fd) as memory:
            assert memory.snapshot().master.facts == facts


def test_nothing_but_memory_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may be another user's, and swap what a link has led to for a file of root's."""
    (file := tmp_path / "shadow").write_bytes(bytes(Layout.of(2).size))
    read = os.readlink
    swapped = []

    def readlink(path: str) -> str:
        link = read(path)
        if link.startswith("/memfd:bare-serve-"):
            os.dup2(held, int(path.rpartition("/")[2]))
            swapped.append(link)
        return link

    held = os.open(file, os.O_PATH)
    monkeypatch.setattr(os, "readlink", readlink)
    for name in (layout.MEMORY, layout.STACKS):
        fd = os.memfd_create(name)
        if name == layout.STACKS:
            request = StackRequest(os.getpid(), 10, lambda signum: True)
            assert request.trouble == "its process has ended, or has closed the memory for stacks"
            request.close()
        else:
            with pytest.raises(Unreadable, match="is no server"):
                Memory.of_process(os.getpid())
        os.close(fd)
    os.close(held)
    assert len(swapped) == 2
    assert file.read_bytes() == bytes(Layout.of(2).size)


def test_a_master_that_died_while_it_wrote_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    said = pytest.raises(Unreadable, match="does not finish")
    with memory_of(HEAD_SEQUENCE=3) as fd, Memory(fd) as memory, said:
        memory.snapshot()


def test_the_sum_of_counters_has_each_of_them() -> None:
    words = list(range(1, numbers.NUMBERS + 1))
    one = Counters.of(words)
    both = add([one, one])
    assert both == Counters.of([2 * word for word in words])


@pytest.mark.parametrize(
    ("buckets", "part", "expected"),
    [
        ([0] * 15, 0.5, None),
        ([10] + [0] * 14, 0.5, 0.0025),
        ([0, 10] + [0] * 13, 1.0, 0.01),
        ([99, 0, 1] + [0] * 12, 0.99, 0.005),
        ([0] * 14 + [1], 0.5, 10.0),
    ],
)
def test_quantiles(buckets: list[int], part: float, expected: float | None) -> None:
    assert quantile(buckets, part) == pytest.approx(expected)
