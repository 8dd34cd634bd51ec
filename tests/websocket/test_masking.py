"""RFC 6455, 5.3: each way of taking a mask off does what the byte-by-byte definition says."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from importlib.machinery import BuiltinImporter
from pathlib import Path
from types import ModuleType

import pytest

from bare_serve.websocket import masking
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


def module_anew() -> ModuleType:
    """Execute the module a second time, as on another machine."""
    spec = importlib.util.spec_from_file_location("masking_anew", masking.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="a C extension")
def test_the_c_function_is_taken_and_its_package_is_not_imported() -> None:
    code = (
        "import sys; from bare_serve.websocket import masking;"
        "print(masking.unmask.__name__, 'websockets' in sys.modules,"
        " 'importlib.metadata' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["apply_mask", "False", "False"]


def test_an_application_imports_the_package_as_ever() -> None:
    assert module_anew().unmask(b"abcd", b"1234") == masked(b"abcd", b"1234")
    from websockets import speedups

    assert speedups.apply_mask(b"abcd", b"1234") == masked(b"abcd", b"1234")


@pytest.mark.parametrize("how", ["missing", "no package", "in Python", "without a spec"])
def test_it_works_without_the_library_that_is_written_in_c(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A module of the application may have the same name; nothing of it is executed."""
    monkeypatch.delitem(sys.modules, "websockets", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    trap = "raise AssertionError('the code of the application ran')"
    if how == "missing":
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.setattr(sys, "meta_path", [BuiltinImporter])
    elif how == "no package":
        (tmp_path / "websockets.py").write_text(trap)
        (tmp_path / "speedups.py").write_text(trap)
    elif how == "in Python":
        (tmp_path / "websockets").mkdir()
        (tmp_path / "websockets" / "__init__.py").write_text(trap)
        (tmp_path / "websockets" / "speedups.py").write_text(trap)
    else:
        monkeypatch.setitem(sys.modules, "websockets", ModuleType("websockets"))
    assert masking._in_c() is None


def test_without_it_masks_are_taken_off_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda *names: None)
    module = module_anew()
    assert module.unmask is module.unmask_in_python
