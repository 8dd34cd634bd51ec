"""child_exit with what people use it for: prometheus_client's files of a worker that is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support import RawClient, eventually, serve

APP = """
from prometheus_client import Gauge

busy = Gauge("busy", "requests", multiprocess_mode="livesum")

def app(environ, start_response):
    busy.inc()
    start_response("200 OK", [])
    return [b"ok"]
"""
HOOKS = """
def child_exit(facts):
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(facts.pid)
"""


def test_the_files_of_a_killed_worker_are_removed(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    files = tmp_path / "metrics"
    files.mkdir()
    (tmp_path / "hooks.py").write_text(HOOKS)
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(files)}
    with serve("app:app", "--hooks", "hooks.py", source=APP, cwd=tmp_path, env=environ) as server:
        with RawClient(server.address) as client:
            assert client.request().body == b"ok"
        [worker] = server.workers
        live = files / f"gauge_livesum_{worker}.db"
        assert live.exists()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not live.exists())
