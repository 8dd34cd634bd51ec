"""Work of the master beside its workers: its time, its descriptor, and who else has that."""

from __future__ import annotations

import math
import os

from bare_serve.supervision.background import Background, Work
from tests.supervision.master import master
from tests.support import eventually


class Noting(Work):
    """A work that remembers when it was looked at."""

    def __init__(self, fd: int | None, due: float) -> None:
        self.fd = fd
        self.due = due
        self.looks: list[float] = []

    def look(self, now: float) -> None:
        self.looks.append(now)
        self.due = now + 10


def test_a_work_is_looked_at_in_its_time_or_when_there_is_something_to_read() -> None:
    timed, heard, both = Noting(None, 1.0), Noting(5, math.inf), Noting(6, 2.0)
    background = Background([timed, heard, both])
    assert [*background.fds()] == [5, 6]
    assert background.due == 1.0
    background.look(0.5, {7})
    assert (timed.looks, heard.looks, both.looks) == ([], [], [])
    background.look(1.0, set())
    assert (timed.looks, heard.looks, both.looks) == ([1.0], [], [])
    assert background.due == 2.0
    background.look(1.5, {5, 6})
    assert (timed.looks, heard.looks, both.looks) == ([1.0], [1.5], [1.5])
    assert background.due == 11.0


def test_nothing_to_do_beside_is_never_due() -> None:
    assert Background().due == math.inf
    assert [*Background().fds()] == []


def test_a_work_is_forgotten_by_its_descriptor() -> None:
    read, write = os.pipe()
    Background([Noting(read, math.inf), Noting(None, 0.0)]).forget()
    try:
        os.set_inheritable(read, False)
    except OSError:
        os.close(write)
    else:
        raise AssertionError("the descriptor is still open")


# A work without a time: only its descriptor wakes the master, whose own looks it does not have to
# wait for, since with this policy there are none.
HEARING = """
os.mkfifo(SCRATCH / "bell")

from bare_serve.supervision.background import Work

class Hearing(Work):
    fd = os.open(SCRATCH / "bell", os.O_RDWR | os.O_NONBLOCK)
    due = float("inf")

    def look(self, now):
        note("heard", os.read(self.fd, 100).decode(), os.getpid())

class Ticking(Work):
    due = 0.0
    left = 3

    def look(self, now):
        note("ticked", self.left)
        self.left -= 1
        self.due = now + 0.01 if self.left else float("inf")

def run_worker(slot, index):
    bell = os.stat(SCRATCH / "bell")
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.stat(f"/proc/self/fd/{name}"), bell):
                note("inherited")
        except OSError:  # the listing's own
            pass
    serve(slot, index)

SupervisorOf = Supervisor
def Supervisor(policy, callbacks):
    return SupervisorOf(policy, callbacks, works=[Hearing(), Ticking()])
"""


def test_the_master_hears_a_work_and_keeps_its_time() -> None:
    with master(HEARING, timeout_worker=0) as m:
        m.ready(1)
        assert m.notes("inherited") == []
        eventually(lambda: m.notes("ticked") == [["3"], ["2"], ["1"]], "three ticks")
        for word in ("one", "two"):
            (m.scratch / "bell").write_text(word)
            eventually(lambda word=word: [word, str(m.pid)] in m.notes("heard"), word)
        assert m.stop() == 0
    assert len(m.workers) == 0
