"""`bare-serve xray` on servers that run: what it shows, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bare_serve.cli.verbs import command
from bare_serve.counts.xray_order import LONGEST_RECORD
from bare_serve.workers import xray_attached
from bare_serve.xray.trace import Block, Step
from tests.support import (
    Authority,
    RawClient,
    Server,
    clean_environment,
    eventually,
    run_cli,
    serve,
)
from tests.support.processes import COMMAND

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")

APP = """
import asyncio, json, sys, time
def seen(call, http):
    modules = [name for name in [*sys.modules] if "xray" in name or "traced" in name]
    return json.dumps([type(call).__name__, type(http).__name__, len(modules)]).encode()
def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        raise ValueError("hunter2")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "sid=hunter2")])
    http = environ["bare_serve.client_disconnected"].__self__.http
    if environ["PATH_INFO"] == "/wait":
        return slow()
    return [seen(environ["wsgi.early_hints"], http)]
def slow():
    yield b"begun"
    time.sleep(2.0)
    yield b"over"
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            text = type(receive.__self__).__name__ + message["text"]
            await send({"type": "websocket.send", "text": text})
        return
    if scope["path"] == "/boom":
        raise ValueError("hunter2")
    headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"sid=hunter2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/wait":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.sleep(2.0)
    body = seen(receive.__self__, receive.__self__.core)
    await send({"type": "http.response.body", "body": body})
"""
PLAIN = ["Exchange", "ServerConnection"]
TRACED = ["TracedExchange", "TracedConnection"]
SECRETS = b"Cookie: sid=hunter2\r\nX-Own: hunter2\r\nUser-Agent: me\r\n"
HURRY = ("--timeout-graceful-shutdown", "0.2", "--access-log", "off")


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with two workers, for tests that leave it as it was."""
    with serve(f"app:{request.param}", "--workers", "2", *HURRY, source=APP) as server:
        yield server


def ask(client: RawClient, target: str = "/?token=hunter2&hunter2") -> Any:
    client.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n".encode() + SECRETS + b"\r\n")
    return json.loads(client.response().body)


@contextmanager
def attached(server: Server, *words: str, pid: int = 0) -> Iterator[subprocess.Popen[str]]:
    """The command, for as long as the block runs."""
    command = [*COMMAND, "xray", "--json", *words, str(pid or server.pid)]
    env = clean_environment()
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_traced(client: RawClient, target: str = "/not") -> int:
    """Ask until the connection is a traced one; return how many requests that took."""
    return asked_until(client, "TracedConnection", target)


def asked_until(client: RawClient, kind: str, target: str = "/not") -> int:
    count = 0

    def is_so() -> bool:
        nonlocal count
        count += 1
        return bool(ask(client, target)[1] == kind)

    eventually(is_so, kind)
    return count


def blocks(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Wait for the end of the command; return its blocks, and the counts behind them."""
    out, errors = process.communicate(timeout=60)
    *found, last = [json.loads(line) for line in out.splitlines()] or [{"summary": errors}]
    assert "hunter2" not in out
    return found, last["summary"]


def test_open_connections_are_shown_and_are_plain_afterwards(running: Server) -> None:
    with RawClient(running.address) as first, RawClient(running.address) as second:
        assert [ask(first)[:2], ask(second)[:2]] == [PLAIN, PLAIN]
        with attached(running, "--requests", "3", "--filter", "GET /shown*") as process:
            for client in (first, second):
                until_traced(client)
            assert ask(first, "/shown?token=hunter2&hunter2")[:2] == TRACED
            assert ask(second, "/shown")[:2] == TRACED
            with RawClient(running.address) as third:  # new: which worker takes it is open
                until_traced(third)
                assert ask(third, "/shown")[:2] == TRACED
                found, counts = blocks(process)
                assert process.returncode == 0
                asked_until(third, "ServerConnection")
        for client in (first, second):
            assert ask(client)[:2] == PLAIN
    titles = [block["title"].split()[1:] for block in found]
    hidden = ["/shown?token=<7", "characters", "hidden>&<7", "characters", "hidden>"]
    assert sorted(titles) == [["GET", "/shown"], ["GET", "/shown"], ["GET", *hidden]]
    assert counts == {"shown": 3, "too_many": 0, "lost": 0}
    text = json.dumps(found)
    assert "User-Agent: me" in text
    assert "et-cookie: <11 characters hidden>".lower() in text.lower()
    assert {block["worker"] for block in found} <= {1, 2}


def test_a_request_under_way_at_the_end_leaves_nothing_behind(running: Server) -> None:
    with RawClient(running.address) as client, RawClient(running.address) as other:
        with attached(running, "--requests", "9", "--filter", "/wait") as process:
            until_traced(client)
            client.send(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"Server-Timing" not in client.read_until(b"begun")  # clients see nothing of it
            process.send_signal(signal.SIGINT)
            process.wait(30)
            assert process.returncode == 130
        client.read_until(b"0\r\n\r\n")
        assert ask(client)[:2] == PLAIN
        assert ask(other)[:2] == PLAIN


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_request_that_two_orders_meet_keeps_its_connection_from_neither(kind: str) -> None:
    with (
        serve(f"app:{kind}", *HURRY, source=APP) as server,
        RawClient(server.address) as client,
        RawClient(server.address) as other,
    ):
        with attached(server, "--requests", "9") as process:
            until_traced(client)
            client.send(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
            client.read_until(b"begun")
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        asked_until(other, "ServerConnection")
        with attached(server, "--requests", "1", "--filter", "/shown") as process:
            until_traced(other)
            client.read_until(b"0\r\n\r\n")
            assert ask(client, "/shown")[:2] == TRACED
            [block], _ = blocks(process)
        asked_until(client, "ServerConnection")
    assert block["complete"]


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_requests_that_do_not_end_leave_room_for_others(kind: str) -> None:
    with (
        serve(f"app:{kind}", *HURRY, source=APP) as server,
        RawClient(server.address) as slow,
        RawClient(server.address) as client,
        attached(server, "--requests", "1", "--filter", "/[sw]*") as process,
    ):
        until_traced(client)
        until_traced(slow)
        slow.send(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        slow.read_until(b"begun")
        ask(client, "/shown")
        found, counts = blocks(process)
    assert counts == {"shown": 1, "too_many": 0, "lost": 0}
    assert [each["title"].split()[2] for each in found if each["complete"]] == ["/shown"]


def test_no_client_is_left_out_for_the_length_of_what_it_sends(running: Server) -> None:
    agents = b"".join(b"User-Agent: %s\r\n" % (b"\\" * 6000) for _ in range(9))
    with RawClient(running.address) as client:
        with attached(running, "--requests", "3", "--full", "--filter", "/shown") as process:
            until_traced(client)
            for _ in range(3):  # at once
                client.send(b"GET /shown HTTP/1.1\r\nHost: test\r\n" + agents + b"\r\n")
            for _ in range(3):
                client.response()
            found, counts = blocks(process)
        asked_until(client, "ServerConnection")
    assert counts == {"shown": 3, "too_many": 0, "lost": 0}
    assert "characters more" in json.dumps(found)


def test_a_record_fits_whatever_its_texts_are() -> None:
    steps = [Step(0.0, "->", "name", "\\" * 9000)] * 120
    block = Block("\\" * 9000, ("1 ms",), steps, ("layer" * 20,) * 9000, True)
    record = json.loads(data := xray_attached._fitting(block))
    assert len(data) <= LONGEST_RECORD
    assert len(record[2]) == 120
    whole = Block("title", ("1 ms",), steps[:1], ("layer",), True)
    assert xray_attached._fitting(whole) == json.dumps(whole).encode()


@pytest.mark.parametrize(
    "signum", [pytest.param(signal.SIGSTOP, marks=pytest.mark.long), signal.SIGKILL]
)
def test_who_looks_and_stops_to_read_costs_nothing(running: Server, signum: int) -> None:
    with RawClient(running.address) as client:
        with attached(running, "--requests", "1000") as process:
            until_traced(client)
            process.send_signal(signum)
            asked_until(client, "ServerConnection")  # within three seconds, by itself
        assert "Traceback" not in running.stderr


def test_an_exception_is_shown_without_its_message(running: Server) -> None:
    asked = ("--requests", "1", "--filter", "/boom")
    with RawClient(running.address) as client, attached(running, *asked) as process:

        def over() -> bool:  # the first ones may be told to a command before, whose time runs out
            client.send(b"GET /boom HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.response().status == 500
            return process.poll() is not None

        eventually(over, "a request that the command has shown", 30)
        [block], _ = blocks(process)
    raised = [step["text"] for step in block["steps"] if step["name"] == "raised"]
    assert raised[0].startswith("ValueError\nat ")


@pytest.mark.long
def test_a_worker_that_is_new_is_shown_too(running: Server) -> None:
    with attached(running, "--requests", "1", "--filter", "/shown") as process:
        with RawClient(running.address) as client:
            until_traced(client)
        assert run_cli("reload", str(running.pid)).returncode == 0
        with RawClient(running.address) as client:
            until_traced(client)
            ask(client, "/shown")
        [block], _ = blocks(process)
    assert block["complete"]


@pytest.mark.long
def test_a_time_without_any_worker_is_waited_for() -> None:
    source = "import os, time\nwhile os.path.exists('wait'):\n    time.sleep(0.01)\n" + APP
    with serve("app:wsgi", "--workers", "1", *HURRY, source=source) as server:
        mark = Path(f"/proc/{server.pid}/cwd/wait").resolve()

        def worker() -> Any:
            told = json.loads(run_cli("status", "--json", str(server.pid)).stdout)
            return next(iter(told["servers"][0]["workers"]), None)

        with attached(server, "--requests", "1", "--filter", "/shown") as process:
            with RawClient(server.address) as client:
                until_traced(client)
            mark.touch()
            os.kill(worker()["pid"], signal.SIGKILL)

            def is_waited_for() -> bool:
                now = worker()
                return bool(now and now["state"] == "starting" and now["age"] > 4.5)

            eventually(is_waited_for, "a worker that takes its time")
            mark.unlink()
            with RawClient(server.address) as client:
                until_traced(client)
                ask(client, "/shown")
            [block], _ = blocks(process)
    assert block["complete"]


def test_the_first_record_comes_soon(running: Server) -> None:
    """Under load, from the start of the command on; on a busy machine, where all takes longer, in
    comparison with the start of a command that finds no server."""
    over = threading.Event()

    def load() -> None:
        with RawClient(running.address) as client:
            while not over.is_set():
                ask(client)

    clients = [threading.Thread(target=load) for _ in range(3)]
    for each in clients:
        each.start()
    try:
        took, start = [], []
        for _ in range(3):
            began = time.monotonic()
            with attached(running, "--requests", "1") as process:
                assert process.stdout is not None
                assert "steps" in json.loads(process.stdout.readline())
                took.append(time.monotonic() - began)
                process.wait(60)
            began = time.monotonic()
            run_cli("xray", "999999999")
            start.append(time.monotonic() - began)
    finally:
        over.set()
        for each in clients:
            each.join()
    assert min(took) < max(1.5, 4 * min(start)), (took, start)


@pytest.mark.parametrize("closed", [False, True])
def test_an_output_that_takes_nothing_is_one_sentence(running: Server, closed: bool) -> None:
    words = (*COMMAND, "xray", "--requests", "1", "--filter", "/shown", str(running.pid))
    with open("/dev/full", "wb") as full, RawClient(running.address) as client:
        shell = ("sh", "-c", 'exec "$@" >&- 2>&-', "sh")
        command = (*shell, *words) if closed else words
        process = subprocess.Popen(command, stdout=full, stderr=-1, env=clean_environment())
        try:
            eventually(lambda: ask(client, "/shown") and process.poll() is not None, "its end", 30)
        finally:
            process.kill()
            _, errors = process.communicate()
        eventually(lambda: ask(client)[:2] == PLAIN, "connections as before")
    if closed:
        assert process.returncode == 0
    else:
        said = b"bare-serve: error: the output takes nothing: No space left on device.\n"
        assert (process.returncode, errors) == (1, said)


def test_a_locale_without_the_characters_of_a_name_ends_nothing() -> None:
    source = APP.replace("def wsgi(", "def na\u00efve(")
    with serve("app:na\u00efve", *HURRY, source=source) as server:
        words = (*COMMAND, "xray", "--requests", "1", "--filter", "/shown", str(server.pid))
        env = {**clean_environment(), "PYTHONIOENCODING": "ascii"}
        with RawClient(server.address) as client:
            process = subprocess.Popen(words, stdout=-1, stderr=-1, env=env)
            eventually(lambda: ask(client, "/shown") and process.poll() is not None, "its end", 30)
        out, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert b"na\\xefve" in out


def test_a_filter_that_nothing_meets_ends_by_the_time(running: Server) -> None:
    found = run_cli("xray", "--seconds", "0.3", "--filter", "/none", str(running.pid))
    assert (found.returncode, found.stdout) == (1, "")
    assert "No request that was asked for came to its end within 0.3 s." in found.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--requests", "0"), 2, "--requests: from 1 to 1000."),
        (("--seconds", "0"), 2, "--seconds: from 0.1 to 86400."),
        (("--seconds", "nan"), 2, "--seconds: from 0.1 to 86400."),
        (("--filter", "orders"), 2, "--filter: 'orders' is not a path with * and ?"),
        (("--filter", "/" + "x" * 700), 2, "--filter: it is too long."),
        (("--worker", "7"), 1, "there is no worker 7 that serves."),
        (("--colour",), 2, "unrecognized arguments: --colour"),
        (("4711x",), 2, "unrecognized arguments"),
    ],
)
def test_bad_usage_is_one_sentence(
    running: Server,
    words: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (str(running.pid), *words) if "4711x" in words else (*words, str(running.pid))
    assert command.run(["xray", *words]) == code
    text = capsys.readouterr().err
    assert said in text
    assert "Traceback" not in text


@pytest.mark.parametrize("kind", ["wsgi", pytest.param("asgi", marks=pytest.mark.long)])
def test_without_a_master_it_works_as_well(kind: str) -> None:
    alone = serve(f"app:{kind}", "--workers", "0", *HURRY, source=APP)
    with alone as server, RawClient(server.address) as client:
        assert ask(client)[2] == 0  # no module of it is there
        with attached(server, "--requests", "1", "--filter", "/shown") as process:
            until_traced(client)
            ask(client, "/shown")
            [block], _ = blocks(process)
        asked_until(client, "ServerConnection")
    assert block["pid"] == server.pid


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_files_that_need_no_call_are_shown(kind: str, tmp_path: Path) -> None:
    """Such connections and calls are of other classes, which give way as well."""
    (tmp_path / "a.css").write_text("a {}")
    options = ("--workers", "0", "--static", f"/assets={tmp_path}", *HURRY)
    with (
        serve(f"app:{kind}", *options, source=APP) as server,
        RawClient(server.address) as client,
    ):

        def is_settled() -> bool:
            response = client.request(target="/assets/a.css")
            return not (response.header("etag") or "W/").startswith("W/")

        eventually(is_settled)
        first = client.request(target="/assets/a.css")
        with attached(server, "--requests", "2", "--filter", "/assets/*") as process:
            until_traced(client)
            for _ in range(2):
                assert client.request(target="/assets/a.css").body == b"a {}"
            found, _ = blocks(process)
        asked_until(client, "ServerConnection")
        again = client.request(target="/assets/a.css")
        assert (again.body, again.header("etag")) == (first.body, first.header("etag"))
        with RawClient(server.address) as new:
            assert new.request(target="/assets/a.css").body == b"a {}"
    assert [block["title"].split()[1:] for block in found] == [["GET", "/assets/a.css"]] * 2


def test_a_server_that_shows_its_requests_already_says_so() -> None:
    with serve("app:wsgi", "--xray", *HURRY, source=APP) as server:
        found = run_cli("xray", str(server.pid))
    assert found.returncode == 1
    assert "the server shows its requests already (--xray or --demo)" in found.stderr


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_server_with_error_pages_is_attached_to_as_well(kind: str) -> None:
    boom = b"GET /boom HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"

    def page(client: RawClient) -> str:
        client.send(boom)
        answer = client.response()
        assert (answer.status, answer.header_list("Server-Timing")) == (500, [])
        return answer.body.decode()

    with (
        serve(f"app:{kind}", "--reload", *HURRY, source=APP) as server,
        RawClient(server.address) as client,
    ):
        assert "bytes in" in page(client)
        words = ("--requests", "3", "--filter", "GET /shown*", "--layers")
        with attached(server, *words) as process:
            eventually(lambda: ask(client, "/shown") and process.poll() is not None, "its end")
            found, counts = blocks(process)
        assert (process.returncode, counts["shown"]) == (0, 3)
        text = json.dumps(found)
        assert "Cookie: <11 characters hidden>" in text
        assert "User-Agent: me" in text
        assert all(block["complete"] for block in found)
        if sys.version_info >= (3, 12):
            assert all(block["layers"] for block in found)
        eventually(lambda: "bytes in" in page(client), "pages as before")
        with attached(server, "--requests", "1") as process:  # another time
            eventually(lambda: page(client) and process.poll() is not None, "its end")
            assert [block["title"].split()[-1] for block in blocks(process)[0]] == ["/boom"]


@pytest.mark.parametrize("kind", [pytest.param("wsgi", marks=pytest.mark.long), "asgi"])
def test_connections_over_tls(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.issue("server")
    pair = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key))
    with (
        serve(f"app:{kind}", *pair, *HURRY, source=APP) as server,
        RawClient(server.address) as client,
        RawClient(server.address) as late,
    ):
        client.speak_tls(authority.client())
        assert ask(client)[:2] == PLAIN
        with attached(server, "--requests", "2", "--filter", "/shown") as process:
            until_traced(client)
            late.speak_tls(authority.client())  # it was accepted before
            assert ask(client, "/shown")[:2] == TRACED
            assert ask(late, "/shown")[:2] == TRACED
            found, _ = blocks(process)
        asked_until(client, "ServerConnection")
    assert len(found) == 2


def test_a_websocket_is_shown_message_by_message() -> None:
    handshake = (
        b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    text, close = b"\x81\x87\0\0\0\0hunter2", b"\x88\x82\0\0\0\0\x03\xe8"
    with serve("app:asgi", *HURRY, source=APP) as server, RawClient(server.address) as client:
        with attached(server, "--requests", "1", "--filter", "/ws") as process:
            until_traced(client)
            client.send(handshake)
            client.read_until(b"\r\n\r\n")
            client.send(text)
            assert b"TracedWebSockethunter2" in client.read_until(b"hunter2")
            client.send(close)
            [block], _ = blocks(process)
        with RawClient(server.address) as again:
            asked_until(again, "ServerConnection")
            again.send(handshake)
            again.read_until(b"\r\n\r\n")
            again.send(text)
            assert b"\x11WebSockethunter2"[1:] in again.read_until(b"hunter2")
    assert "websocket.send   text  22 characters" in json.dumps(block["steps"])


def test_layers_and_bodies_are_shown_if_asked_for() -> None:
    with serve("app:wsgi", *HURRY, source=APP) as server, RawClient(server.address) as client:
        asked = ("--requests", "1", "--filter", "POST /form", "--layers", "--bodies")
        with attached(server, *asked) as process:
            until_traced(client)
            body = b"a=1&password=hunter2"
            client.send(b"POST /form HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\n")
            client.send(b"Content-Length: %d\r\n\r\n" % len(body), body)
            client.response()
            [block], _ = blocks(process)
    text = json.dumps(block)
    assert "b'a=1&password=<7 characters hidden>'" in text
    if sys.version_info >= (3, 12):
        assert "wsgi" in "".join(block["layers"])


@pytest.mark.long
def test_one_at_a_time(running: Server) -> None:
    with RawClient(running.address) as client, attached(running) as process:
        until_traced(client)
        found = run_cli("xray", str(running.pid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert found.returncode == 1
    assert "another x-ray is attached" in found.stderr
