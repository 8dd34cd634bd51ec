"""What a start costs, counted in imports: each module that most starts do not need is put off."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import RawClient, clean_environment, eventually, serve

HEAVY = ("asyncio", "click", "ctypes", "difflib", "importlib.metadata", "platform", "ssl")
HEAVY += ("tempfile", "tomllib", "encodings.idna", "uvloop", "websockets", "wsproto")
HEAVY += ("bare_serve.logs.syslog", "bare_serve.server.trial", "bare_serve.config.env_file")

IMPORTED = """
import sys
before = {*sys.modules}
import %s
print(*{*sys.modules} - before)
"""


def imported(module: str) -> set[str]:
    """What importing a module of ours brings in."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED % module],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_command_imports_nothing_heavy() -> None:
    found = imported("bare_serve.cli.main")
    assert "bare_serve.supervision.supervisor" in found
    assert found.isdisjoint(HEAVY)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_worker_imports_nothing_of_websockets(kind: str) -> None:
    found = imported(f"bare_serve.workers.{kind}.worker")
    assert "bare_serve.http1.connection" in found
    assert not {name for name in found if name.startswith(("wsproto", "websockets", "h11"))}
    assert "bare_serve.websocket.session" not in found


SHARE_OF_MIDDLEWARE = """
import sys
from importlib import import_module
import bare_serve.config.kinds, bare_serve.config.options

before, count = {*sys.modules}, 0

def trace(frame, event, arg):
    global count
    count += event == "line"
    return trace

sys.settrace(trace)
import_module("bare_serve.config.middleware")
sys.settrace(None)
print(*{*sys.modules} - before)

from bare_serve.config.settings import Settings
from bare_serve.server.application import surrounded
from bare_serve.server.compose import check_middleware, middleware_row

loaded, settings = object(), Settings()
sys.settrace(trace)
check_middleware(settings)
middleware_row(settings)
assert surrounded(loaded, settings) is loaded
sys.settrace(None)
print(count)
"""


def test_a_start_without_middleware_costs_as_much_as_before_there_was_any() -> None:
    """At most 1 ms more, counted in lines that are run, since a busy machine tells no times.

    It is the import of one module, and of none beside it, and three questions whether there is any:
    750 lines, which take 0.5 ms of a core that others use too, reading the file included.
    """
    done = subprocess.run(
        [sys.executable, "-c", SHARE_OF_MIDDLEWARE],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    modules, count = done.stdout.splitlines()
    assert modules == "bare_serve.config.middleware"
    assert 100 < int(count) < 1500


APP = """
import sys
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b"there" if "bare_serve.asgi.websocket" in sys.modules else b"not yet"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def test_websockets_are_prepared_before_anybody_asks() -> None:
    """A newer version may be installed meanwhile, and old modules do not go with new ones."""
    with serve("app:app", source=APP) as server, RawClient(server.address, 30) as client:
        eventually(lambda: client.request().body == b"there", "imported a moment later", 30)


def test_what_was_imported_is_not_looked_at_by_the_collector() -> None:
    code = """
import gc, sys
from bare_serve.cli import main as cli
from bare_serve.__main__ import main
cli.main = lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000)
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True True\n"
