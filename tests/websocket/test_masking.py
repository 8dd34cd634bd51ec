"""RFC 6455, 5.3: each way of taking a mask off does what the byte-by-byte definition says."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from bare_serve.websocket.masking import unmask, unmask_in_python
from tests.websocket.harness import masked

SIZES = [*range(12), 63, 64, 65, 125, 126, 699, 700, 701, 702, 703, 704, 16384, 70_001]


@pytest.mark.parametrize("way", [unmask, unmask_in_python])
@pytest.mark.parametrize("key", [bytes(4), b"\x00\x00\x00\xff", b"\xff\x00\x01\x80", b"mask"])
def test_every_way_is_the_same(way: object, key: bytes) -> None:
    assert callable(way)
    for size in SIZES:
        data = bytes(i * 7 % 256 for i in range(size))
        assert way(data, key) == masked(data, key)


def test_it_works_without_the_library_that_is_written_in_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The module is executed a second time, as on a machine that does not have it."""
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = importlib.util.find_spec("bare_serve.websocket.masking")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.unmask is module.unmask_in_python
