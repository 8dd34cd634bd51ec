"""Workers come up, are replaced when they die, and fail in a way that tells."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bare_serve.errors import UsageError
from bare_serve.supervision import Callbacks, Policy, Supervisor
from tests.supervision.master import master
from tests.support import eventually, is_alive


def test_every_worker_comes_up_and_the_banner_once() -> None:
    with master(workers=3) as m:
        ready = m.ready(3)
        assert sorted(index for index, _ in ready) == [1, 2, 3]
        assert sorted(m.workers) == sorted(pid for _, pid in ready)
        eventually(lambda: m.notes("banner"))
        assert m.stop() == 0
        assert len(m.notes("banner")) == 1
        assert sorted(m.notes("drained")) == sorted(m.notes("ready"))
        assert m.notes()[-1] == ["end"]


def test_killed_worker_is_replaced_at_once_and_the_others_stay() -> None:
    with master(workers=2) as m:
        first = dict(m.ready(2))
        os.kill(first[2], signal.SIGKILL)
        m.logged(
            f"Worker 2 (pid {first[2]}) was killed by SIGKILL, not by this server. "
            "It is replaced at once."
        )
        index, pid = m.ready(3)[2]
        assert index == 2
        assert sorted(m.workers) == sorted([first[1], pid])
        assert m.stop() == 0


def test_worker_that_was_told_to_stop_by_somebody_else_is_replaced() -> None:
    with master(workers=1) as m:
        [(_, pid)] = m.ready(1)
        os.kill(pid, signal.SIGTERM)
        m.logged(f"Worker 1 (pid {pid}) exited with code 0. It is replaced at once.")
        m.ready(2)
        assert m.stop() == 0


LOOKS_AT_THE_COLLECTOR = """
def run_worker(slot, index):
    import gc
    note("collector", len(gc.get_objects()), gc.get_freeze_count())
    serve(slot, index)
"""


def test_the_collector_leaves_alone_what_is_shared_with_the_master() -> None:
    with master(LOOKS_AT_THE_COLLECTOR, workers=1) as m:
        m.ready(1)
        [[looked_at, left_alone]] = m.notes("collector")
        assert int(looked_at) < int(left_alone) / 20
        assert m.stop() == 0


CRASHES_ON_THE_SECOND_BOOT = """
def run_worker(slot, index):
    note("born", time.monotonic())
    if (SCRATCH / "broken").exists():
        slot.failed("No such table.", "Traceback of the app")
        return
    serve(slot, index)
"""


def test_crash_loop_backs_off_and_shows_the_traceback_once() -> None:
    policy = {"backoff_first": 0.1, "backoff_most": 0.3}
    with master(CRASHES_ON_THE_SECOND_BOOT, workers=1, **policy) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "broken").touch()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(m.notes("born")) >= 7)
        times = [float(time) for [time] in m.notes("born")][1:7]
        gaps = [after - before for before, after in pairwise(times)]
        # Lower bounds only: a busy machine may take any time longer.
        assert all(
            gap >= least for gap, least in zip(gaps, [0, 0.1, 0.2, 0.3, 0.3], strict=True)
        ), gaps
        assert m.stderr.count("Traceback of the app") == 1
        assert "No such table. The next attempt is in 0.2 s." in m.stderr
        (m.scratch / "broken").unlink()
        m.ready(2)
        assert m.stop() == 0


@pytest.mark.parametrize(("workers", "seconds"), [(1, "0.1"), (2, "0.5")])
def test_worker_that_is_killed_again_and_again_is_missed_for_a_moment_only(
    workers: int, seconds: str
) -> None:
    with master(workers=workers, backoff_first=600, backoff_most=600, stable_after=600) as m:
        m.ready(workers)
        for kill in range(1, 5):
            [*_, (_, pid)] = m.ready(workers + kill - 1)
            eventually(lambda kill=kill: m.stderr.count("is ready") >= kill - 1)
            os.kill(pid, signal.SIGKILL)
        m.ready(workers + 4)
        kills = re.findall(r"not by this server\. (.*)", m.stderr)
        assert kills == ["It is replaced at once.", *[f"The next attempt is in {seconds} s."] * 3]
        assert m.stop() == 0


def test_backoff_doubles_up_to_its_limit() -> None:
    policy = Policy(backoff_first=0.5, backoff_most=15)
    delays = [policy.backoff(crashes) for crashes in (0, 1, 2, 3, 4, 6, 7, 10_000)]
    assert delays == [0, 0, 0.5, 1, 2, 8, 15, 15]


def test_first_generation_that_cannot_boot_ends_the_master_once() -> None:
    source = """
def run_worker(slot, index):
    note("born", index)
    slot.failed("No module named 'shop'.", "Traceback of the app")
"""
    with master(source, workers=4) as m:
        assert m.wait() == 3
        assert m.stderr.count("No module named 'shop'.") == 1
        assert m.stderr.count("Traceback of the app") == 1
        assert max(Counter(index for [index] in m.notes("born")).values()) == 1
        assert m.notes("banner") == []


def test_boot_failure_stops_workers_that_would_hang() -> None:
    source = """
def run_worker(slot, index):
    if index == 1:
        return slot.failed("Broken.")
    Lifecycle(slot, MASTER).install(lambda: None)
    while True:
        time.sleep(60)
"""
    with master(source, workers=2, timeout_graceful_shutdown=600) as m:
        assert m.wait() == 3
        assert m.stderr.count("Broken.") == 1


def test_failure_of_one_worker_does_not_end_a_server_that_serves() -> None:
    source = """
def run_worker(slot, index):
    if index == 2 and not (SCRATCH / "repaired").exists():
        while not (SCRATCH / "one-is-ready").exists():
            time.sleep(0.005)
        slot.failed("Broken.")
        return
    serve(slot, index)
def on_ready(facts):
    note("banner", facts["index"])
    (SCRATCH / "one-is-ready").touch()
"""
    with master(source, workers=2, backoff_first=0.01) as m:
        m.logged("Broken. The next attempt is in 0.01 s.")
        (m.scratch / "repaired").touch()
        assert {index for index, _ in m.ready(2)} == {1, 2}
        assert m.stop() == 0


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL before it was ready."),
        ("os._exit(9)", "exited with code 9 before it was ready."),
        ("return", "exited with code 0 before it was ready."),
        ("sys.exit(5)", "The application called sys.exit(5) while starting."),
        ("raise RuntimeError('kaputt')", "RuntimeError: kaputt"),
    ],
)
def test_death_without_a_word_is_a_boot_failure(death: str, told: str) -> None:
    with master(f"def run_worker(slot, index):\n    {death}", workers=1) as m:
        assert m.wait() == 3
        assert m.stderr.count(told) == 1


def test_worker_that_is_not_ready_in_time_is_killed_with_its_stacks() -> None:
    source = """
def importing_for_ever():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)
def run_worker(slot, index):
    importing_for_ever()
"""
    with master(source, workers=1, timeout_boot=0.3) as m:
        assert m.wait() == 3
        assert "in importing_for_ever" in m.stderr
        assert m.stderr.count("was not ready within 0.3 s.") == 1


def test_long_traceback_arrives_whole() -> None:
    source = """
def run_worker(slot, index):
    slot.failed("Too much.", "<" + "x" * 1_000_000 + ">")
"""
    with master(source, workers=1) as m:
        assert m.wait() == 3
        assert "<" + "x" * 1_000_000 + ">" in m.stderr


def test_exception_in_a_ready_worker_is_logged_and_the_worker_replaced() -> None:
    source = """
def run_worker(slot, index):
    serve(slot, index, stop=lambda life: life.stopping or (SCRATCH / "boom").exists())
    if (SCRATCH / "boom").exists():
        (SCRATCH / "boom").unlink()
        raise RuntimeError("boom")
"""
    with master(source, workers=1) as m:
        m.ready(1)
        (m.scratch / "boom").touch()
        m.ready(2)
        assert "RuntimeError: boom" in m.stderr
        assert "exited with code 1. It is replaced at once." in m.stderr
        assert m.stop() == 0


def test_silent_worker_is_killed_with_its_stacks_and_replaced() -> None:
    source = """
def wedged():
    (SCRATCH / "wedge").unlink()
    while True:
        time.sleep(60)
def ticking():
    note("tick")
    return not (SCRATCH / "wedge").exists() or wedged()
def run_worker(slot, index):
    serve(slot, index, ticking=ticking)
"""
    with master(source, workers=1, timeout_worker=0.5) as m:
        [(_, pid)] = m.ready(1)
        eventually(lambda: len(m.notes("tick")) > 1)
        (m.scratch / "wedge").touch()
        m.ready(2)
        log = m.logged("in wedged")
        assert f"Worker 1 (pid {pid}) has shown no sign of life" in log
        assert "with 7 connections open" in log
        assert not is_alive(pid)
        assert m.stop() == 0


def test_fork_that_fails_at_first() -> None:
    source = """
def fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = fork
"""
    with master(source, workers=2) as m:
        assert m.wait() == 1
        message = "Cannot start worker 1: Resource temporarily unavailable."
        assert m.stderr.count(message) == 1


def test_fork_that_fails_later_is_tried_again() -> None:
    source = """
real_fork = os.fork
def fork():
    if (SCRATCH / "full").exists():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real_fork()
os.fork = fork
"""
    with master(source, workers=1, backoff_first=0.02) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "full").touch()
        os.kill(pid, signal.SIGKILL)
        m.logged("Resource temporarily unavailable. The next attempt is in 0.02 s.")
        (m.scratch / "full").unlink()
        m.ready(2)
        assert m.stop() == 0


def test_no_zombies_and_no_descriptors_are_left_by_50_generations() -> None:
    with master(workers=1, stable_after=0) as m:
        # The first worker may be up before the master has closed its end of the pipe.
        eventually(lambda: m.notes("banner"))
        before = _descriptors(m.pid)
        for generation in range(1, 51):
            os.kill(m.ready(generation)[-1][1], signal.SIGKILL)
        m.ready(51)

        def nothing_is_left() -> bool:
            assert _descriptors(m.pid) == before
            return True

        eventually(nothing_is_left)
        # is_alive() and children_of() leave zombies out; the kernel's own list has them.
        tasks = Path(f"/proc/{m.pid}/task/{m.pid}/children")
        eventually(lambda: len(tasks.read_text().split()) == 1)
        assert m.stop() == 0


def _descriptors(pid: int) -> dict[str, int]:
    """How many of each kind a process holds: files by name, pipes and sockets as such."""
    directory = Path(f"/proc/{pid}/fd")
    names = [str((directory / entry).readlink()) for entry in os.listdir(directory)]
    return Counter(name.partition(":[")[0] for name in names)


def test_child_that_ends_right_after_it_was_looked_at_is_not_overlooked() -> None:
    source = """
from bare_serve.supervision.child import Child
real_messages = Child.messages
def messages(self):  # which follows the question whether the child has ended
    yield from real_messages(self)
    # Let it end now, and the pipe's end of file be seen, so that only its signal is left.
    if (SCRATCH / "dying").exists():
        (SCRATCH / "dying").unlink()
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        yield from real_messages(self)
Child.messages = messages
def run_worker(slot, index):
    def ticking():
        if (SCRATCH / "die").exists():
            (SCRATCH / "die").rename(SCRATCH / "dying")
            slot.ready({})  # a second time means nothing, but wakes the master without a signal
            time.sleep(60)
        return True
    serve(slot, index, ticking=ticking)
"""
    with master(source, workers=1) as m:
        eventually(lambda: m.notes("banner"))
        (m.scratch / "die").touch()
        m.ready(2)
        assert m.stop() == 0


def test_worker_holds_nothing_of_the_masters_or_its_siblings() -> None:
    source = """
def run_worker(slot, index):
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
             and path.exists() or path.is_socket() or path.is_fifo()]
    note("pipes", sum(link.startswith(("pipe:", "socket:")) for link in links))
    serve(slot, index)
"""
    with master(source, workers=3) as m:
        m.ready(3)
        assert m.notes("pipes") == [["1"]] * 3
        assert m.stop() == 0


def test_master_needs_the_main_thread() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            callbacks = Callbacks(lambda slot, index: None, lambda facts: None)
            Supervisor(Policy(), callbacks).run()
        except UsageError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert "main thread" in str(caught[0])
