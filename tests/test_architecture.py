"""The house stands: imports only go down the floors, and the core does no I/O.

The reader itself is in `tests.support.imports`; the small made-up packages below prove that it
fails for each rule, so that a green run means something.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.imports import arrows, read_package, violations


def test_the_house_stands(root: Path) -> None:
    sources = read_package(root / "bare_serve")
    assert len(arrows("bare_serve", sources)) > 10, "the reader sees the imports"
    assert violations("bare_serve", sources) == []


def test_nothing_lies_flat(root: Path) -> None:
    """A subject has a folder; beside the folders lies only what every floor may know."""
    flat = {path.stem for path in (root / "bare_serve").glob("*.py")}
    assert flat == {"__init__", "__main__", "version", "errors"}


def test_files_are_short_enough_to_be_read(root: Path) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (root / "bare_serve").rglob("*.py")
    }
    assert {name: count for name, count in lengths.items() if count > 400} == {}


# Folders of tests that look at the whole, not at one folder of the package.
WHOLE = {
    *("autobahn", "benchmarks", "conformance", "examples", "frameworks", "fuzz", "hurt"),
    *("leaving", "support"),
}


def test_the_tests_mirror_the_folders(root: Path) -> None:
    def folders(top: Path) -> set[str]:
        return {
            path.name
            for path in top.iterdir()
            if path.is_dir() and not path.name.startswith(("_", "."))
        }

    assert folders(root / "tests") - WHOLE == folders(root / "bare_serve")


def test_files_that_the_architecture_names_exist(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    assert len(named) > 80
    assert [
        name
        for name in named
        if not any((top / name).exists() for top in (root, root / "bare_serve"))
    ] == []


LAW = '"""Law."""\n'

BROKEN = {
    "up": (
        {"http1.__init__": "", "http1.head": "from house.asgi import scope"},
        "house.http1.head:2 imports house.asgi.scope: an arrow from floor 3 up to floor 4",
    ),
    "up, the module itself": (
        {"errors": "import house.workers.lifecycle"},
        "house.errors:2 imports house.workers.lifecycle: an arrow from floor 0 up to floor 5",
    ),
    "up, relative": (
        {"http1.head": "from ..asgi.scope import build"},
        "house.http1.head:2 imports house.asgi.scope: an arrow from floor 3 up to floor 4",
    ),
    "up, a sibling through the package": (
        {"http1.head": "from .. import server"},
        "house.http1.head:2 imports house.server.__init__: an arrow from floor 3 up to floor 8",
    ),
    "up, inside a function": (
        {"errors": "def f():\n    import house.server"},
        "house.errors:3 imports house.server.__init__: an arrow from floor 0 up to floor 8",
    ),
    "up, only for types": (
        {"version": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import cli"},
        "house.version:4 imports house.cli.__init__: an arrow from floor 0 up to floor 9",
    ),
    "up, by a literal name": (
        {"version": "import importlib\nimportlib.import_module('house.cli')"},
        "house.version:3 imports house.cli.__init__: an arrow from floor 0 up to floor 9",
    ),
    "up, by a name that begins literally": (
        {
            "version": "from importlib import import_module\nimport_module(f'house.workers.{1}')",
            "workers.__init__": "",
        },
        "house.version:3 imports house.workers.__init__: an arrow from floor 0 up to floor 5",
    ),
    "up, to the front door": (
        {"workers.lifecycle": "from house import run"},
        "house.workers.lifecycle:2 imports house.__init__: an arrow from floor 5 up to floor 10",
    ),
    "neighbours": (
        {"asgi.scope": "from house.wsgi.environ import build"},
        "house.asgi.scope:2 imports house.wsgi.environ: "
        "neighbours on floor 4 do not know each other",
    ),
    "neighbours, into a package": (
        {"net.sockets": "from house.app import load", "app.__init__": ""},
        "house.net.sockets:2 imports house.app.__init__: "
        "neighbours on floor 2 do not know each other",
    ),
    "settings": (
        {"workers.lifecycle": "def f():\n    from house.config.settings import Settings"},
        "house.workers.lifecycle:3 imports house.config.settings: "
        "settings stay above floor 7, take a slice of them",
    ),
    "strangers": (
        {"supervision.child": "from house.workers.asgi.worker import run"},
        "house.supervision.child:2 imports house.workers.asgi.worker: "
        "supervision does not know workers.asgi",
    ),
    "strangers, the two kinds of worker": (
        {"workers.wsgi.worker": "from house.workers.asgi.worker import run"},
        "house.workers.wsgi.worker:2 imports house.workers.asgi.worker: "
        "workers.wsgi does not know workers.asgi",
    ),
    "strangers, what both kinds of worker share": (
        {"workers.lifecycle": "from house.workers.asgi.worker import run"},
        "house.workers.lifecycle:2 imports house.workers.asgi.worker: "
        "workers does not know workers.asgi",
    ),
    "strangers, through a friend": (
        {
            "supervision.child": "from house.workers.slot import Slot",
            "workers.slot": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from house.http1.head import Head",
        },
        "house.supervision.child reaches house.http1.head: house.workers.slot imports that one",
    ),
    "no floor": ({"attic": ""}, "house.attic has no floor"),
    "no floor, a package": ({"cellar.wine": ""}, "house.cellar.wine has no floor"),
    "input and output in the core": (
        {"http1.head": "def f():\n    from asyncio import sleep"},
        "house.http1.head is sans-IO but house.http1.head:3 imports asyncio.sleep",
    ),
    "input and output through a friend": (
        {"websocket.session": "from house.http.date import now", "http.date": "import logging"},
        "house.websocket.session is sans-IO but house.http.date:2 imports logging",
    ),
    "circle": (
        {"http1.head": "from .parser import feed", "http1.parser": "from .head import Head"},
        "house.http1.head imports itself in a circle",
    ),
    "circle, hidden in a function": (
        {"net.a": "def f():\n    import house.net.b", "net.b": "import house.net.a"},
        "house.net.a imports itself in a circle",
    ),
    "circle, closed by annotations": (
        {
            "http1.head": "from .parser import feed",
            "http1.parser": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from .head import Head",
        },
        "house.http1.parser imports itself in a circle",
    ),
    "circle, of annotations only": (
        {
            "net.a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import B",
            "net.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A",
        },
        "house.net.b imports itself in a circle",
    ),
}


def house(extra: dict[str, str]) -> dict[str, str]:
    """A house in which each module opens with its law, and then holds what `extra` gives it."""
    names: tuple[str, ...] = ("__init__", "__main__", "version", "errors")
    names += ("cli.__init__", "server.__init__", "config.settings", "net.sockets", "http.date")
    names += ("http1.head", "asgi.scope", "wsgi.environ", "supervision.child")
    names += ("workers.lifecycle", "workers.asgi.worker", "workers.wsgi.worker")
    bodies = dict.fromkeys(names, "") | extra
    return {f"house.{name}": LAW + body for name, body in bodies.items()}


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_rule_is_found(case: str) -> None:
    extra, sentence = BROKEN[case]
    assert sentence in violations("house", house(extra))


def test_a_missing_law_is_found() -> None:
    sources = house({}) | {"house.version": "# a comment is no docstring\nimport time\n"}
    assert violations("house", sources) == ["house.version does not open with a docstring"]


def test_arrows_that_go_down_are_fine() -> None:
    sound = {
        "__main__": "from house.cli import main",
        "cli.__init__": "from house.server import run",
        "server.__init__": "from house.version import x\n"
        "from house.config.settings import Settings",
        "__init__": "from house.version import x\ndef run():\n    from house.server import run",
        "supervision.child": "from house.workers.slot import Slot",
        "workers.slot": "",
        "workers.asgi.worker": "import asyncio\nfrom house.asgi import scope\n"
        "from house.workers.slot import Slot",
        "workers.lifecycle": "from .. import errors\nfrom house.net import sockets",
        "http1.head": "import re\nfrom ..errors import RequestError\nfrom .parser import feed",
        "http1.parser": "from ..errors import RequestError",
        "app.load": "from house.errors import AppLoadError",
        "net.sockets": "import socket\nfrom house.errors import UsageError\n"
        "from house.version import __version__",
    }
    assert violations("house", house(sound)) == []


def test_the_tower_is_known_to_nobody_in_the_house() -> None:
    beside = {"testing.__init__": "", "testing.lint": "from house.asgi.scope import x"}
    assert violations("house", house(beside)) == []
    for source in ("server.__init__", "cli.__init__", "__init__", "__main__"):
        found = violations("house", house(beside | {source: "def f():\n    import house.testing"}))
        assert any("imports house.testing.__init__" in sentence for sentence in found), source
    found = violations("house", house({"testing.lint": "import house.server"}))
    assert any("testing does not know server" in sentence for sentence in found)


def test_middleware_is_known_to_the_server_alone() -> None:
    tower = {"middleware.__init__": "", "middleware.stack": "from house.http.date import now"}
    sound = {"server.middleware": "def f():\n    from house.middleware import stack"}
    assert violations("house", house(tower | sound)) == []
    for source in ("cli.__init__", "asgi.scope", "workers.lifecycle", "config.kinds", "__init__"):
        found = violations("house", house(tower | {source: "import house.middleware.stack"}))
        assert any("imports house.middleware.stack" in sentence for sentence in found), source
    for target in ("asgi.scope", "config.settings", "server", "http1.head"):
        found = violations("house", house(tower | {"middleware.gzip": f"import house.{target}"}))
        assert any("house.middleware.gzip:2 imports" in sentence for sentence in found), target


def test_one_bridge_leads_from_tower_to_tower() -> None:
    towers = {"middleware.__init__": "", "testing.__init__": "", "testing.linting": ""}
    bridge = {"middleware.linting": "def f():\n    from house.testing.linting import lint"}
    assert violations("house", house(towers | bridge)) == []
    other = {"middleware.gzip": "def f():\n    from house.testing.linting import lint"}
    found = violations("house", house(towers | other))
    assert any("an arrow from floor 3 up to floor 10" in sentence for sentence in found)
