"""Live servers: what a call gives, what a request brings, what is said where none comes up."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import BareServeError
from bare_serve.testing.live import LiveServers, flags
from tests.support import Authority, children_of, eventually, is_alive

APPS = """
import json

def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    fields = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
                              ("Content-Type", "application/json")])
    return [json.dumps({"fields": fields, "body": body.decode("latin-1")}).encode()]

async def hello(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

async def never(scope, receive, send):
    import asyncio
    await asyncio.Event().wait()
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServers]:
    (tmp_path / "live_apps.py").write_text(APPS)
    (tmp_path / "live_breaks.py").write_text("raise LookupError('no database')\n")
    (tmp_path / "live_exits.py").write_text("import os\nprint('well', flush=True)\nos._exit(7)\n")
    before = children_of(os.getpid())
    servers = LiveServers(tmp_path)
    yield servers
    servers.close()
    assert children_of(os.getpid()) == before


def test_a_request_and_its_answer(live: LiveServers) -> None:
    server = live("live_apps:echo", threads=1, env={"GREETING": "hi"})
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.ws_url == f"ws://127.0.0.1:{server.port}"
    assert server.host == "127.0.0.1"
    answer = server.request("POST", "/path?q=1", headers=[("X-A", "1"), ("X-A", "2")], body="text")
    assert answer.status == 200
    assert answer.header("content-TYPE") == "application/json"
    assert answer.header("absent") is None
    assert [value for name, value in answer.headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    said = answer.json()
    assert said["body"] == "text"
    assert answer.text == answer.body.decode()
    assert said["fields"]["HTTP_X_A"] == "1,2"
    assert said["fields"]["QUERY_STRING"] == "q=1"
    assert server.request("PUT", headers={"X-B": "3"}).json()["fields"]["CONTENT_LENGTH"] == "0"
    eventually(lambda: "POST /path?q=1 HTTP/1.1 200" in server.log)


def test_the_same_call_gives_the_same_server(live: LiveServers) -> None:
    first = live("live_apps:hello", lifespan="off")
    assert live("live_apps:hello", lifespan="off") is first
    assert live("live_apps:hello", lifespan="auto") is not first
    assert [each.target for each in live] == ["live_apps:hello"] * 2
    first.stop()
    assert not first.is_running
    assert not is_alive(first.pid)
    assert "bare-serve" in first.log, "it can be read afterwards"
    second = live("live_apps:hello", lifespan="off")
    assert second is not first
    os.kill(second.pid, signal.SIGKILL)
    eventually(lambda: not second.is_running)
    assert live("live_apps:hello", lifespan="off").request("GET").status == 204


def test_other_addresses(live: LiveServers, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = live("live_apps:hello", bind=[f"unix:{path}"])
    assert (server.url, server.host, server.port) == (f"unix:{path}", "", 0)
    assert server.request("GET").status == 204
    cert, key = Authority(tmp_path).issue("live", "localhost")
    secure = live("live_apps:hello", host="::1", ssl_certfile=cert, ssl_keyfile=key)
    assert secure.url == f"https://[::1]:{secure.port}"
    assert secure.ws_url == f"wss://[::1]:{secure.port}"
    assert secure.host == "::1"
    assert secure.request("GET").status == 204


def test_logs_in_files_and_as_json(live: LiveServers, tmp_path: Path) -> None:
    server = live(
        "live_apps:hello", log_format="json", error_log=str(tmp_path / "errors"),
        access_log=str(tmp_path / "access"),
    )  # fmt: skip
    server.mark()
    assert server.request("GET", "/it").status == 204
    eventually(lambda: '"path":"/it"' in server.log)
    assert '"path":"/it"' in server.news
    assert '"address"' in server.log
    assert '"address"' not in server.news


def test_an_object_is_served_as_it_is_here(live: LiveServers) -> None:
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"hello"]

    server = live(app, root_path="/api")
    assert server.request("GET", "/x").body == b"hello"
    assert seen == ["/x"]
    assert server.pid == os.getpid()
    assert live(app, root_path="/api") is server
    server.stop()
    assert not server.is_running
    with pytest.raises(OSError, match="refused"):
        server.request("GET", "/x", timeout=1)
    assert live(app, root_path="/api").request("GET", "/y").status == 200
    with pytest.raises(BareServeError, match=r"Server\(workers=...\): it is for worker processes"):
        live(app, workers=2)
    with pytest.raises(BareServeError, match="shares this one's environment"):
        live(app, env={"A": "B"})


def test_a_request_that_fails_comes_with_the_log(live: LiveServers) -> None:
    server = live("live_apps:hello")
    server.stop()
    with pytest.raises(ConnectionRefusedError) as caught:
        server.request("GET")
    assert "The log of live_apps:hello:" in caught.value.__notes__[0]


BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no module": ("live_absent:app", {}, "There is no module 'live_absent'", ""),
    "no attribute": ("live_apps:app", {}, "live_apps", ""),
    "an import that fails": ("live_breaks:app", {}, "'live_breaks'", "LookupError: no database"),
    "an exit": ("live_exits:app", {}, "exited with code 7", "well"),
    "a wrong name": (
        "live_apps:echo",
        {"worker": 1},
        "there is no option --worker; did you mean --workers?",
        "",
    ),
    "a wrong value": ("live_apps:echo", {"threads": "x"}, "--threads", ""),
    "a switch": ("live_apps:echo", {"threads": True}, "--threads", ""),
    "never ready": ("live_apps:never", {"start_timeout": 1.5}, "not ready within 1.5 s", ""),
    "not ready in time": ("live_apps:never", {"timeout_boot": 0.5}, "before it was ready", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_come_up_says_why(live: LiveServers, case: str) -> None:
    target, settings, message, log = BAD[case]
    with pytest.raises(BareServeError, match=message) as caught:
        live(target, **settings)
    assert log in caught.value.__notes__[0]


def test_a_port_in_use_is_said(live: LiveServers) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(BareServeError, match="it is in use"),
    ):
        live("live_apps:echo", port=other.getsockname()[1])


FLAGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a number": ({"workers": 2}, ["--workers=2"]),
    "words": ({"log_level": "debug"}, ["--log-level=debug"]),
    "switches": ({"preload": True, "factory": False}, ["--preload", "--no-factory"]),
    "several": ({"bind": ["a:1", "b:2"]}, ["--bind=a:1", "--bind=b:2"]),
    "headers": ({"header": [("A", "b"), "C: d"]}, ["--header=A: b", "--header=C: d"]),
    "nothing": ({"pid": None}, []),
    "a path": ({"app_dir": Path("/x")}, ["--app-dir=/x"]),
    "an empty text": ({"root_path": ""}, ["--root-path="]),
}


@pytest.mark.parametrize("case", FLAGS)
def test_settings_as_flags(case: str) -> None:
    settings, expected = FLAGS[case]
    assert list(flags(settings)) == expected


def test_a_server_sees_the_modules_of_the_tests(
    live: LiveServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "live_elsewhere.py").write_text("from live_apps import hello\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    assert live("live_elsewhere:hello").request("GET").status == 204
    assert ssl, "and the standard library is where it was"
