"""Where logs go: files, error log, captured output; what a crash, a stop or a slow disk costs."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import UsageError
from bare_serve.logs import sinks
from bare_serve.logs.access_log import FLUSH_SECONDS, AccessLog
from bare_serve.logs.sinks import FileSink, LoggerSink, log_path
from tests.support import RawClient, eventually, run_cli, serve
from tests.support.answers import Answer, request

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="files of others need root")
APP = """
import logging, os, sys, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/print":
        print("printed by the application")
        os.write(2, b"a stray write\\n")
        logging.getLogger("shop").warning("said by a logger of the application")
    if path == "/fail":
        raise ValueError("me")
    if path == "/hang":
        open("hangs", "w").close()
        time.sleep(60)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["path"] == "/hang":
        open("hangs", "w").close()
        time.sleep(60)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def record(log: AccessLog, target: bytes = b"/") -> None:
    log.record("::1", request(target), Answer(200, 2), 0.001)


# ------------------------------------------------------------- slow outputs, crashes


def test_a_disk_that_hangs_holds_up_nobody_and_what_it_cost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    real = os.write

    def slow(fd: int, data: bytes) -> int:
        if threading.current_thread() is not threading.main_thread():
            hangs.set()
            goes_on.wait(30)
        return real(fd, data)

    monkeypatch.setattr("bare_serve.logs.access_log._MOST_LINES", 100)
    monkeypatch.setattr(sinks.os, "write", slow)
    with (tmp_path / "log").open("ab") as file:
        log = AccessLog(file.fileno())
        log.start()
        record(log)
        assert hangs.wait(10)
        before = time.thread_time()
        for _ in range(1000):
            record(log)
        assert time.thread_time() - before < 5
        assert len(log._lines) <= 100
        goes_on.set()
        eventually(lambda: "works again; 900 lines were dropped" in caplog.text)
        log.close()
    assert (tmp_path / "log").read_text().count("\n") == 101


def test_the_end_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(
        sinks.os, "write", lambda fd, data: hangs.set() or (goes_on.wait(30) and len(data))
    )
    with (tmp_path / "log").open("ab") as file:
        log = AccessLog(file.fileno())
        log.start()
        record(log)
        assert hangs.wait(10)
        record(log)
        log.close()
        assert "hangs in a write; 1 line was lost" in caplog.text
        goes_on.set()


@pytest.mark.parametrize("kind", ["app", "asgi"])
def test_kill_9_costs_no_line_that_is_older_than_200_ms(kind: str, tmp_path: Path) -> None:
    """Even if the worker is stuck in the application from then on."""
    path = tmp_path / "access.log"
    options = ("--access-log", str(path), "--threads", "1")
    with serve(f"app:{kind}", *options, source=APP, cwd=tmp_path) as server:
        [worker] = server.workers
        with RawClient(server.address) as client, RawClient(server.address) as other:
            for number in range(5):
                client.request("GET", f"/{number}")
            other.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually((tmp_path / "hangs").exists, "the worker is stuck")
            eventually(lambda: path.read_text().count("\n") == 5, "written by then")
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: worker not in server.workers)
        assert path.read_text().count("\n") == 5


def test_a_line_is_written_within_200_ms(tmp_path: Path) -> None:
    assert FLUSH_SECONDS <= 0.2
    with (tmp_path / "log").open("ab") as file:
        log = AccessLog(file.fileno())
        log.start()
        waits = []
        for number in range(1, 6):
            record(log)
            began = time.monotonic()
            eventually(lambda n=number: (tmp_path / "log").read_text().count("\n") == n)  # type: ignore[misc]
            waits.append(time.monotonic() - began)
        log.close()
    assert min(waits) < 0.2, "the machine may be slow, but not each time"


@pytest.mark.parametrize("kind", ["app", "asgi"])
def test_term_costs_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with serve(f"app:{kind}", "--access-log", str(path), source=APP, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            for number in range(50):
                client.request("GET", f"/{number}")
        assert server.stop() == 0
    assert [line.split()[4] for line in path.read_text().splitlines()] == [
        f"/{number}" for number in range(50)
    ]


def readable(fd: int) -> int:
    """How many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_lines_that_are_counted(small_disk: Path, tmp_path: Path) -> None:
    ballast, path = small_disk / "ballast", small_disk / "access.log"
    ballast.write_bytes(bytes(60 * 1024))
    with serve("app:app", "--access-log", str(path), source=APP, cwd=tmp_path) as server:
        request = 0
        with RawClient(server.address) as client:

            def drops() -> bool:
                nonlocal request
                request += 1
                assert client.request("GET", f"/{'x' * 1000}/{request}").status == 200
                return "drops lines until it works again: No space left" in server.stderr

            eventually(drops)
            ballast.unlink()

            def works() -> bool:
                nonlocal request
                request += 1
                assert client.request("GET", f"/{request}").status == 200
                return "The access log works again" in server.stderr

            eventually(works)
        assert server.stop() == 0
        dropped = sum(map(int, re.findall(r"(\d+) lines? w\S+ dropped", server.stderr)))
    whole = [line for line in path.read_text().splitlines() if line.endswith("ms")]
    assert all(line.count("GET") == 1 for line in whole), "no line begins within another"
    assert len(whole) + dropped == request


LINE = re.compile(rb"\S+ \S+ ::1 GET /(?:x|short-\d+)+ HTTP/1\.1 200 2 1\.00ms")


def _fill(disk: Path) -> Path:
    """Take all the room of a disk but for a page; the file to remove for more."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, ballast.stat().st_size - 4096)
    return ballast


@pytest.mark.parametrize("who", ["the same", "another", "another that had failed", "the next"])
def test_a_line_behind_a_torn_one_is_whole_and_on_a_line_of_its_own(
    small_disk: Path, who: str
) -> None:
    """Whoever writes first when there is space again: workers share the file."""
    path = small_disk / "access.log"
    log = AccessLog(FileSink.at(str(path)))
    record(log, b"/short-0")
    log.flush()
    ballast = _fill(small_disk)
    for _ in range(20):
        record(log, b"/" + b"x" * 1000)
    child = _child(log) if who.startswith("another") else None
    log.flush()  # a part of these lines is taken
    assert not path.read_bytes().endswith(b"\n"), "a line is torn"
    if child is not None and who != "another":
        child("x" * 1000)  # nothing of it is taken
    ballast.unlink()
    if child is not None:
        child("short-1")
    elif who == "the next":
        log.close()
        log = AccessLog(FileSink.at(str(path)))
    record(log, b"/short-2")
    log.close()
    *lines, end = path.read_bytes().split(b"\n")
    assert end == b""
    torn = [line for line in lines if not LINE.fullmatch(line)]
    assert len(torn) == 1, "what was torn, and nothing else"
    assert torn[0].count(b"GET") == 1
    expected = [b"short-0", *([b"short-1"] if child is not None else []), b"short-2"]
    assert re.findall(rb"short-\d+", b"".join(lines)) == expected


def _child(log: AccessLog) -> Callable[[str], None]:
    """A worker that has the log as well: it writes a line when it is asked to."""

    def write(target: str) -> None:
        pid = os.fork()
        if not pid:
            code = 1
            with suppress(BaseException):
                log._lines.clear()
                record(log, f"/{target}".encode())
                log.flush()
                code = 0
            os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0

    return write


def test_a_line_that_was_begun_when_the_reader_left_is_no_beginning_of_another() -> None:
    class Pipe:
        """Takes 100 bytes, nothing for now, then nothing at all until it is mended."""

        def __init__(self) -> None:
            self.got = b""
            self.says: list[BaseException | None] = [None, BlockingIOError(), BrokenPipeError()]

        def send(self, data: bytes) -> int:
            trouble = self.says.pop(0) if self.says else None
            if trouble is not None:
                raise trouble
            taken = data[:100] if self.says else data
            self.got += taken
            return len(taken)

    sink: Any = Pipe()
    backlog = sinks.Backlog(sink, lambda reason: None, lambda state, dropped: None)
    backlog.write(b"x" * 200 + b"\n")
    assert backlog.holds == 101
    backlog.write(b"y\n")
    backlog.write(b"z\n")
    assert sink.got == b"x" * 100 + b"\nz\n"


@pytest.mark.parametrize("kind", ["app", "asgi"])
def test_a_reader_that_has_seen_enough_or_sleeps_stops_nobody(kind: str, tmp_path: Path) -> None:
    """`bare-serve | head -1`, and before that a pipe that is full."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with serve(
        *(f"app:{kind}",),
        source=APP,
        cwd=tmp_path,
        command=("sh", "-c", 'exec "$@" >pipe', "sh", sys.executable, "-m", "bare_serve"),
    ) as server:
        with RawClient(server.address) as client:
            for number in range(1000):
                assert client.request("GET", f"/{'x' * 500}/{number}").status == 200
        eventually(lambda: readable(reader) > 50_000, "the pipe is full")
        os.close(reader)
        server.wait_for_output("The access log drops lines until it works again: ")
        with RawClient(server.address) as client:
            assert client.request("GET", "/").status == 200
        assert server.stop() == 0
        assert re.search(r"did not work again; \d{3} lines were dropped", server.stderr)


# ------------------------------------------------------------- the error log


def test_messages_go_to_the_error_log_which_usr1_reopens(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    options = ("--error-log", str(path), "--access-log", "access.log")
    with serve("app:app", *options, source=APP, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/fail")
            eventually(lambda: "ValueError: me" in path.read_text())
            assert "ValueError" not in server.output
            for name in ("access.log", "error.log"):
                (tmp_path / name).rename(tmp_path / f"{name}.1")
            server.send_signal(signal.SIGUSR1)
            eventually(lambda: path.exists() and "Log files are reopened" in path.read_text())

            def fails_into_the_new_files() -> bool:
                client.request("GET", "/fail")
                access = (tmp_path / "access.log").read_text()
                return "ValueError: me" in path.read_text() and "/fail" in access

            eventually(fails_into_the_new_files)
        assert server.stop() == 0
    assert "Stopping" in path.read_text()


def test_captured_output_goes_to_the_error_log(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    options = ("--error-log", str(path), "--capture-output")
    with serve("app:app", *options, source=APP, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/print")
        for text in ("printed by the app", "a stray write", "said by a logger of the app"):
            eventually(lambda t=text: t in path.read_text())  # type: ignore[misc]
            assert text not in server.output
        server.wait_for_output("GET /print")
        assert "GET /print" in server.stdout, "the access log keeps its standard output"
        path.rename(tmp_path / "error.log.1")
        server.send_signal(signal.SIGUSR1)
        with RawClient(server.address) as client:

            def prints_into_the_new_file() -> bool:
                client.request("GET", "/print")
                return path.exists() and "a stray write" in path.read_text()

            eventually(prints_into_the_new_file)
        assert server.stop() == 0


LOG_CONFIG = {
    "handlers": {
        "mine": {"class": "logging.FileHandler", "filename": "mine.log", "formatter": "f"}
    },
    "formatters": {"f": {"format": "MINE %(name)s %(message)s"}},
    "loggers": {"bare_serve": {"handlers": ["mine"], "level": "INFO", "propagate": False}},
}
LOG_TOML = """
[handlers.mine]
class = "logging.FileHandler"
filename = "mine.log"
formatter = "f"
[formatters.f]
format = "MINE %(name)s %(message)s"
[loggers.bare_serve]
handlers = ["mine"]
level = "INFO"
propagate = false
"""


@pytest.mark.parametrize("name", ["log.json", "log.toml"])
def test_logging_can_be_configured(name: str, tmp_path: Path) -> None:
    text = LOG_TOML if name.endswith("toml") else json.dumps(LOG_CONFIG)
    (tmp_path / name).write_text(text)
    with serve("app:app", "--log-config", name, source=APP, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/fail")
        assert server.stop() == 0
        assert "ValueError" not in server.stderr
    mine = (tmp_path / "mine.log").read_text()
    assert "MINE bare_serve.supervision Stopping" in mine
    assert "ValueError: me" in mine


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "--log-config: cannot read"),
        ("[]", "it is not an object"),
        (
            "{",
            "log.json has to be JSON (or TOML, if its name ends in .toml): Expecting property name",
        ),
        ("[loggers]\nkeys=root", "log.json has to be JSON (or TOML, if its name ends in .toml): "),
        ('{"root": {"handlers": ["none"]}}', "log.json: Unable to configure root logger"),
    ],
)
def test_a_configuration_that_is_wrong_is_one_message(
    text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "log.json").write_text(text)
    done = run_cli("--demo", "--port", "0", "--log-config", "log.json", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("root", [False, True])
def test_an_error_log_that_cannot_be_opened_is_one_message(tmp_path: Path, root: bool) -> None:
    path = "/" if root else str(tmp_path)
    done = run_cli("--demo", "--port", "0", "--error-log", path)
    assert done.returncode == 2
    assert f"--error-log: cannot write to {path}: Is a directory" in done.stderr


@AS_ROOT
@pytest.mark.parametrize("what", ["the file", "its directory"])
def test_root_follows_no_link_that_took_the_place_of_a_log(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, theirs = tmp_path / "log", tmp_path / "theirs"
    folder.mkdir()
    theirs.mkdir()
    path, victim = folder / "a.log", theirs / "a.log"
    victim.touch()
    log = AccessLog(FileSink.at(str(path)))
    path.unlink()
    if what == "the file":
        path.symlink_to(victim)
    else:
        folder.rmdir()
        folder.symlink_to(theirs)
    log.reopen()
    log.give_to(65534, 65534)
    record(log)
    log.close()
    assert "Cannot reopen the access log" in caplog.text
    assert (victim.read_text(), victim.stat().st_uid) == ("", 0)


@AS_ROOT
def test_only_a_file_that_was_made_for_it_is_given_away(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch()
    sink = FileSink.at(str(path))
    sink.give_to(65534, 65534)
    assert path.stat().st_uid == 0, "it was there"
    sink.reopen()
    sink.give_to(65534, 65534)
    assert path.stat().st_uid == 0, "it is still there"
    path.rename(tmp_path / "b.log")
    sink.reopen()
    sink.give_to(65534, 65534)
    assert path.stat().st_uid == 65534
    sink.close()


@AS_ROOT
def test_a_log_is_found_behind_links_of_root_alone(tmp_path: Path) -> None:
    link = tmp_path / "a.log"
    link.symlink_to("b.log")
    assert log_path(str(link), "--access-log") == str(tmp_path.resolve() / "b.log")
    os.lchown(link, 65534, 65534)
    with pytest.raises(
        UsageError, match=r"--access-log: .*a\.log is a symbolic link that root did not"
    ):
        log_path(str(link), "--access-log")


def test_a_log_that_is_none_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(
        UsageError, match=r"--error-log: .*loop is a symbolic link that leads to itself"
    ):
        log_path(str(tmp_path / "loop"), "--error-log")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe or a socket that nobody reads"):
        FileSink.at(str(tmp_path / "pipe"))


def test_usr1_reopens_and_hup_is_answered_without_a_master(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with serve("--demo", "--workers", "0", "--access-log", str(path)) as server:
        path.rename(tmp_path / "b.log")
        server.send_signal(signal.SIGUSR1)
        eventually(path.exists, "the new file")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("HUP reloads nothing")
        assert server.stop() == 0


def test_a_logger_gets_a_message_for_each_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sink = LoggerSink(logging.getLogger("tests.sink"))
    data = " one é\n100 %s\n".encode()
    assert sink.send(data) == len(data)
    sink.reopen()
    sink.give_to(0, 0)
    sink.close()
    assert [record.getMessage() for record in caplog.records] == ["one é", "100 %s"]
