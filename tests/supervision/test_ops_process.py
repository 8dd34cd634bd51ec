"""The ops process in the life of a server: it answers whatever happens, and stays never behind."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bare_serve.counts import layout
from bare_serve.ops.rules import Rules
from bare_serve.supervision import side_process
from bare_serve.supervision.background import Means
from bare_serve.supervision.ops_process import OpsProcess, Running
from bare_serve.supervision.signals import Intent
from tests.ops.support import (
    WSGI,
    Ops,
    has_process,
    memory_of,
    open_directory,
    runs_python,
    with_ops,
)
from tests.support import RawClient, eventually, is_alive, serve

BUSY = """
import time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/spin":
        while True:
            pass
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(600)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
BUSY_LOOP = """
import time
async def app(scope, receive, send):
    if scope["type"] == "http":
        time.sleep(600)
"""
SLOW_BOOT = (
    """
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)
"""
    + WSGI
)


def quantile(times: list[float], part: float) -> float:
    return sorted(times)[int(part * len(times))]


@pytest.mark.parametrize(
    ("source", "paths", "interface"),
    [(BUSY, ["/spin"] * 2 + ["/sleep"] * 2, "WSGI"), (BUSY_LOOP, ["/"] * 2, "ASGI")],
    ids=["wsgi", "asgi"],
)
def test_probes_are_answered_while_every_worker_is_busy(
    source: str, paths: list[str], interface: str
) -> None:
    arguments = ("--workers", "2", "--threads", "2", "--timeout-graceful-shutdown", "0.1")
    with with_ops(*arguments, source=source) as ops:
        assert interface in ops.server.output
        ops.all_serve()
        clients = [RawClient(ops.server.address) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        times = []
        with RawClient(ops.address) as probe:
            for _ in range(300):
                began = time.monotonic()
                probe.send(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
                assert probe.response().status == 200
                times.append(time.monotonic() - began)
        # Far above what it takes: the machine may be as busy as the workers.
        assert quantile(times, 0.5) < 0.1
        for client in clients:
            client.close()
        ops.server.send_signal(signal.SIGQUIT)
        ops.server.wait()


def test_ready_is_what_workers_are(tmp_path: Path) -> None:
    with serve(
        "app:app", "--ops", f"unix:{tmp_path}/ops", source=SLOW_BOOT, cwd=tmp_path, ready=False
    ) as server:
        ops = Ops(server, f"{tmp_path}/ops")
        eventually(lambda: (tmp_path / "ops").exists(), "the socket")
        eventually(lambda: ops.ask("/live").status == 200, "the ops process")
        assert ops.ask("/ready").status == 503
        assert b"0 of 1 workers serve" in ops.ask("/ready").body
        (tmp_path / "go").touch()
        ops.all_serve()
        assert ops.ask("/ready").status == 200
        [worker] = ops.workers
        os.kill(worker, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGTTIN)
        eventually(lambda: ops.ask("/ready?workers=all").body.startswith(b"2 of 2"), "another")
        os.kill(worker, signal.SIGCONT)


def test_a_master_whose_loop_stands_still_is_not_alive() -> None:
    with with_ops() as ops:
        ops.all_serve()
        os.kill(ops.server.pid, signal.SIGSTOP)
        try:
            eventually(lambda: ops.ask("/live").status == 503, "a dead master")
            assert ops.ask("/ready").status == 503
        finally:
            os.kill(ops.server.pid, signal.SIGCONT)
        eventually(lambda: ops.ask("/live").status == 200, "a live master")
        ops.all_serve()


def test_a_kill_of_it_is_no_event_for_clients() -> None:
    with with_ops("--workers", "2") as ops:
        ops.all_serve()
        workers, failures, over = {*ops.workers}, [], threading.Event()

        def load() -> None:
            with RawClient(ops.server.address) as client:
                while not over.is_set():
                    if client.request().status != 200:
                        failures.append(1)

        thread = threading.Thread(target=load)
        thread.start()
        for _ in range(2):
            pid = has_process(ops)
            os.kill(pid, signal.SIGKILL)
            assert ops.ask("/live").status == 200, "the connection waits for the next one"
            assert has_process(ops) != pid
        over.set()
        thread.join()
        assert failures == []
        assert {*ops.workers} == workers
        ops.server.wait_for_output("was killed by signal 9.")


def test_one_that_cannot_start_is_tried_again_ever_more_seldom(tmp_path: Path) -> None:
    with with_ops() as ops:
        has_process(ops)
        eventually(lambda: ops.ask("/live").status == 200, "an answer")
        killed: set[int] = set()

        def killed_often() -> bool:
            if (pid := ops.pid) and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
            return "The next attempt is in 1 s." in ops.server.stderr

        eventually(killed_often, "a pause")
        with RawClient(ops.server.address) as client:
            assert client.request().status == 200
        assert ops.server.stop() == 0


def test_a_stop_is_told_before_it_begins() -> None:
    with with_ops("--drain-delay", "1", "--workers", "2") as ops:
        ops.all_serve()
        pid = has_process(ops)
        ops.server.send_signal(signal.SIGTERM)
        began = time.monotonic()
        eventually(lambda: ops.ask("/ready").status == 503, "no longer ready", 1)
        assert b"A stop was asked for. 2 of 2 workers serve." in ops.ask("/ready").body
        with RawClient(ops.server.address) as client:  # who comes all the same is served
            answer = client.request()
            assert answer.status == 200
            assert answer.header("connection") is None
        assert ops.ask("/live").status == 200
        assert ops.pid == pid
        assert "Stopping: requests have" not in ops.server.stderr
        assert ops.server.wait() == 0
        assert time.monotonic() - began >= 1
        assert "Serving for 1 s more, then stopping." in ops.server.stderr
        assert not is_alive(pid)


def test_a_second_signal_ends_the_delay() -> None:
    with serve("app:app", "--drain-delay", "30", source=WSGI) as server:
        server.send_signal(signal.SIGTERM)
        server.wait_for_output("Serving for 30 s more")
        server.send_signal(signal.SIGHUP)  # means nothing any more
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert "Reloading" not in server.stderr


def test_it_answers_until_the_last_worker_has_gone() -> None:
    source = """
import time
def app(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    time.sleep(1.5)
    yield b"done"
"""
    with with_ops(source=source) as ops:
        ops.all_serve()
        with RawClient(ops.server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_until(b"begun")
            os.killpg(ops.server.pid, signal.SIGTERM)  # as systemd may, to the whole group
            eventually(lambda: ops.ask("/ready").status == 503, "no longer ready", 1)
            assert ops.ask("/live").status == 200
            client.read_until(b"done")
        assert ops.server.wait() == 0


def test_a_reload_leaves_it_alone_and_gives_it_new_rules(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("the-first-of-the-tokens")
    arguments = ("--ops-control", "--ops-token-file", str(token))
    with with_ops(*arguments) as ops:
        ops.all_serve()
        pid = has_process(ops)
        token.write_text("the-second-of-the-tokens")
        ops.server.send_signal(signal.SIGHUP)
        ops.server.wait_for_output("Reloaded: all workers are new.")
        assert ops.pid == pid
        assert ops.order("/reopen", "Authorization: Bearer the-first-of-the-tokens").status == 403
        assert ops.order("/reopen", "Authorization: Bearer the-second-of-the-tokens").status == 202
        token.chmod(0o644)
        ops.server.send_signal(signal.SIGHUP)
        ops.server.wait_for_output("other users may open it")
        assert ops.order("/reopen", "Authorization: Bearer the-second-of-the-tokens").status == 202


def test_a_replacement_of_the_server_refuses_no_probe() -> None:
    with with_ops("--workers", "1") as ops:
        ops.all_serve()
        pid, asked, over = has_process(ops), [], threading.Event()

        def probe() -> None:
            while not over.is_set():
                try:
                    asked.append(ops.ask("/live").status)
                except OSError as error:
                    asked.append(error)

        thread = threading.Thread(target=probe)
        thread.start()
        ops.server.send_signal(signal.SIGUSR2)
        ops.server.wait_for_output("Reloaded: all workers are new.", 30)
        over.set()
        thread.join()
        assert {*map(str, asked)} == {"200"}
        assert has_process(ops) != pid
        assert not is_alive(pid)
        assert ops.server.stop() == 0


def test_nothing_is_left_of_a_master_that_is_killed() -> None:
    with with_ops() as ops:
        ops.all_serve()
        pid = has_process(ops)
        ops.server.send_signal(signal.SIGKILL)
        ops.server.wait()
        eventually(lambda: not is_alive(pid), "the end of the ops process")
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            eventually(lambda: again.bind(ops.address) is None, "the port")


def test_workers_have_nothing_of_it() -> None:
    with with_ops() as ops:
        ops.all_serve()
        [worker] = ops.workers
        port = f"{ops.address[1]:04X}"
        listening = [
            line.split()[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"
        ]
        assert len(listening) == 1

        def holds(pid: int) -> bool:
            links = []
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    links.append(str(Path(f"/proc/{pid}/fd/{name}").readlink()))
            return f"socket:[{listening[0]}]" in links

        assert holds(ops.server.pid)
        assert holds(has_process(ops))
        assert not holds(worker)


@pytest.mark.skipif(not runs_python("nobody"), reason="nobody cannot read this Python")
def test_it_is_the_user_that_workers_are() -> None:
    with open_directory() as directory, with_ops("--user", "nobody", cwd=directory) as ops:
        ops.all_serve()
        status = Path(f"/proc/{has_process(ops)}/status").read_text()
        [uids] = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert {*uids} == {"65534"}
        assert b"bare_serve_workers" in ops.ask("/metrics").body


def test_the_master_pays_nothing_for_it() -> None:
    """Not even where there is one: the same memory, give or take what a page more or less is."""
    with serve("app:app", source=WSGI) as without, with_ops() as ops:
        ops.all_serve()
        assert memory_of(ops.server.pid, "Pss_Anon") - memory_of(without.pid, "Pss_Anon") < 600


def order_of(message: bytes, rules: Rules) -> tuple[list[Intent], list[int]]:
    """What the master does when the process says something."""
    asked: list[Intent] = []
    replaced: list[int] = []

    def replace(number: int) -> int:
        replaced.append(number)
        return layout.ACCEPTED

    with socket.socket() as listener:
        process = OpsProcess(listener, rules)
        process.begin(Means(-1, asked.append, replace))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(message)
            assert process.listen(Running(-1, ours, 0.0))
    return asked, replaced


def test_its_words_are_believed_as_far_as_they_are_orders() -> None:
    control = Rules(control=True)
    assert order_of(b"reload", control) == ([Intent.RELOAD], [])
    assert order_of(b"replace 3", control) == ([], [3])
    for rubbish in (b"stop", b"reload\n", b"RELOAD", b"\xff" * 16, b"x" * 60000, b"reload\0reload"):
        assert order_of(rubbish, control) == ([], [])
    assert order_of(b"reload", Rules()) == ([], []), "orders are not permitted"


def test_without_sockets_that_keep_bounds_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    make = socket.socketpair

    def refuse(family: int, kind: int) -> tuple[socket.socket, socket.socket]:
        if kind == socket.SOCK_SEQPACKET:
            raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
        return make(family, kind)

    monkeypatch.setattr(side_process.socket, "socketpair", refuse)
    ours, theirs = side_process._pair()
    with ours, theirs:
        for size in (1, 60_000, 7):
            theirs.send(b"x" * size)
        assert [len(ours.recv(1 << 16)) for _ in range(3)] == [1, 60_000, 7]


def test_a_start_that_fails_is_said_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as listener:
        process = OpsProcess(listener, Rules())
        process.begin(Means(-1, lambda _: None, lambda _: 0))
        before = len(os.listdir("/proc/self/fd"))
        for now in (0.0, 0.1, 10.0):
            process.look(now)
        assert len(os.listdir("/proc/self/fd")) == before
        assert (process.pid, process.fd) == (-1, None)
        assert process.due > 10.0
        process.end()
    said = [record.message for record in caplog.records]
    assert said[0] == (
        "Cannot start the ops process: No such file or directory. It is started again."
    )
    assert said[-1].endswith("The next attempt is in 1 s.")
