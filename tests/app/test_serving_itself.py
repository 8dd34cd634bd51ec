"""A module that starts a server of its own at import is told so, with the line."""

from __future__ import annotations

import socket
import socketserver
import sys
from pathlib import Path

import pytest

from bare_serve.app import load
from bare_serve.errors import AppLoadError

FRAMEWORK = """
import socket

def run(name=""):
    serve_one()

def start_http_server(port=0):
    serve_one()

def serve_one():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
"""
APP = "def app(environ, start_response): ...\n"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an installed library with a server."""
    name = f"framework_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / f"{name}.py").write_text(FRAMEWORK)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return name


def loaded(tmp_path: Path, text: str) -> object:
    path = tmp_path / f"serves_{tmp_path.name}.py"
    path.write_text(APP + text)
    return load(f"{path}:app", app_dir=tmp_path, on_path=False)


@pytest.mark.parametrize("text", ["run()", "def main():\n    run()\nmain()"])
def test_is_refused_with_its_line(tmp_path: Path, library: str, text: str) -> None:
    with pytest.raises(AppLoadError) as caught:
        loaded(tmp_path, f"from {library} import run\n{text}\n")
    said = str(caught.value)
    line = 3 if text == "run()" else 4
    assert f"serves_{tmp_path.name}.py, line {line}, calls {library}'s run(), which " in said
    assert said.endswith('if __name__ == "__main__"')
    assert caught.value.details == ""
    assert "bind" not in vars(socket.socket), "the class is as it was"


OF_PYTHON = [
    "from wsgiref.simple_server import make_server as make\n"
    "with make('', 0, app) as s: s.serve_forever()",
    "from http import server as h\n"
    "with h.HTTPServer(('', 0), h.BaseHTTPRequestHandler) as s: s.serve_forever()",
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", OF_PYTHON)
def test_so_is_a_server_of_python_s_own(tmp_path: Path, text: str) -> None:
    before = socketserver.BaseServer.serve_forever
    with pytest.raises(AppLoadError) as caught:
        loaded(tmp_path, text)
    assert f"serves_{tmp_path.name}.py, line 3, calls serve_forever(), which" in str(caught.value)
    assert socketserver.BaseServer.serve_forever is before


IN_A_THREAD = """
import threading
from wsgiref.simple_server import make_server
server = make_server("127.0.0.1", 0, app)
thread = threading.Thread(target=server.serve_forever)
thread.start()
server.shutdown()
thread.join()
server.server_close()
"""

HARMLESS = [
    IN_A_THREAD,
    "from {} import start_http_server\nstart_http_server()",
    "import threading, {0}\nt = threading.Thread(target={0}.run)\nt.start()\nt.join()",
    "import socket\nwith socket.socket() as s: s.bind(('127.0.0.1', 0))",
    "from {} import run\nif __name__ == '__main__': run()",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_sockets_are_the_applications_business(
    tmp_path: Path, library: str, text: str
) -> None:
    assert loaded(tmp_path, text.format(library) if "{" in text else text)
