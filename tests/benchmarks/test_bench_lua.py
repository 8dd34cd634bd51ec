"""bench.lua: what wrk really sends. Each test is one short load on a server of a few lines."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from collections.abc import Callable

import pytest

from benchmarks import wrk
from benchmarks.process import Running
from benchmarks.scenarios import BY_NAME

Serve = Callable[[Callable[[socket.socket], None]], Running]
pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def heads_of(serve: Serve, load: wrk.Load) -> list[str]:
    """Return the first 5000 heads of a load on one connection."""
    heads: list[str] = []

    def handle(client: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):  # wrk leaves in the middle of an answer
            while piece := client.recv(65536):
                *whole, buffer = (buffer + piece).split(b"\r\n\r\n")
                heads.extend(head.decode() for head in whole if len(heads) < 5000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * len(whole))

    running = serve(handle)
    one = wrk.Load(1, load.path, load.script)
    found = wrk.run(one, f"http://127.0.0.1:{running.launch.port}", 1, [0])
    assert found.failed == 0
    assert len(heads) > 20  # in a second, however busy the machine is
    return heads


def fields(head: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def test_the_path_alone_varies(serve: Serve) -> None:
    heads = heads_of(serve, BY_NAME["path-varies"].load)
    lines = [head.partition("\r\n")[0] for head in heads]
    assert all(re.fullmatch(r"GET /items/(\d+)\?q=\1 HTTP/1\.1", line) for line in lines)
    assert len(set(lines)) == len(lines)
    rest = {head.partition("\r\n")[2] for head in heads}
    assert len(rest) == 1
    assert len(fields(heads[0])) == 14


def test_path_cookie_and_forwarded_address_vary(serve: Serve) -> None:
    heads = heads_of(serve, BY_NAME["all-varies"].load)
    for name in ("Cookie", "X-Forwarded-For"):
        assert len({fields(head)[name] for head in heads}) == len(heads)
    assert len({head.partition("\r\n")[0] for head in heads}) == len(heads)
    addresses = [fields(head)["X-Forwarded-For"] for head in heads]
    assert all(re.fullmatch(r"198\.18\.\d+\.\d+", address) for address in addresses)
    assert all(int(part) < 256 for address in addresses for part in address.split("."))
    same = [{k: v for k, v in fields(h).items() if k not in ("Cookie", "X-Forwarded-For")}
            for h in heads]  # fmt: skip
    assert all(each == same[0] for each in same)


def test_without_it_every_request_is_the_same(serve: Serve) -> None:
    assert len(set(heads_of(serve, BY_NAME["hello-browser"].load))) == 1
