"""The ops process as its clients see it: what is answered, refused, bounded."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.ops.support import Ops, has_process, memory_of, with_ops
from tests.support import RawClient, eventually

TOKEN = "a-token-of-some-length"
BEARER = f"Authorization: Bearer {TOKEN}"


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ops]:
    token = tmp_path_factory.mktemp("ops") / "token"
    token.touch(0o600)
    token.write_text(f"{TOKEN}\n")
    arguments = ("--ops-control", "--ops-token-file", str(token), "--workers", "2")
    with with_ops(*arguments) as running:
        running.all_serve()
        yield running


@pytest.mark.parametrize(
    ("method", "target", "lines", "status"),
    [
        ("GET", "/", [], 200),
        ("GET", "/live", [], 200),
        ("HEAD", "/live", [], 200),
        ("GET", "/ready", [], 200),
        ("GET", "/ready?workers=all", [], 200),
        ("GET", "/ready?workers=3", [], 400),
        ("GET", "/nothing", [], 404),
        ("GET", "/live/", [], 404),
        ("GET", "/%6cive", [], 404),
        ("GET", "/stacks?worker=x", [BEARER], 400),
        ("GET", "/stacks?worker=77", [BEARER], 404),
        ("GET", "/stacks", [], 403),
        ("POST", "/live", [], 405),
        ("DELETE", "/ready", [], 405),
        ("GET", "/reload", [], 405),
        ("HEAD", "/replace/1", [], 405),
        ("POST", "/replace/0", [], 404),
        ("POST", "/replace/", [], 404),
        ("POST", "/stop", [], 404),
        ("POST", "/reload", [], 403),
        ("POST", "/reload", ["X-Bare-Serve: 1"], 403),
        ("POST", "/reload", ["X-Bare-Serve: 1", f"{BEARER}!"], 403),
        ("POST", "/reload", [BEARER], 403),
        ("POST", "/reload", ["X-Bare-Serve: 1", BEARER, "Origin: http://evil.example"], 403),
        ("POST", "/reload", ["X-Bare-Serve: 1", BEARER, "Sec-Fetch-Site: cross-site"], 403),
        ("POST", "/live", ["Content-Length: 5000"], 413),
        ("GET", f"/{'x' * 3000}", [], 414),
        ("GET", "/live", [f"X-A: {'x' * 9000}"], 431),
        ("GET", "/live", [f"X-{n}: 1" for n in range(80)], 431),
        ("CONNECT", "a:1", [], 501),
    ],
)
def test_what_is_answered(
    ops: Ops, method: str, target: str, lines: list[str], status: int
) -> None:
    before = ops.server.stderr.count("passes on an order")
    answer = ops.ask(target, *lines, method=method)
    assert answer.status == status
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert "default-src 'none'" in (answer.header("content-security-policy") or "")
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert ops.server.stderr.count("passes on an order") == before


def test_a_foreign_host_is_no_host_of_this_address(ops: Ops) -> None:
    mine = ("X-Bare-Serve: 1", BEARER)
    assert ops.ask("/reload", *mine, method="POST", host="evil.example").status == 421
    assert ops.ask("/live", host="evil.example").status == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 50]
)
def test_what_is_no_http_is_refused(ops: Ops, garbage: bytes) -> None:
    with RawClient(ops.address) as client:
        client.send(garbage)
        client.send_eof()
        assert client.read_to_eof()[:12] in (b"HTTP/1.1 400", b"")


def test_nothing_that_clients_send_ends_it(ops: Ops) -> None:
    pid, random = has_process(ops), Random(7)
    words = [b"GET /", b"POST /", b"stacks", b"live", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n"]
    words += [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n", b"\0", b"\xff"]
    for _ in range(150):
        with RawClient(ops.address) as client, suppress(OSError):
            client.send(b"".join(random.choices(words, k=random.randrange(1, 40))))
            if random.random() < 0.3:
                client.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
    assert ops.ask("/live").status == 200
    assert ops.pid == pid
    assert "Traceback" not in ops.server.stderr


def test_connections_persist_and_requests_may_be_sent_ahead(ops: Ops) -> None:
    with RawClient(ops.address) as client:
        client.send(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        assert [client.response().status for _ in range(5)] == [200] * 5
        client.send(b"POST /live HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert client.response().status == 405
        assert client.is_closed()


def test_slow_clients_keep_nobody_out_and_endless_heads_take_no_memory(ops: Ops) -> None:
    before = memory_of(has_process(ops))
    slow = [RawClient(ops.address) for _ in range(32)]
    try:
        for client in slow:
            client.send(b"GET /live HTTP/1.1\r\nHost: a\r\nX-A: ")
        for _ in range(3):  # each makes room for itself
            assert ops.ask("/live").status == 200
        with RawClient(ops.address) as endless, suppress(OSError):
            endless.send(b"GET / HTTP/1.1\r\nX-A: ")
            for _ in range(10 * 64):
                endless.send(b"a" * (1 << 14))
            raise AssertionError("10 MiB of head were taken")
        assert ops.ask("/live").status == 200
        grown = memory_of(ops.pid) - before
        assert grown < 1024
    finally:
        for client in slow:
            client.close()


def test_who_sends_no_head_is_told_so_in_time(ops: Ops) -> None:
    with RawClient(ops.address, timeout=20) as client:
        began = time.monotonic()
        client.send(b"GET /li")
        assert client.response().status == 408
        assert 4 < time.monotonic() - began < 15


def test_orders_are_obeyed_as_if_a_signal_had_come(ops: Ops) -> None:
    before = {*ops.workers}
    for verb, told in (
        ("more", "Now 3 workers."),
        ("fewer", "Now 2 workers."),
        ("reopen", "Log files are reopened."),
        ("reload", "Reloaded: all workers are new."),
    ):
        answer = ops.order(f"/{verb}", BEARER)
        assert answer.status == 202
        assert answer.body.startswith(verb.encode())
        ops.server.wait_for_output(told)
        ops.server.wait_for_output(f"passes on an order: {verb}.")
    eventually(lambda: len(ops.workers) == 2, "two workers")
    assert not before & {*ops.workers}
    ops.all_serve()


def test_one_worker_is_replaced(ops: Ops) -> None:
    ops.all_serve()
    before = ops.workers
    assert ops.order("/replace/9", BEARER).status == 404
    assert ops.order("/replace/2", BEARER).status == 202
    ops.server.wait_for_output("has to leave by order of an operator and is replaced.")
    eventually(lambda: len({*before} & {*ops.workers}) == 1, "one of them gone")
    eventually(lambda: len(ops.workers) == 2, "two workers")


def test_orders_through_a_unix_socket_need_no_token(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)  # others get to the socket
    path = tmp_path / "ops.sock"
    with with_ops("--ops-control", ops=f"unix:{path}") as ops:
        ops.all_serve()
        assert path.stat().st_mode & 0o777 == 0o600
        assert ops.ask("/more", method="POST").status == 403
        assert ops.order("/more").status == 202
        ops.server.wait_for_output("Now 2 workers.")
        if os.geteuid() == 0:
            assert _as_user(65534, path) == "forbidden"
            path.chmod(0o666)
            assert _as_user(65534, path) == "403"
        assert ops.server.stop() == 0
    assert not path.exists()


def _as_user(uid: int, path: Path) -> str:
    """What becomes of an order of another user."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b"POST /more HTTP/1.1\r\nHost: localhost\r\nX-Bare-Serve: 1\r\n\r\n")
                os.write(write, sock.recv(12)[-3:])
        except PermissionError:
            os.write(write, b"forbidden")
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    said = os.read(read, 100).decode()
    os.close(read)
    return said


def test_signals_for_the_whole_group_leave_it_alone(ops: Ops) -> None:
    pid = has_process(ops)
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGQUIT):
        os.kill(pid, signum)
    assert ops.ask("/live").status == 200
    assert ops.pid == pid
