"""What signals do during a stop: nothing. And what a replacement makes good is forgiven."""

from __future__ import annotations

import signal

import pytest

from tests.supervision.master import master
from tests.support import eventually

HOLDS_ON = """
def run_worker(slot, index):
    serve(slot, index, stop=lambda life: life.hurry)
"""


@pytest.mark.parametrize(
    ("signum", "unsaid"),
    [
        (signal.SIGHUP, "Reloading"),
        (signal.SIGTTIN, "Now 3 workers"),
        (signal.SIGTTOU, "Now 1 workers"),
        (signal.SIGUSR2, "Replacing the server"),
    ],
)
def test_a_stop_is_not_undone(signum: int, unsaid: str) -> None:
    with master(HOLDS_ON, workers=2, timeout_graceful_shutdown=600) as m:
        m.ready(2)
        m.send(signal.SIGTERM)
        m.logged("requests have 600 s to finish")
        m.send(signum)
        m.send(signal.SIGTERM)  # signals are taken in their order
        assert m.wait() == 0
        assert unsaid not in m.stderr
        assert len(m.notes("up")) == 2, "nobody was started any more"
        assert len(m.notes("drained")) == 2


FAILS_ONCE_IT_IS_WORN = """
def crash_if_asked(life):
    if (SCRATCH / "crash").exists():
        (SCRATCH / "crash").unlink()
        raise RuntimeError("asked to")
    return life.stopping

def run_worker(slot, index):
    if not (SCRATCH / "first").exists():
        (SCRATCH / "first").touch()
        beat = slot.beat
        slot.beat = lambda connections, requests: beat(connections, 100)
    elif not (SCRATCH / "repaired").exists():
        return slot.failed("Broken.", "Traceback of the app")
    serve(slot, index, stop=crash_if_asked)
"""


def test_a_replacement_that_came_up_is_forgiven_those_that_did_not() -> None:
    policy = {"max_requests": 1, "max_requests_jitter": 0, "stable_after": 600}
    policy |= {"backoff_first": 0.01, "backoff_most": 0.04}
    with master(FAILS_ONCE_IT_IS_WORN, workers=1, **policy) as m:
        [(_, first)] = m.ready(1)
        m.logged(f"Worker 1 (pid {first}) goes on. The next attempt is in 0.04 s.")
        (m.scratch / "repaired").touch()
        m.ready(2)
        eventually(lambda: ["1", str(first)] in m.notes("drained"))
        (m.scratch / "crash").touch()
        m.ready(3)
        [end] = [line for line in m.stderr.splitlines() if "RuntimeError: asked to" in line]
        after = m.stderr.partition(end)[2]
        assert "It is replaced at once." in after, after
        assert m.stop() == 0
