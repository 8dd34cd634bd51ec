"""Layers: which application wraps which, and whose the time is, with the real frameworks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.xray.layers import Layers, Tree, install
from tests.xray.stacks import ASGI, STACKS, call, call_asgi, shape

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def layers() -> Iterator[Layers]:
    made = install(every=1)
    yield made
    made.uninstall()


def golden(name: str) -> list[str]:
    """Return the layers of a stack that no version of a framework is without."""
    lines = (GOLDEN / f"{name.replace(' ', '_')}.txt").read_text("utf-8").splitlines()
    # Before Python 3.12 other threads are not seen: Django calls this view in one.
    return lines[: -1 if name == "django asgi" and sys.version_info < (3, 12) else None]


def names(lines: list[str]) -> set[str]:
    return {line.split()[0] for line in lines}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_has_its_tree(layers: Layers, name: str) -> None:
    app = STACKS[name]()

    async def twice() -> list[Tree | None]:
        return [(await call_asgi(layers, app))[0] for _ in range(2)]

    trees = asyncio.run(twice()) if name in ASGI else [call(layers, app)[0] for _ in range(2)]
    expected = golden(name)
    for tree in trees:
        assert shape(tree, names(expected)) == expected
