"""What access lines say: gunicorn's atoms, names, JSON, what is left out; and reopening a file."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import UsageError
from bare_serve.logs.access_atoms import template_format
from bare_serve.logs.access_format import Format, Record, json_format, text_format
from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.sinks import FileSink
from tests.support import RawClient, eventually, serve
from tests.support.answers import Answer, request

NOON = 1_700_000_000.0
FIELDS = [
    (b"host", b"a.b"),
    (b"user-agent", b'curl "7"\x1b'),
    (b"referer", b"http://x/?token=1"),
    (b"authorization", b"Basic bWU6c2VjcmV0"),
    (b"x-request-id", b"id-1"),
    (b"accept", b"a"),
    (b"accept", b"b"),
]
LINES = (b"Content-Type: text/plain\r\n", b"X-Two: 1\r\n", b"x-two: 2\r\n")
ASKED = request(b"/a b?q=1&token=s%20x", headers=FIELDS)
RECORD = Record("1.2.3.4", ASKED, Answer(200, 13, LINES), 1.25)
EMPTY = Record("", request(version="1.0"), Answer(404), 0.0)

ATOMS = [
    ("%(h)s %(l)s %(u)s", "1.2.3.4 - me", "- - -"),
    ("%(r)s", "GET /a b?q=1&token=s%20x HTTP/1.1", "GET / HTTP/1.0"),
    ("%(m)s %(U)s %(q)s %(H)s", "GET /a b q=1&token=s%20x HTTP/1.1", "GET /  HTTP/1.0"),
    ("%(s)s %(b)s %(B)s", "200 13 13", "404 0 0"),
    ("%(T)s %(M)s %(D)s %(L)s", "1 1250 1250000 1.250000", "0 0 0 0.000000"),
    ("%(p)s", "<PID>", "<PID>"),
    ("%(f)s|%(a)s", r"http://x/?token=1|curl \"7\"\x1b", "-|-"),
    ("%({Accept}i)s %({nothing}i)s", "a,b -", "- -"),
    ("%({content-type}o)s %({X-Two}o)s", "text/plain 1,2", "- -"),
    ("%({REMOTE_ADDR}e)s %({HTTP_HOST}e)s %({SHELL}e)s", "1.2.3.4 a.b -", "- - -"),
    ("%(client)s %(status)s %(milliseconds)s", "1.2.3.4 200 1250.00", "- 404 0.00"),
    ("%(request_id)s %(host)s %(worker)s", "id-1 a.b PID", "- - PID"),
    ("100%% %(s)5d|%(m)-5s|", "100%   200|GET  |", "100%   404|GET  |"),
]


def render(made: Format, records: Iterable[Record], now: float) -> str:
    """The lines of several records of one time, as the log writes them."""
    stamp = made.stamp(now)
    return "".join([made.line(stamp, *record) for record in records])


@pytest.mark.parametrize(("template", "full", "empty"), ATOMS)
def test_atoms(template: str, full: str, empty: str) -> None:
    made = template_format(template)
    wanted = f"{full}\n{empty}\n".replace("PID", str(os.getpid()))
    assert render(made, [RECORD, EMPTY], NOON) == wanted


def test_the_times_are_local_as_gunicorn_has_them_and_utc_by_name() -> None:
    line = render(template_format("%(t)s %(time)s"), [RECORD], NOON)
    assert re.fullmatch(r"\[1[45]/Nov/2023:\d\d:\d\d:20 [+-]\d{4}\] 2023-11-14T22:13:20Z\n", line)


BAD = [
    ("%(nope)s", "%(nope)s is not known; the atoms are h, l"),
    ("%(h)s %", "write %% for a percent sign"),
    ("%(h", "write %% for a percent sign"),
    ("%(r)d", "the format cannot be filled in"),
]


@pytest.mark.parametrize(("template", "message"), BAD)
def test_a_format_that_cannot_work_is_refused(template: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        template_format(template)


def test_values_of_chosen_parameters_are_left_out_everywhere() -> None:
    hide = ["token", "Key"]
    target = b"/a?token=s&KEY=t&%74oken=u&x=v&token"
    record = Record("::1", request(target, headers=FIELDS), Answer(), 0.0)
    shown = "/a?token=[redacted]&KEY=[redacted]&%74oken=[redacted]&x=v&token"
    assert f" GET {shown} HTTP/1.1 " in render(text_format(redact=hide), [record], NOON)
    line = render(template_format("%(r)s %(q)s %(f)s", hide), [record], NOON)
    assert line.startswith(f"GET {shown} HTTP/1.1 ")
    assert line.endswith("http://x/?token=[redacted]\n")
    assert json.loads(render(json_format(hide), [record], NOON))["query"] == shown[3:]
    referred = request(headers=[(b"referer", b"/?token=s")])
    record = Record("::1", referred, Answer(302, 0, (b"Location: /?key=s&a=b\r\n",)), 0.0)
    fields = template_format("%({Referer}i)s %({HTTP_REFERER}e)s %({location}o)s", hide)
    hidden = "/?token=[redacted] /?token=[redacted] /?key=[redacted]&a=b\n"
    assert render(fields, [record], NOON) == hidden


def test_json_has_the_documented_keys() -> None:
    lines = render(json_format(), [RECORD, EMPTY._replace(note="a note")], NOON).splitlines()
    assert json.loads(lines[0]) == {
        "time": "2023-11-14T22:13:20Z",
        "level": "info",
        "logger": "bare_serve.access",
        "worker": os.getpid(),
        "client": "1.2.3.4",
        "method": "GET",
        "path": "/a b",
        "query": "q=1&token=s%20x",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 13,
        "duration": 1.25,
        "request_id": "id-1",
    }
    second: dict[str, Any] = json.loads(lines[1])
    assert (second["client"], second["request_id"], second["note"]) == (None, None, "a note")


def test_a_file_that_was_moved_is_opened_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(FileSink.at(str(path)))
    try:
        log.record("::1", request(b"/one"), Answer(), 0.0)
        path.rename(tmp_path / "access.log.1")
        log.reopen()
        log.record("::1", request(b"/two"), Answer(), 0.0)
        log.flush()
        assert "/one" in (tmp_path / "access.log.1").read_text()
        assert "/two" in path.read_text()
        assert "/one" not in path.read_text()
        path.rename(tmp_path / "access.log.2")
        path.mkdir()
        log.reopen()
        assert "Cannot reopen the access log" in caplog.text
        log.record("::1", request(b"/three"), Answer(), 0.0)
        log.flush()
        assert "/three" in (tmp_path / "access.log.2").read_text(), "nothing is lost"
    finally:
        log.close()


APP = """
def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("me")
    start_response("200 OK", [("Content-Length", "2"), ("X-Mine", "yes")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["path"] == "/fail":
        raise ValueError("me")
    headers = [(b"content-length", b"2"), (b"x-mine", b"yes")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_format_of_ones_own_in_a_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    form = "%(m)s %(U)s %(s)s %({User-Agent}i)s %({x-mine}o)s"
    options = ("--access-log", str(path), "--access-log-format", form, "--lifespan", "auto")
    with serve(f"app:{kind}", *options[: 4 if kind == "wsgi" else 6], source=APP) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/x", "User-Agent: me")
        eventually(lambda: path.exists() and path.read_text(), "the line")
        assert path.read_text() == "GET /x 200 me yes\n"
        assert server.stop() == 0
        assert server.stdout == ""


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_json_for_requests_and_messages(kind: str) -> None:
    with serve(f"app:{kind}", "--log-format", "json", source=APP) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/fail?a=1", "X-Request-ID: r1")
        server.wait_for_output('"request_id"')
        server.wait_for_output("Traceback")
        assert server.stop() == 0
        stdout, stderr = server.stdout, server.stderr
    access = json.loads(stdout.splitlines()[0])
    assert (access["path"], access["status"], access["request_id"]) == ("/fail", 500, "r1")
    messages = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    failure = next(entry for entry in messages if "exception" in entry)
    assert failure["level"] == "error"
    assert failure["exception"]["type"] == "ValueError"
    assert failure["exception"]["message"] == "me"
    assert "Traceback" in failure["exception"]["traceback"]


def test_a_log_that_cannot_be_opened_is_one_message(tmp_path: Path) -> None:
    with serve("--demo", "--access-log", str(tmp_path), ready=False) as server:
        assert server.wait() == 2
        assert "--access-log: cannot write to" in server.stderr


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_client_without_an_address_is_null(kind: str) -> None:
    options = ("-b", "unix:s", "--log-format", "json")
    with (
        tempfile.TemporaryDirectory() as folder,  # the path of a socket has to be short
        serve(f"app:{kind}", *options, source=APP, cwd=Path(folder), ready=False) as server,
    ):
        server.wait_for_output("serves")
        path = f"{folder}/s"
        with RawClient(path) as client:
            client.request()
        line = server.wait_for_output('"status"')
        assert server.stop() == 0
    assert json.loads(line.splitlines()[0])["client"] is None


FILES = """
import os
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](open("file", "rb"))

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": os.path.abspath("file")})
"""


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_of_a_file_that_only_begins_to_leave_no_more_is_counted(kind: str, tmp_path: Path) -> None:
    size = 256 << 20
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)
    (tmp_path / "app.py").write_text(FILES)
    with serve(f"app:{kind}", cwd=tmp_path) as server:
        with socket.create_connection(server.address, 10) as client:
            client.sendall(b"GET /file HTTP/1.1\r\nHost: test\r\n\r\n")
            wanted = 1 << 20
            while wanted > 0:
                received = len(client.recv(wanted))
                assert received
                wanted -= received
            # Closed by a reset: nothing that the kernel holds is sent any more.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.wait_for_output("GET /file HTTP/1.1 200 ")
        line = re.search(r"GET /file HTTP/1.1 200 (\d+) ", server.stdout)
        assert line is not None
        assert 1 << 19 < int(line[1]) < size // 2
        assert server.stop() == 0
