"""Stacks by the ops process: of workers that do anything at all, while probes are answered."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.ops.support import has_process, open_descriptors, with_ops
from tests.support import RawClient, eventually, halt

STUCK = """
import re, time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/regex":
        re.match(r"(a+)+$", "a" * 40 + "b")
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(600)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_stacks_of_a_worker_that_is_stuck_in_c(tmp_path: Path) -> None:
    with with_ops(
        "--timeout-graceful-shutdown", "0.1", ops=f"unix:{tmp_path}/ops", source=STUCK, cwd=tmp_path
    ) as ops:
        ops.all_serve()
        with RawClient(ops.server.address) as sleeper, RawClient(ops.server.address) as burner:
            sleeper.send(b"GET /sleep?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n")

            def seen() -> bool:
                return b'app.py", line 7 in app' in ops.ask("/stacks").body

            eventually(seen, "the one that sleeps")
            assert b"GET /sleep" in ops.ask("/stacks?worker=1").body, "its owner may see requests"
            burner.send(b"GET /regex HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: b"line 5 in app" in ops.ask("/stacks").body, "the one that computes")
            before = len(open_descriptors(has_process(ops)))
            for _ in range(20):
                assert ops.ask("/stacks").status == 200
            # The connection of the last answer may be open for a moment, before as well as now.
            eventually(
                lambda: len(open_descriptors(ops.pid)) <= before, "no descriptor is left over"
            )
            ops.server.send_signal(signal.SIGQUIT)
            ops.server.wait()


def test_a_worker_that_is_stopped_keeps_no_probe_waiting() -> None:
    with with_ops("--workers", "2", source=STUCK) as ops:
        ops.all_serve()
        stopped = ops.workers[0]
        halt(stopped)
        try:
            with RawClient(ops.address) as client:
                client.send(b"GET /stacks HTTP/1.1\r\nHost: localhost\r\n\r\n")
                began = time.monotonic()
                asked = 0
                while time.monotonic() - began < 0.5:
                    assert ops.ask("/live").status == 200
                    asked += 1
                assert asked > 10
                body = client.response().body.decode()
            assert body.count("no stacks: its process is stopped") == 1
            assert body.count("most recent call first") >= 1
            with RawClient(ops.address) as gone:
                gone.send(b"GET /stacks HTTP/1.1\r\nHost: localhost\r\n\r\n")
            eventually(lambda: ops.ask("/stacks").status == 200, "room for another")
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_status_has_the_requests_of_this_very_moment(tmp_path: Path) -> None:
    with with_ops(
        *("--workers", "2", "--timeout-graceful-shutdown", "0.1"),
        ops=f"unix:{tmp_path}/ops",
        source=STUCK,
        cwd=tmp_path,
    ) as ops:
        ops.all_serve()
        with RawClient(ops.server.address) as sleeper:
            sleeper.send(b"GET /sleep?of=mine HTTP/1.1\r\nHost: a\r\n\r\n")

            def flight() -> list[dict[str, Any]]:
                workers = json.loads(ops.ask("/status").body)["workers"]
                assert all(each["flight_written_for"] < 0.1 + each["age"] for each in workers)
                return [request for each in workers for request in each["flight"]]

            [request] = eventually(flight, "the request, without anybody who watches")
            assert request["request"] == "GET /sleep?of=mine"
            assert request["where"] == "app.py:7 in app"
            ops.server.send_signal(signal.SIGQUIT)
            ops.server.wait()
