"""Gathered bodies: what they may take of the disk together, and what a client is told beyond."""

from __future__ import annotations

import logging
import tempfile
import threading
from typing import Any

import pytest

from bare_serve.errors import RequestError
from bare_serve.workers.wsgi.spool import SPOOL_BYTES, GatheredBody, Spool, free_bytes
from tests.support import RawClient, eventually
from tests.workers.wsgi.threads import PLAIN, Environ, Running, Serve, get, serve_on

__all__ = ["serve_on"]

MIB = 1 << 20
PLENTY = 1 << 40
CHUNKED = "Transfer-Encoding: chunked"


def spool(limit: int, free: int = PLENTY) -> Spool:
    return Spool(limit, lambda: free)


def filled(of: Spool, size: int) -> GatheredBody:
    body = of.body()
    for start in range(0, size, 1 << 16):
        body.write(b"x" * min(1 << 16, size - start))
    return body


def refusal(of: Spool, size: int) -> RequestError:
    body = of.body()
    try:
        for _ in range(size >> 16):
            body.write(b"x" * (1 << 16))
    except RequestError as error:
        return error
    finally:
        body.close()
    raise AssertionError("it was taken")


def test_what_memory_holds_is_not_counted() -> None:
    of = spool(0, free=-1)
    with filled(of, SPOOL_BYTES) as body:
        assert of.held == 0
        body.seek(0)
        assert len(body.read()) == SPOOL_BYTES
        with pytest.raises(RequestError):
            body.write(b"x")
    assert of.held == 0


@pytest.mark.parametrize("how", ["close", "with", "twice"])
def test_a_file_is_counted_until_it_is_closed(how: str) -> None:
    of = spool(4 * MIB)
    body = filled(of, 3 * MIB)
    assert of.held == 3 * MIB
    assert refusal(of, 2 * MIB).status == 503
    assert of.held == 3 * MIB
    if how == "with":
        with body:
            assert body.tell() == 3 * MIB
    else:
        body.close()
    if how == "twice":
        body.close()
    assert of.held == 0
    filled(of, 4 * MIB).close()


def test_who_is_told_what() -> None:
    of = spool(2 * MIB)
    assert refusal(of, 3 * MIB).status == 413, "it would never fit"
    body = filled(of, MIB)
    told = refusal(of, 2 * MIB)
    assert (told.status, told.headers) == (503, b"Retry-After: 5\r\n")
    body.close()
    assert refusal(spool(PLENTY, free=SPOOL_BYTES), MIB).status == 507


def test_an_announced_length_is_refused_before_it_comes() -> None:
    of = spool(3 * MIB)
    with filled(of, 2 * MIB), of.body() as body:
        body.expect(MIB)
        with pytest.raises(RequestError, match="503"):
            body.expect(MIB + 1)
        body.expect(SPOOL_BYTES)
    assert of.held == 0


def test_the_disk_is_looked_at_as_it_fills() -> None:
    left = 40 * MIB
    of = Spool(PLENTY, lambda: left - of.held)
    assert refusal(of, 64 * MIB).status == 507
    with filled(of, 30 * MIB):
        assert refusal(of, 16 * MIB).status == 507
    with filled(of, 40 * MIB):
        pass


def test_one_line_until_there_is_room_again(caplog: pytest.LogCaptureFixture) -> None:
    of = spool(4 * MIB)
    for episode in (1, 2):
        first, second = filled(of, 3 * MIB), filled(of, MIB)
        for _ in range(3):
            assert refusal(of, MIB).status == 503
        second.close()
        assert refusal(of, 2 * MIB).status == 503
        assert len(caplog.records) == episode
        first.close()
    assert "--limit-spool" in caplog.records[0].message


def test_files_of_many_threads_are_counted_right() -> None:
    of = spool(PLENTY)
    threads = [
        threading.Thread(target=lambda: [filled(of, MIB).close() for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of.held == 0


def test_the_disk_of_this_machine() -> None:
    assert isinstance(free_bytes(), int)


def test_without_a_place_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/place")
    with Spool(PLENTY).body() as body, pytest.raises(OSError, match="No such file"):
        body.expect(MIB)


# ---------------------------------------------------------------- served


def length(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"%d" % len(environ["wsgi.input"].read())]


def held_by(worker: Running) -> int:
    return worker.shared.spool.held


def test_bodies_beyond_the_budget_are_refused(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    chunk = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
    head = get("/", CHUNKED, method="POST")
    with serve_on(length, limit_spool=3 * MIB) as worker, worker.client() as holder:
        holder.send(head + chunk * 2)
        eventually(lambda: held_by(worker) == 2 * MIB)
        for _ in range(2):
            with worker.client() as late:
                late.send(head + chunk + b"1\r\n")
                eventually(lambda: held_by(worker) == 3 * MIB)
                late.send(b"x\r\n")
                answer = late.response()
                assert (answer.status, answer.header("retry-after")) == (503, "5")
                assert late.is_closed()
            eventually(lambda: held_by(worker) == 2 * MIB)
        with worker.client() as small:
            small.send(head + b"3\r\nabc\r\n0\r\n\r\n")
            assert small.response().body == b"3", "memory holds it"
        holder.send(b"0\r\n\r\n")
        assert holder.response().body == b"%d" % (2 * MIB)
        eventually(lambda: held_by(worker) == 0)
        holder.send(head + chunk * 3 + b"0\r\n\r\n")
        assert holder.response().body == b"%d" % (3 * MIB)
        assert [each.levelno for each in caplog.records].count(logging.WARNING) == 1


def test_a_length_beyond_the_budget_is_refused_at_once(serve_on: Serve) -> None:
    """With one thread all bodies are gathered. Nothing is sent, and no 100 is told."""
    with serve_on(length, limit_spool=MIB, threads=1) as worker, worker.client() as client:
        lines = (f"Content-Length: {MIB + 1}", "Expect: 100-continue")
        client.send(get("/", *lines, method="POST"))
        answer = client.response()
        assert (answer.status, answer.interim) == (413, ())
        assert client.is_closed()
        with worker.client() as other:
            assert other.request("POST", "/", body=bytes(MIB)).body == b"%d" % MIB


@pytest.mark.parametrize("reset", [True, False])
def test_who_leaves_in_the_middle_gives_its_room_back(serve_on: Serve, reset: bool) -> None:
    with serve_on(length, limit_spool=2 * MIB) as worker:
        client: RawClient = worker.client()
        client.send(get("/", CHUNKED, method="POST") + b"%x\r\n%s" % (4 * MIB, bytes(MIB)))
        eventually(lambda: held_by(worker) == MIB)
        if reset:
            client.send(bytes(2 * MIB))
        client.close()
        eventually(lambda: held_by(worker) == 0)
