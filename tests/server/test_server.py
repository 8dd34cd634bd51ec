"""From settings to a running server: run() from Python, and what the outside sees of a start."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bare_serve
from bare_serve.errors import AppLoadError, UsageError
from bare_serve.server import run as server
from tests.support import RawClient, clean_environment, eventually, run_cli, serve

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from wsgi"]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello from asgi"})
"""
ASGI2 = """
class app:
    def __init__(self, scope):
        pass
    async def __call__(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello from asgi2"})
"""
KINDS = {"WSGI": WSGI, "ASGI 3": ASGI, "ASGI 2": ASGI2}


def rows(text: str) -> dict[str, str]:
    """The facts of a banner."""
    return dict(re.findall(r"^  (\S+) +(\S.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_served_and_said_in_the_banner(kind: str, workers: str) -> None:
    lifespan = ("--lifespan", "off") if kind == "ASGI 2" else ()
    with serve("--workers", workers, *lifespan, source=KINDS[kind]) as server:
        with RawClient(server.address) as client:
            body = client.request(target="/a?b=c").body.decode()
        assert body == f"hello from {kind.lower().replace(' ', '').removesuffix('3')}"
        line = server.wait_for_output("GET /a?b=c HTTP/1.1 200")
        assert server.stop() == 0
        stdout, stderr = server.stdout, server.stderr
    banner = rows(stderr)
    assert stderr.startswith(f"bare-serve {bare_serve.__version__}\n")
    assert banner["app"] == "app:app (app.py defines app)"
    assert re.fullmatch(rf"{kind} \(.+\)", banner["interface"])
    assert banner["address"] == server.url
    assert banner["workers"] == ("0, served in this process" if workers == "0" else workers)
    assert banner["parser"] in ("python", "httptools")
    assert banner["pid"] == str(server.pid)
    assert "\x1b" not in line, "no colours in a file"
    access = [row for row in stdout.splitlines() if "/a?b=c" in row]
    assert len(access) == 1
    assert re.search(r" 127\.0\.0\.1 GET /a\?b=c HTTP/1\.1 200 1\d \d+\.\d\dms$", access[0])


@pytest.mark.parametrize("kind", ["WSGI", "ASGI 3"])
@pytest.mark.parametrize(
    "options", [(), ("--preload",), ("--hooks", "hooks", "--max-requests", "9")]
)
def test_a_file_beside_the_application_named_like_one_of_the_library_harms_nobody(
    kind: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(KINDS[kind])
    (tmp_path / "hooks.py").write_text("def on_exit(facts):\n    pass\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('what a scratch file may do')\n")
    # As the command does it: `python -m` would have put the directory first from the beginning.
    command = (sys.executable, "-P", "-m", "bare_serve")
    with (
        serve("app:app", *options, cwd=tmp_path, command=command) as server,
        RawClient(server.address) as client,
    ):
        assert client.request().status == 200
        if options:
            server.send_signal(signal.SIGUSR2)
            server.wait_for_output("Reloaded: all workers are new.", 30)
        assert server.stop() == 0


def test_the_access_log_can_be_off() -> None:
    with serve("--no-access-log", source=ASGI) as server:
        with RawClient(server.address) as client:
            assert client.request().status == 200
        assert server.stop() == 0
        assert server.stdout == ""


@pytest.mark.parametrize("parser", ["python", "httptools"])
@pytest.mark.parametrize("kind", ["WSGI", "ASGI 3"])
def test_no_keep_alive_closes_after_each_answer(kind: str, parser: str) -> None:
    if parser == "httptools":
        pytest.importorskip(parser)
    with serve("--keep-alive", "0", "--parser", parser, source=KINDS[kind]) as server:
        with RawClient(server.address) as client:
            answer = client.request()
            assert (answer.status, answer.header("connection")) == (200, "close")
            assert client.is_closed()
        with RawClient(server.address) as client:
            client.send(b"\r\n")
            assert client.request("POST", "/", body=b"x").header("connection") == "close"
            assert client.is_closed()


@pytest.mark.parametrize("kind", ["WSGI", "ASGI 3"])
def test_keep_alive_without_a_deadline(kind: str) -> None:
    options = ("--timeout-keep-alive", "off", "--timeout-headers", "1")
    with (
        serve(*options, source=KINDS[kind]) as server,
        RawClient(server.address) as idle,
        RawClient(server.address) as silent,
    ):
        assert idle.request().header("connection") is None
        assert silent.is_closed(), "the deadlines are looked at"
        assert idle.request().status == 200


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("WSGI", "limit-concurrency (environment BARE_SERVE_LIMIT_CONCURRENCY)."),
        ("ASGI 3", "threads (command line)."),
    ],
)
def test_what_is_for_the_other_kind_only_is_told_once(kind: str, said: str, workers: str) -> None:
    options = ("--threads", "4", "--workers", workers, "--lifespan", "off", "--loop", "auto")
    env = {"BARE_SERVE_LIMIT_CONCURRENCY": "9"}
    with serve(*options, source=KINDS[kind], env=env) as server:
        with RawClient(server.address) as client:
            assert client.request().status == 200
        server.wait_for_output("mean nothing")
        assert server.stop() == 0
        told = [line for line in server.stderr.splitlines() if "mean nothing" in line]
    assert len(told) == 1
    sentence = f"The application is {kind[:4]}, to which these settings mean nothing: {said}"
    assert told[0].endswith(sentence)


def test_colours_can_be_forced() -> None:
    with serve(source=ASGI, env={"FORCE_COLOR": "1"}, ready=False) as server:
        server.wait_for_output("pid")
        assert re.search(r"\x1b\[36mhttp://127\.0\.0\.1:\d+\x1b\[0m", server.stderr)


def test_several_addresses_are_served_together(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    args = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}", "-b", "127.0.0.1:0")
    with serve(*args, source=ASGI) as server:
        ports = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", server.stderr)]
        assert len(set(ports)) == 2
        assert f"unix:{path}" in server.stderr
        for address in (("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), str(path)):
            with RawClient(address) as client:
                assert client.request().body == b"hello from asgi"
        assert server.stop() == 0
    assert not path.exists()


def test_an_address_that_fails_lets_go_of_those_before(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    (tmp_path / "app.py").write_text(ASGI)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        done = run_cli("-b", f"unix:{path}", "-b", taken, cwd=tmp_path)
    assert done.returncode == 1
    assert taken in done.stderr
    assert not path.exists()


def test_options_reach_the_wire(tmp_path: Path) -> None:
    source = ASGI.replace('b"hello from asgi"', 'scope["root_path"].encode()')
    options = ("--header", "X-Served-By: us", "--root-path", "/api/", "--limit-body", "10")
    with serve(*options, "--limit-request-line", "100", source=source) as server:
        with RawClient(server.address) as client:
            answer = client.request()
            assert answer.body == b"/api"
            assert answer.header("x-served-by") == "us"
        with RawClient(server.address) as client:
            assert client.request(target="/" + "x" * 200).status == 414
        with RawClient(server.address) as client:
            assert client.request("POST", body=b"x" * 11).status == 413


def test_the_demo_is_served_both_ways() -> None:
    for flags, kind in (((), "ASGI 3"), (("--wsgi",), "WSGI")):
        with serve("--demo", *flags) as server:
            assert rows(server.stderr)["interface"].startswith(kind)
            assert rows(server.stderr)["app"].endswith("(the built-in demo)")
            with RawClient(server.address) as client:
                assert b"<html" in client.request().body.lower()


def test_the_target_of_the_file_is_served(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text(ASGI)
    (tmp_path / "pyproject.toml").write_text("[tool.bare-serve]\napp = 'here:app'\n")
    with serve(cwd=tmp_path) as server:
        assert rows(server.stderr)["app"] == f"here:app (from the file {tmp_path}/pyproject.toml)"


def test_an_application_that_configures_logging_does_not_silence_the_server() -> None:
    source = "import logging.config\nlogging.config.dictConfig({'version': 1})\n" + ASGI.replace(
        'if scope["type"] == "http":', 'if scope["type"] == "http":\n        raise ValueError("me")'
    )
    with serve(source=source) as server:
        with RawClient(server.address) as client:
            assert client.request().status == 500
        server.wait_for_output("ValueError: me")
        assert re.search(r"ERROR \[\d+\] ", server.stderr)


# From Python

SCRIPT = """
import sys
import bare_serve

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"hello from a script"}})

if {guard}:
    sys.exit(bare_serve.run({target}, host="127.0.0.1", port=0, {options}))
"""


@contextmanager
def script(directory: Path, **parts: str) -> Iterator[subprocess.Popen[str]]:
    """A script that serves, as a process."""
    path = directory / "script.py"
    path.write_text(SCRIPT.format(**{"guard": "__name__ == '__main__'", "options": ""} | parts))
    with (directory / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(path)],
            cwd=directory,
            env=clean_environment(),
            stdout=out,
            stderr=out,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("target", ["app", "'script:app'"], ids=["object", "text"])
@pytest.mark.parametrize("workers", [0, 2])
def test_run_serves_from_python(tmp_path: Path, target: str, workers: int) -> None:
    with script(tmp_path, target=target, options=f"workers={workers}") as process:
        out = tmp_path / "out"
        match = eventually(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", out.read_text()))
        with RawClient(("127.0.0.1", int(match[1]))) as client:
            assert client.request().body == b"hello from a script"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_script_that_serves_itself_is_told_about_the_guard(tmp_path: Path, workers: int) -> None:
    with script(tmp_path, target="'script:app'", options=f"workers={workers}", guard="True") as it:
        assert it.wait(20) == 1
    text = (tmp_path / "out").read_text()
    assert "run() was called again while the application was imported" in text
    assert 'if __name__ == "__main__"' in text


REFUSED: list[tuple[object, dict[str, object], str]] = [
    ("app:app", {"prot": 3}, "run() has no option prot; did you mean port?"),
    ("app:app", {"port": "x"}, "run(port=...): 'x' is not a whole number"),
    ("app:app", {"demo": True}, "two applications"),
    (print, {"app": "app:app"}, "two applications"),
    (3, {}, "not 3"),
    ("app:app", {"bind": ":1", "port": 2}, "run(bind=...) and run(port=...) contradict"),
]


@pytest.mark.parametrize(("target", "options", "message"), REFUSED)
def test_run_refuses_what_it_cannot_serve(
    target: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        bare_serve.run(target, **options)  # type: ignore[arg-type]


def test_run_raises_what_the_application_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_for_run.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    with pytest.raises(AppLoadError, match="broken_for_run") as caught:
        bare_serve.run("broken_for_run:app", port=0, workers=0)
    assert "ZeroDivisionError" in caught.value.__notes__[0]


def test_run_leaves_nothing_for_the_end_of_a_program_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_again.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    with pytest.raises(AppLoadError):
        bare_serve.run("broken_again:app", port=0, workers=0)
    ended: list[str] = []
    atexit.register(ended.append, "the program")
    before = signal.getsignal(signal.SIGQUIT)
    try:
        server.leave(0)
        assert (ended, signal.getsignal(signal.SIGQUIT)) == ([], before)
    finally:
        atexit.unregister(ended.append)
        signal.signal(signal.SIGQUIT, before)


def test_importing_the_package_imports_no_server() -> None:
    code = "import sys, bare_serve; print([m for m in sys.modules if m.startswith('bare_serve.')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['bare_serve.version']\n"
