"""The life of a service in any process: what a stop says, and what is left alone."""

from __future__ import annotations

import gc
import signal
import sys
import time
from pathlib import Path

import pytest

from bare_serve import version
from bare_serve.counts.xray_order import Order
from bare_serve.server.embedded_slot import EmbeddedSlot
from bare_serve.workers.late_code import Prepared
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.wsgi.switch_interval import SwitchInterval
from bare_serve.xray import redact
from tests.support.waiting import eventually


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


def test_nothing_of_the_process_changes(life: ServiceLife, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(None))

    def state() -> list[object]:
        handlers = [signal.getsignal(signum) for signum in signal.valid_signals()]
        return [handlers, [*frozen], sys.getswitchinterval()]

    before = state()
    life.install(lambda: None)
    life.has_booted(SwitchInterval())
    life.keep_handlers()
    life.tick(2000, 1)
    life.tick(0, 1)
    life.reopen_if_asked(None)
    assert state() == before


class Ordered(EmbeddedSlot):
    """A slot with an order for an x-ray."""

    def xray_order(self) -> tuple[int, bytes]:
        return 5, Order(1).to_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2)")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import bare_serve.gone", "ModuleNotFoundError: No module named 'bare_serve.gone'"),
        ("def begin(worker, tracer): 1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'late' has no attribute 'begin'"),
    ],
)
def test_an_x_ray_that_cannot_be_attached_ends_no_worker(
    source: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where an upgrade has replaced the files that are imported for it."""
    (tmp_path / "late.py").write_text(f"def prepare(worker): pass\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "late", raising=False)
    life = ServiceLife(Ordered(lambda facts: None))

    def is_over() -> bool:
        life.heed_orders("app:app", "python", "late", None)
        return bool(caplog.records)

    eventually(is_over, "a line in the log")
    assert caplog.messages == [f"An x-ray cannot be attached: {said}."]
    life.heed_orders("app:app", "python", "late", None)
    assert (life.attached, len(caplog.records)) == (None, 1)
    assert not redact.shows_only_harmless()
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [link for link in links if str(link).startswith("/memfd:bare-serve-xray-5 ")]


def test_what_an_upgrade_has_left_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version.py").write_text('__version__ = "99.0"\n')
    monkeypatch.setattr(version, "__file__", str(tmp_path / "version.py"))
    prepared = Prepared("bare_serve.workers.wsgi.xray_attached", None, None)

    def refused() -> bool:
        return prepared._failure is not None

    eventually(refused, "the end of the thread")
    with pytest.raises(ImportError, match=r"its files are of 99.0 by now; USR2"):
        prepared.is_ready()


def test_a_worker_that_is_a_process_changes_it_and_gives_it_back() -> None:
    before, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    life = Lifecycle(EmbeddedSlot(lambda facts: None), None)
    try:
        life.has_booted()
        assert gc.get_freeze_count() > frozen
        assert sys.getswitchinterval() == before
        life.has_booted(SwitchInterval())
        assert sys.getswitchinterval() == pytest.approx(0.0001)
    finally:
        life.restore()
    assert sys.getswitchinterval() == before
