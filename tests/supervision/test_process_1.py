"""The master as process 1 of a container."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support import children_of, eventually, serve

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a namespace")
# Process 1 of a namespace of its own, if this machine lets us have one.
AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "bare_serve")
ORPHANING = """
import os, time
def app(environ, start_response):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
    start_response("200 OK", [])
    return [b"hi"]
"""


@AS_ROOT
def test_process_1_reaps_strangers_and_hears_signals() -> None:
    with serve("app:app", source=ORPHANING, command=AS_PROCESS_1, ready=False) as server:
        eventually(lambda: "http://" in server.stderr or server.process.poll() is not None)
        if server.process.poll() is not None:
            pytest.skip("no namespaces here")
        server.wait_until_ready()
        for _ in range(5):
            assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"
        [master] = children_of(server.pid)
        tasks = Path(f"/proc/{master}/task/{master}/children")
        eventually(lambda: len(tasks.read_text().split()) == 1, "no zombie")
        os.kill(master, signal.SIGTERM)
        assert server.wait() == 0
