"""A WSGI application starts before its worker is ready, and ends after its last request."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bare_serve.app import LoadedApp
from bare_serve.errors import AppLoadError
from bare_serve.server.wsgi_life import WsgiLife
from tests.support import run_cli, serve

SOURCE = """
import contextlib, pathlib

LOG = pathlib.Path(__file__).with_name("log")

def app(environ, start_response):
    note("request")
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]

def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")

@contextlib.contextmanager
def life():
    note("start")
    yield
    note("end")

app.bare_lifespan = life
"""
FRAMEWORK = """
import pathlib, time
from bare_serve.bare import Bare

LOG = pathlib.Path(__file__).with_name("log")

def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")

bare = Bare()
bare.on_startup(lambda: note("start"))
bare.on_shutdown(lambda: note("end"))

def later():
    time.sleep(0.2)
    note("job")

@bare.get("/")
def page(request):
    note("request")
    request.background(later)
    return ""

app = bare.wsgi
"""


@pytest.mark.parametrize("source", [SOURCE, FRAMEWORK], ids=["function", "framework"])
def test_a_worker_starts_and_ends_it(tmp_path: Path, source: str) -> None:
    options = ("--workers", "1", "--middleware", "request-id")
    (tmp_path / "life.py").write_text(source)
    with serve("life:app", *options, cwd=tmp_path) as server:
        log = tmp_path / "log"
        assert log.read_text().split() == ["start"], "before it is ready"
        assert httpx.get(server.url, timeout=20).status_code == 200
        assert server.stop() == 0
    told = log.read_text().split()
    assert told == ["start", "request", *(["job"] if source == FRAMEWORK else []), "end"]


def test_a_start_that_fails(tmp_path: Path) -> None:
    source = SOURCE.replace('note("start")', 'raise RuntimeError("no database")')
    (tmp_path / "life.py").write_text(source)
    ended = run_cli("life:app", "--bind", "127.0.0.1:0", cwd=tmp_path)
    assert ended.returncode == 3
    assert (
        "error: the application raised RuntimeError in its startup, see its traceback"
        in ended.stderr
    )
    assert "RuntimeError: no database" in ended.stderr


def test_an_application_without_one() -> None:
    WsgiLife(LoadedApp(lambda environ, start_response: [], "wsgi", "x:app", "")).end()
    app = type("App", (), {"__call__": print, "bare_lifespan": lambda self: None})()
    with pytest.raises(AppLoadError, match="in its startup"):
        WsgiLife(LoadedApp(app, "wsgi", "x:app", ""))
