"""Workers whose master is gone, and signals that reach the whole group."""

from __future__ import annotations

import os
import signal

import pytest

from tests.supervision.master import master
from tests.support import eventually, is_alive, serve

ASGI = "async def app(scope, receive, send): pass"
WSGI = "def app(environ, start_response): pass"


def test_orphan_drains() -> None:
    with master(workers=2) as m:
        pids = [pid for _, pid in m.ready(2)]
        m.send(signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, pids)))
        assert len(m.notes("drained")) == 2


@pytest.mark.parametrize("app", [ASGI, WSGI])
def test_orphan_says_why_it_ends(app: str) -> None:
    with serve("app:app", source=app) as server:
        [pid] = server.workers
        server.send_signal(signal.SIGKILL)
        eventually(lambda: not is_alive(pid))
        said = f"ERROR [{pid}] The master (pid {server.pid}) is gone: "
        eventually(lambda: said in server.stderr)


def test_orphan_that_is_stuck_ends_with_its_stacks() -> None:
    source = """
def stuck_for_ever():
    note("stuck")
    while True:
        time.sleep(60)
def run_worker(slot, index):
    import bare_serve.workers.lifecycle as module
    module._ORPHANS_MARGIN = 0.1
    life = Lifecycle(slot, MASTER, 0.1)
    life.install(lambda: None)
    slot.ready({"index": "1"})
    stuck_for_ever()
"""
    with master(source, workers=1) as m:
        eventually(lambda: m.notes("stuck"))
        eventually(lambda: m.notes("banner"))
        [pid] = m.workers
        m.send(signal.SIGKILL)
        eventually(lambda: not is_alive(pid))
        assert "in stuck_for_ever" in m.stderr


def test_signals_to_the_whole_group_are_the_masters_business() -> None:
    with master(workers=2) as m:
        old = m.ready(2)
        eventually(lambda: m.notes("banner"))
        for signum in (signal.SIGUSR1, signal.SIGHUP):
            os.killpg(m.pid, signum)
        m.logged("Reloaded: all workers are new.")
        assert len(m.ready(4)) == 4
        eventually(lambda: len(m.notes("drained")) == 2)
        assert {pid for _, pid in old} == {int(pid) for _, pid in m.notes("drained")}
        os.killpg(m.pid, signal.SIGTERM)
        assert m.wait() == 0
        # Perhaps one more, if the master saw its worker leave before its own signal.
        eventually(lambda: len(m.notes("drained")) >= 4)


def test_a_master_that_lives_interrupts_nobody() -> None:
    """The signal that tells of its end is sent for reads of its pipe as well."""
    source = """
def told(life, *_):
    note("interrupted")
Lifecycle._on_pipe = told
"""
    with master(source, workers=1) as m:
        m.ready(1)
        eventually(lambda: m.notes("banner"))
        for count in (2, 3):
            m.send(signal.SIGTTIN)
            m.ready(count)
        assert m.stop() == 0
        # Each is heard once at the most: when the master takes its word that it is ready.
        assert len(m.notes("interrupted")) <= 3
