"""The application of the stress test: views of every temper, each request with a name of its own.

/instant/NAME, /sleep/NAME, /compute/NAME, /crash/NAME, /stream/NAME and /upload/NAME; /report tells
how often each name was called, and which threads served.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from typing import Any

from bare_serve.workers.poller import SelectorPoller
from bare_serve.workers.wsgi import worker as wsgi_worker

if os.environ.get("STRESS_POLLER") == "selectors":
    wsgi_worker.make_poller = SelectorPoller  # type: ignore[assignment]

SLEEP = float(os.environ.get("STRESS_SLEEP", "0.02"))

calls: Counter[str] = Counter()
lock = threading.Lock()
local = threading.local()
mixed_up: list[str] = []


def app(environ: dict[str, Any], start_response: Any) -> Any:
    _, kind, name = (environ["PATH_INFO"] + "/").split("/")[:3]
    if kind == "report":
        return answer(start_response, json.dumps(report()).encode())
    with lock:
        calls[name] += 1
    local.name = name
    body = name.encode()
    if kind == "sleep":
        time.sleep(SLEEP)
    elif kind == "compute":
        end = time.thread_time() + SLEEP / 4
        while time.thread_time() < end:
            pass
    elif kind == "upload":
        body += b" " + str(len(environ["wsgi.input"].read())).encode()
    if local.name != name:
        mixed_up.append(name)
    if kind == "crash":
        raise RuntimeError(f"asked for by {name}")
    if kind == "stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (piece for piece in (body, b" ", b"x" * 100_000))
    return answer(start_response, body)


def answer(start_response: Any, body: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def report() -> dict[str, Any]:
    threads = [thread.name for thread in threading.enumerate()]
    with lock:
        return {"calls": dict(calls), "threads": threads, "mixed_up": mixed_up}
