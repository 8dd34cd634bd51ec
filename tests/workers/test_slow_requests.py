"""--log-slow: a request is told of once while it runs, and once when it ends; WSGI and ASGI."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bare_serve.workers.inflight import Running, flight_line
from bare_serve.workers.observers import answer_observer, slow_requests
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.slow_requests import SlowRequests
from tests.support import RawClient, serve
from tests.support.answers import Answer, request


def running(call: object, age: float, number: int = 0) -> Running:
    return Running(call, number, request(b"/a"), age, lambda: "shop.py:4 in view")


def test_nothing_is_there_where_it_is_off() -> None:
    assert slow_requests(ServeOptions()) is None
    assert answer_observer(ServeOptions(), None, None) is None
    made = slow_requests(ServeOptions(log_slow=1.0))
    assert isinstance(made, SlowRequests)
    assert answer_observer(ServeOptions(), None, made) == made.ended


def test_a_request_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    slow = SlowRequests(1.0, 2)
    for age in (0.9, 0.99, 1.5, 2.0):
        slow.look([running("a", age), running("b", 0.1)])
    assert caplog.messages == ["GET /a runs for 1.5 s in worker 2; it is at shop.py:4 in view."]
    slow.look([])
    assert not slow._seen, "what has ended is forgotten"


def test_a_request_is_named_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    head = request(b"/a", headers=[(b"x-request-id", b"asked-7")])
    slow = SlowRequests(1.0)
    for age in (0.5, 1.5):
        slow.look([Running("a", 0, head, age, str)])
    slow.ended("", head, Answer(200, 7, [b"X-Request-ID: made-8\r\n"]), 2.0)
    assert caplog.messages == [
        "GET /a (id asked-7) runs for 1.5 s.",
        "GET /a (id made-8) took 2 s: 200, 7 bytes.",
    ]
    assert flight_line(head, 1.0, "shop.py:4").endswith("\tGET /a (id asked-7)")


def test_the_age_of_the_request_before_is_not_taken_for_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thread takes a request before it notes the time."""
    slow = SlowRequests(1.0)
    slow.look([running("thread", 30.0, 1)])
    slow.look([running("thread", 0.2, 1)])
    slow.look([running("thread", 30.0, 2)])
    assert not caplog.messages
    slow.look([running("thread", 30.1, 2)])
    assert caplog.messages == ["GET /a runs for 30.1 s; it is at shop.py:4 in view."]


@pytest.mark.parametrize(
    ("status", "seconds", "note", "message"),
    [
        (200, 0.99, "", None),
        (200, 1.0, "", "GET /a took 1 s in worker 3: 200, 7 bytes."),
        (499, 12.34, "", "GET /a took 12.3 s in worker 3: its client left."),
        (1000, 60.0, "in 1/2 out 3/4", None),
    ],
)
def test_an_end_is_told_of_if_it_was_late(
    status: int, seconds: float, note: str, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    SlowRequests(1.0, 3).ended("", request(b"/a"), Answer(status, 7), seconds, note)
    assert caplog.messages == ([message] if message else [])


APPS = """
import asyncio, time
from pathlib import Path

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        while not Path("go").exists(): time.sleep(0.01)  # the line of WSGI
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def waits():
    while not Path("go").exists(): await asyncio.sleep(0.01)  # the line of ASGI

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        await waits()
    if scope["path"] == "/held":
        while not Path("go").exists(): time.sleep(0.01)  # the line that holds the loop
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""
LINES = {
    text.partition("  # ")[2]: number
    for number, text in enumerate(APPS.split("\n"), 1)
    if "  # " in text
}
SERVERS = [
    ("wsgi", (), [("/slow", "the line of WSGI", "wsgi")]),
    ("wsgi", ("--threads", "1"), [("/slow", "the line of WSGI", "wsgi")]),
    (
        "asgi",
        ("--warn-blocked", "off"),
        [("/slow", "the line of ASGI", "waits"), ("/held", "the line that holds the loop", "asgi")],
    ),
]


@pytest.mark.parametrize(("app", "options", "requests"), SERVERS)
def test_the_line_that_the_application_is_on(
    app: str, options: tuple[str, ...], requests: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "slow_app.py").write_text(APPS)
    args = (f"slow_app:{app}", "--log-slow", "200ms", *options)
    with serve(*args, cwd=tmp_path) as server, RawClient(server.address) as client:
        assert client.request("GET", "/quick").status == 200
        for path, text, function in requests:
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            log = server.wait_for_output(f"GET {path} runs for ")
            at = rf"slow_app\.py:{LINES[text]} in {function}\.\n"
            assert re.search(rf"GET {path} runs for \S+ s in worker 1; it is at {at}", log)
            (tmp_path / "go").touch()
            assert client.response().status == 200
            log = server.wait_for_output(f"GET {path} took ")
            assert re.search(rf"GET {path} took \S+ s in worker 1: 200, 2 bytes\.\n", log)
            assert log.count(f"GET {path} runs for ") == 1
            (tmp_path / "go").unlink()
    assert "Traceback" not in server.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_no_thread_and_no_module_where_it_is_off(tmp_path: Path) -> None:
    (tmp_path / "looks.py").write_text(
        "import sys, threading\n"
        "def app(environ, start_response):\n"
        "    found = 'bare_serve.workers.slow_requests' in sys.modules\n"
        "    names = [each.name for each in threading.enumerate()]\n"
        "    body = repr((found, 'bare-serve-slow' in names)).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(body)))])\n"
        "    return [body]\n"
    )
    with serve("looks:app", cwd=tmp_path) as server, RawClient(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().body == b"(False, False)"
