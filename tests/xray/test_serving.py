"""Real servers under the x-ray: filters, TLS, pipelines, workers, slow and leaving clients."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest

from tests.support import Authority, RawClient, serve
from tests.support.waiting import eventually
from tests.xray.test_golden import blocks

ENDED = re.compile(r"^#1  GET /stream   200 ", re.MULTILINE)
APPS = Path(__file__).parent / "apps"
GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"
OPTIONS = ("--app-dir", str(APPS), "--access-log", "off")
BARE = pytest.mark.parametrize("app", ["bare_wsgi:app", "bare_asgi:app"])


def without_lifespan(found: list[str]) -> list[str]:
    return [block for block in found if not block.startswith("lifespan")]


@BARE
def test_pipelined_requests_have_a_block_each_in_their_order(app: str) -> None:
    with serve(app, *OPTIONS, "--xray", "--workers", "0") as server:
        with RawClient(server.address) as client:
            client.send(b"".join(GET % f"p{number}".encode() for number in range(10)))
            for _ in range(10):
                assert client.response().body == b"Hello "
        shown = eventually(
            lambda: len(found := without_lifespan(blocks(server))) == 10 and found, "10 blocks"
        )
    assert isinstance(shown, list)
    assert [re.findall(r"^#(\d+)  GET /p(\d)", block)[0] for block in shown] == [
        (str(number + 1), str(number)) for number in range(10)
    ]
    assert "10th request of its connection" in shown[-1]


@BARE
@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_filter_method_and_bodies(app: str, parser: str) -> None:
    asked = ("--xray=full", "--xray-filter", "GET /orders*", "--no-xray-bodies")
    with serve(app, *OPTIONS, *asked, "--parser", parser) as server:
        with RawClient(server.address) as client:
            client.send(GET % b"other", b"POST /orders HTTP/1.1\r\nHost: test\r\n\r\n")
            client.send(b"GET /orders/7?x=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n")
            for _ in range(3):
                client.response()
        server.wait_for_output("/orders/7?x=1")
        eventually(lambda: blocks(server), "a block")
        (shown,) = without_lifespan(blocks(server))
    assert shown.startswith("#1  GET /orders/7?x=1   200 ")
    assert "Hello" not in shown
    assert f"split by the {parser} parser" in shown


@BARE
def test_over_tls_what_is_inside_is_shown(app: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.issue("server")
    pair = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key))
    with serve(app, *OPTIONS, *pair, "--xray") as server:
        with RawClient(server.address) as client:
            client.speak_tls(authority.client())
            client.send(GET % b"secure")
            assert client.response().body == b"Hello "
        shown = eventually(lambda: without_lifespan(blocks(server)), "a block")
    assert "GET /secure HTTP/1.1\\r\\n" in shown[0]
    assert "https" in shown[0] or "wsgi" in shown[0]


@BARE
def test_a_head_that_does_not_come_is_shown(app: str) -> None:
    with serve(app, *OPTIONS, "--xray", "--timeout-headers", "1s") as server:
        with RawClient(server.address) as client:
            client.send(b"GET /late HTTP/1.1\r\nCookie: a=hunter2\r\n")
            assert client.response().status == 408
        shown = eventually(lambda: without_lifespan(blocks(server)), "a block")
    assert re.search(r"x  refused +408", shown[0])
    assert "GET /late HTTP/1.1\\r\\n  Cookie: <9 characters hidden>\\r\\n" in shown[0]


ENDLESS = """
import asyncio, time
def app(environ, start_response):
    def ticks():
        while True:
            yield b"tick\\n"
            time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ticks()
"""
ENDLESS_ASGI = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain")]})
    while True:
        await send({"type": "http.response.body", "body": b"tick\\n", "more_body": True})
        await asyncio.sleep(0.05)
"""


@pytest.mark.parametrize("source", [ENDLESS, ENDLESS_ASGI], ids=["wsgi", "asgi"])
def test_a_stream_is_shown_as_it_goes_and_so_is_a_client_that_leaves(source: str) -> None:
    with serve("app:app", "--access-log", "off", "--xray", source=source) as server:
        with socket.create_connection(server.address) as client:
            client.sendall(GET % b"stream")
            server.wait_for_output("#1  GET /stream (goes on)")
        eventually(lambda: ENDED.search(server.stderr), "its end")
        assert "client left" in server.output
        assert server.stop() == 0


def test_a_stop_ends_an_endless_stream_and_shows_its_end() -> None:
    grace = ("--timeout-graceful-shutdown", "1s")
    with serve("app:app", "--xray", *grace, source=ENDLESS_ASGI) as server:
        with RawClient(server.address) as client:
            client.send(GET % b"stream")
            client.read_until(b"tick")
            server.stop()
        assert ENDED.search(server.stderr)


def test_blocks_of_several_workers_are_whole() -> None:
    with serve("bare_wsgi:app", *OPTIONS, "--xray", "--workers", "3") as server:
        for number in range(15):
            with RawClient(server.address) as client:
                client.send(GET % f"n{number}".encode())
                client.response()
        found = eventually(lambda: len(b := blocks(server)) == 15 and b, "15 blocks")
    assert isinstance(found, list)
    for block in found:
        assert block.count("bytes in") == block.count("bytes out") == 1
        name = re.findall(r"^#\d+  GET (/n\d+) ", block)[0]
        assert f"PATH_INFO '{name}'" in block


@BARE
def test_the_same_bytes_leave_but_for_server_timing(app: str) -> None:
    requests = [GET % b"", GET % b"ticks", GET % b"short", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"]
    requests += [b"GET / HTTP/1.0\r\n\r\n", GET % b"boom", b"BAD\r\n\r\n"]
    answers = []
    for asked in ((), ("--xray",)):
        with serve(app, *OPTIONS, *asked) as server:
            answers.append([])
            for raw in requests:
                with RawClient(server.address) as client:
                    client.send(raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                    answers[-1].append(re.sub(rb"Date: .*\r\n", b"", client.read_to_eof()))
    assert any(b"Server-Timing: parse;dur=" in answer for answer in answers[1])
    timing = rb"Server-Timing: .*\r\n"
    assert [re.sub(timing, b"", answer) for answer in answers[1]] == answers[0]


@pytest.mark.parametrize("kind", ["--asgi", "--wsgi"])
def test_the_demo_shows_its_own_x_ray(kind: str) -> None:
    with serve("--demo", kind) as server, RawClient(server.address) as client:
        client.send(GET % b"?token=hunter2")
        first = client.response().body.decode()
        client.send(GET % b"again")
        second = client.response().body.decode()
    assert "hunter2" not in first.partition("X-ray")[2].partition("</section>")[0]
    assert "(so far)" in first
    assert "GET /?token=&lt;7 characters hidden&gt;   200" in second
    assert "bytes out" in second
    assert "bare_serve.xray" not in second
    assert "=&gt;" not in server.stderr
    assert "bytes in" not in server.stderr


FILES = """
import os
def app(environ, start_response):
    file = open(os.environ["SENT"], "rb")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](file)
"""
FILES_ASGI = """
import os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.pathsend", "path": os.environ["SENT"]})
"""


@pytest.mark.parametrize("source", [FILES, FILES_ASGI], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_file_leaves_by_the_kernel_as_without_it(source: str, loop: str, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(bytes(range(256)) * 4000)
    env = {"SENT": str(sent)}
    with serve("app:app", "--xray", "--loop", loop, source=source, env=env) as server:
        with RawClient(server.address) as client:
            client.send(GET % b"file")
            assert client.response().body == sent.read_bytes()
        shown = eventually(lambda: without_lifespan(blocks(server)), "a block")
    assert "1024000 B of a file, sent by the kernel" in shown[0]
    assert ("close()" in shown[0]) == (source is FILES)


SITES = ["flask_site:app", "django_site:wsgi", "django_site:asgi", "fastapi_site:app"]


LAYER = re.compile(r', layer(\d+);desc="([^"]*)";dur=([\d.]+)')


@pytest.mark.parametrize("site", [*SITES, "bare_wsgi:app", "bare_asgi:app"])
def test_the_client_is_told_of_layers_as_well(site: str) -> None:
    """Those that the block has: up to the head of the answer, each with what it has called."""
    with serve(site, *OPTIONS, "--xray") as server:
        with RawClient(server.address) as client:
            client.send(GET % b"orders/7")
            client.response()
            client.send(GET % b"orders/7")  # without what is imported at the first request
            answer = client.response()
        eventually(lambda: len(without_lifespan(blocks(server))) == 2, "blocks")
        block = without_lifespan(blocks(server))[1]
    told = dict(answer.headers)["server-timing"]
    found = LAYER.findall(told)
    if sys.version_info < (3, 12):
        assert not found, "only some requests have layers there"
        return
    assert re.fullmatch(r"parse;dur=[\d.]+, app;dur=[\d.]+" + f"({LAYER.pattern})+", told)
    assert [int(number) for number, _, _ in found] == [*range(1, len(found) + 1)]
    [(heading, lines)] = re.findall(r"^( +layers .*)\n((?: {9}.*\n)+)", block, re.MULTILINE)
    shown = [line.split()[0] for line in lines.splitlines()]
    assert heading.split()[:3] == ["layers", "total", "own"]
    names, rest = [name for _, name, _ in found], iter(shown)
    assert all(name in rest for name in names), "in their order; some begin behind the head"
    assert {shown[0], *(name for name in shown if name.endswith("()"))} <= {*names}
    times = [float(took) for _, _, took in found]
    assert max(times) == times[0] <= float(re.findall(r"app;dur=([\d.]+)", told)[0])


WATCHED = """
import sys
def watched():
    return b"%d" % sum(sys.monitoring.get_events(tool) for tool in (3, 4))
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [watched()]
async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": watched()})
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring")
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_under_load_code_is_watched_only_for_requests_that_are_shown(kind: str) -> None:
    with serve(f"app:{kind}", "--xray", source=WATCHED) as server:
        with RawClient(server.address) as client:

            def is_watched() -> bool:
                client.send(GET % b"")
                return client.response().body != b"0"

            for _ in range(2):  # and again in the seconds to come
                eventually(is_watched, "a request that is shown")
                eventually(lambda: not is_watched(), "one that is not")
        shown = without_lifespan(blocks(server))
        assert all(" layers " in block for block in shown)


@pytest.mark.parametrize("site", SITES)
def test_nothing_is_said_of_a_framework(site: str) -> None:
    with serve(site, *OPTIONS, "--xray") as server:
        with RawClient(server.address) as client:
            client.send(GET % b"orders/7")
            assert client.response().status == 200
            client.send(b"POST /orders/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=1")
            assert client.response().status in (200, 405)
        found = eventually(lambda: len(b := without_lifespan(blocks(server))) == 2 and b, "blocks")
    assert isinstance(found, list)
    assert not re.search(r"^ *[\d.]+ (?:x |!  advice)", "".join(found), re.MULTILINE)


def test_what_is_asked_of_xray_on_the_command_line() -> None:
    from bare_serve.cli.plain import with_value_of_xray

    for given, read in {
        "--xray": "--xray=steps",
        "--xray app:app": "--xray=steps app:app",
        "--xray full app:app": "--xray=full app:app",
        "app:app --xray": "app:app --xray=steps",
        "--xray=full app:app": "--xray=full app:app",
        "--xray --xray": "--xray=steps --xray=steps",
        "app:app": "app:app",
    }.items():
        assert with_value_of_xray(given.split()) == read.split()
