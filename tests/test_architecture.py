"""The house stands: imports only go down the floors, and the core does no I/O.

The reader itself is in `tests.support.imports`; the small made-up packages below prove that it
fails for each rule, so that a green run means something.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import arrows, read_package, violations


def test_the_house_stands(root: Path) -> None:
    sources = read_package(root / "bare_serve")
    assert len(arrows("bare_serve", sources)) > 10, "the reader sees the imports"
    assert violations("bare_serve", sources) == []


LAW = '"""Law."""\n'

BROKEN = {
    "up": (
        {"http1.__init__": "", "http1.head": "from house.asgi import scope"},
        "house.http1.head:2 imports house.asgi.scope: an arrow from floor 1 up to floor 2",
    ),
    "up, the module itself": (
        {"errors": "import house.workers.lifecycle"},
        "house.errors:2 imports house.workers.lifecycle: an arrow from floor 0 up to floor 3",
    ),
    "up, relative": (
        {"http1.head": "from ..asgi.scope import build"},
        "house.http1.head:2 imports house.asgi.scope: an arrow from floor 1 up to floor 2",
    ),
    "up, a sibling through the package": (
        {"http1.head": "from .. import server"},
        "house.http1.head:2 imports house.server: an arrow from floor 1 up to floor 5",
    ),
    "up, inside a function": (
        {"errors": "def f():\n    import house.server"},
        "house.errors:3 imports house.server: an arrow from floor 0 up to floor 5",
    ),
    "up, only for types": (
        {"clock": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import cli"},
        "house.clock:4 imports house.cli: an arrow from floor 0 up to floor 6",
    ),
    "up, by a literal name": (
        {"clock": "import importlib\nimportlib.import_module('house.cli')"},
        "house.clock:3 imports house.cli: an arrow from floor 0 up to floor 6",
    ),
    "up, by a name that begins literally": (
        {
            "clock": "from importlib import import_module\nimport_module(f'house.workers.{1}_w')",
            "workers.__init__": "",
        },
        "house.clock:3 imports house.workers.__init__: an arrow from floor 0 up to floor 3",
    ),
    "up, to the front door": (
        {"workers.lifecycle": "from house import run"},
        "house.workers.lifecycle:2 imports house.__init__: an arrow from floor 3 up to floor 6",
    ),
    "neighbours": (
        {"asgi.scope": "from house.wsgi.environ import build"},
        "house.asgi.scope:2 imports house.wsgi.environ: "
        "neighbours on floor 2 do not know each other",
    ),
    "neighbours, into a package": (
        {"sockets": "from house.app_target import load", "app_target.__init__": ""},
        "house.sockets:2 imports house.app_target.__init__: "
        "neighbours on floor 0 do not know each other",
    ),
    "settings": (
        {"workers.lifecycle": "from house.settings import Settings"},
        "house.workers.lifecycle:2 imports house.settings: "
        "settings stay above floor 5, take a slice of them",
    ),
    "strangers": (
        {"supervision.child": "from house.workers.asgi_worker import run"},
        "house.supervision.child:2 imports house.workers.asgi_worker: "
        "supervision does not know workers.asgi_worker",
    ),
    "no floor": ({"attic": ""}, "house.attic has no floor"),
    "no floor, a package": ({"cellar.wine": ""}, "house.cellar.wine has no floor"),
    "input and output in the core": (
        {"http1.head": "def f():\n    from asyncio import sleep"},
        "house.http1.head is sans-IO but house.http1.head:3 imports asyncio.sleep",
    ),
    "input and output through a friend": (
        {"websocket.session": "from house.clock import now", "clock": "import logging.handlers"},
        "house.websocket.session is sans-IO but house.clock:2 imports logging.handlers",
    ),
    "circle": (
        {"http1.head": "from .parser import feed", "http1.parser": "from .head import Head"},
        "house.http1.head imports itself in a circle",
    ),
    "circle, hidden in a function": (
        {"sockets": "def f():\n    import house.errors", "errors": "import house.sockets"},
        "house.sockets imports itself in a circle",
    ),
}


def house(extra: dict[str, str]) -> dict[str, str]:
    """A house in which each module opens with its law, and then holds what `extra` gives it."""
    names = ("__init__", "__main__", "cli", "server", "settings", "clock", "errors", "sockets")
    rooms = ("http1.head", "asgi.scope", "wsgi.environ", "workers.lifecycle", "supervision.child")
    names += (*rooms, "workers.asgi_worker")
    bodies = dict.fromkeys(names, "") | extra
    return {f"house.{name}": LAW + body for name, body in bodies.items()}


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_rule_is_found(case: str) -> None:
    extra, sentence = BROKEN[case]
    assert sentence in violations("house", house(extra))


def test_a_missing_law_is_found() -> None:
    sources = house({}) | {"house.clock": "# a comment is no docstring\nimport time\n"}
    assert violations("house", sources) == ["house.clock does not open with a docstring"]


def test_arrows_that_go_down_are_fine() -> None:
    sound = {
        "__main__": "from house.cli import main",
        "cli": "from house.server import run",
        "server": "from house import __version__\nfrom house.settings import Settings",
        "__init__": "def run():\n    from house.server import run",
        "supervision.child": "from house.workers.lifecycle import Slot",
        "workers.asgi_worker": "import asyncio\nfrom house.asgi import scope",
        "workers.lifecycle": "from .. import errors, sockets",
        "http1.head": "import re\nfrom ..errors import RequestError\nfrom .parser import feed",
        "http1.parser": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from .head import Head",
        "app_target.load": "from house.errors import AppLoadError",
        "sockets": "import socket\nfrom house.errors import UsageError\n"
        "from house import __version__",
    }
    assert violations("house", house(sound)) == []
