"""The life of a service in any process: what a stop says, and what is left alone."""

from __future__ import annotations

import gc
import signal
import sys
import time

import pytest

from bare_serve.server.embedded_slot import EmbeddedSlot
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.wsgi.switch_interval import SwitchInterval


@pytest.fixture
def life() -> ServiceLife:
    return ServiceLife(EmbeddedSlot(lambda facts: None), 20.0)


def test_a_stop_wakes_the_loop_and_a_second_one_may_hurry(life: ServiceLife) -> None:
    woken: list[bool] = []
    life.install(lambda: woken.append(life.hurry), lambda: woken.append(True))
    life.stop()
    life.stop(hurry=True)
    life.stop()
    assert (life.stopping, life.hurry, woken) == (True, True, [False, True, True])
    life.restore()
    life.stop()
    assert len(woken) == 3, "nothing is left to wake"


def test_the_time_that_a_stop_leaves(life: ServiceLife) -> None:
    assert life.leave_by <= time.monotonic() + 1.0, "unasked, it ends soon"
    life.stop()
    assert 18.0 < life.leave_by - time.monotonic() <= 19.0
    life.grace = 1.0
    assert life.leave_by - time.monotonic() <= 0.9
    assert not life.has_master


def test_nothing_of_the_process_changes(life: ServiceLife) -> None:
    def state() -> list[object]:
        handlers = [signal.getsignal(signum) for signum in signal.valid_signals()]
        return [handlers, gc.get_freeze_count(), sys.getswitchinterval()]

    before = state()
    life.install(lambda: None)
    life.has_booted(SwitchInterval())
    life.keep_handlers()
    life.tick(2000, 1)
    life.tick(0, 1)
    life.reopen_if_asked(None)
    assert state() == before


def test_a_worker_that_is_a_process_changes_it_and_gives_it_back() -> None:
    before = sys.getswitchinterval()
    life = Lifecycle(EmbeddedSlot(lambda facts: None), None)
    try:
        life.has_booted()
        assert gc.get_freeze_count() > 0
        assert sys.getswitchinterval() == before
        life.has_booted(SwitchInterval())
        assert sys.getswitchinterval() == pytest.approx(0.0001)
    finally:
        gc.unfreeze()
        life.restore()
    assert sys.getswitchinterval() == before
