"""Leadership: one ticket, one leader, whoever is late.

Nothing here waits for time. The monitor's steps are made by hand; threads are real only where the
test is about waiting, and are let go by events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bare_serve.workers.wsgi.leadership import Follower, Leadership, ThreadLimits
from tests.support import eventually


class Threads:
    """Threads that are never started: their seats are looked at instead."""

    def __init__(self, limit: int) -> None:
        self.followers: list[Follower] = []
        self.refuses = False
        self.leadership = Leadership(ThreadLimits(limit), self._spawn, look=0)
        assert self.leadership.start()
        assert woken(self.followers[0])

    def _spawn(self, follower: Follower) -> None:
        if self.refuses:
            raise RuntimeError("can't start new thread")
        self.followers.append(follower)


def woken(follower: Follower) -> bool:
    """Whether the thread on this seat would go on now; takes the wake-up."""
    return follower._gate.acquire(blocking=False)


def test_a_quick_call_keeps_the_lead() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    for _ in range(3):
        assert leadership.reclaim(leadership.offer())
    assert leadership.threads == 1


def test_a_late_call_loses_the_lead_to_a_new_thread() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    call = leadership.offer()
    leadership._promote_follower(call)
    assert woken(threads.followers[1])
    assert not leadership.reclaim(call)
    assert leadership.threads == 2


def test_the_monitor_never_takes_the_ticket_of_another_call() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    seen = leadership.offer()
    assert leadership.reclaim(seen)
    call = leadership.offer()  # begun after the monitor looked
    leadership._promote_follower(seen)
    assert leadership.reclaim(call), "the lead was not lost"
    assert not woken(threads.followers[1])


def test_a_late_thread_leads_again() -> None:
    threads = Threads(2)
    leadership = threads.leadership
    first = leadership.offer()
    leadership._promote_follower(first)
    assert woken(threads.followers[1])
    assert not leadership.reclaim(first)
    done = stand_by(leadership, threads.followers[0])
    eventually(lambda: leadership._standby)
    second = leadership.offer()
    leadership._promote_follower(second)
    assert done() is True
    assert not leadership.reclaim(second)
    assert leadership.threads == 2, "no third thread"


def stand_by(leadership: Leadership, follower: Follower) -> Callable[[], bool]:
    """Stands by in a thread; what comes back waits for the result."""
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(leadership.stand_by(follower)))
    thread.start()

    def result() -> bool:
        thread.join(10)
        return results[0]

    return result


def test_with_all_threads_busy_the_first_to_finish_leads_at_once() -> None:
    threads = Threads(2)
    leadership = threads.leadership
    first = leadership.offer()
    leadership._promote_follower(first)
    assert woken(threads.followers[1])
    second = leadership.offer()
    leadership._promote_follower(second)  # nobody is there to lead
    assert leadership.stand_by(threads.followers[0]), "did not even wait"
    assert not leadership.reclaim(second)


def test_with_all_threads_busy_the_last_keeps_its_lead_if_it_is_the_first() -> None:
    threads = Threads(2)
    leadership = threads.leadership
    leadership._promote_follower(leadership.offer())
    assert woken(threads.followers[1])
    second = leadership.offer()
    leadership._promote_follower(second)
    assert leadership.reclaim(second)
    done = stand_by(leadership, threads.followers[0])
    eventually(lambda: leadership._standby)
    leadership.close()
    assert done() is False


def test_a_lead_that_is_given_beforehand() -> None:
    threads = Threads(2)
    leadership = threads.leadership
    first = leadership.give()
    assert woken(threads.followers[1])
    second = leadership.give()  # by the thread on the second seat: all are busy
    assert not leadership.reclaim(first)
    assert leadership.stand_by(threads.followers[0])
    assert not leadership.reclaim(second)


def test_a_lead_that_nobody_could_take() -> None:
    threads = Threads(1)
    leadership = threads.leadership
    assert leadership.reclaim(leadership.give())


def test_a_system_without_threads(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads(8)
    leadership = threads.leadership
    threads.refuses = True
    call = leadership.offer()
    for _ in range(3):
        leadership._promote_follower(call)
    assert leadership.reclaim(call)
    assert leadership.reclaim(leadership.give())
    assert caplog.text.count("Cannot start another thread: can't start new thread.") == 1
    threads.refuses = False
    call = leadership.offer()
    leadership._promote_follower(call)
    assert woken(threads.followers[1])


def test_no_first_thread() -> None:
    def spawn(follower: Follower) -> None:
        raise RuntimeError("can't start new thread")

    assert not Leadership(ThreadLimits(8), spawn).start()


def test_abolished() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    assert not leadership.end_leadership(), "the leader is in its loop"
    call = leadership.offer()
    assert leadership.end_leadership()
    leadership._promote_follower(call)
    assert not leadership.reclaim(call)
    assert not any(woken(follower) for follower in threads.followers), "and nobody else leads"


def test_closed_for_those_who_wait_and_those_who_come() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    leadership._promote_follower(leadership.offer())
    waiting = stand_by(leadership, threads.followers[0])
    eventually(lambda: leadership._standby)
    leadership.close()
    assert waiting() is False
    assert leadership.stand_by(threads.followers[1]) is False
    assert leadership.reclaim(leadership.give()), "and nobody is woken"


# ---------------------------------------------------------------- waiting for clients, and room


class Company(Threads):
    """Two calls at once, one thread to lead beside them, three that may wait for clients."""

    def __init__(self, most_waiting: int = 3) -> None:
        self.followers = []
        self.refuses = False
        self.told = 0
        limits = ThreadLimits(2, spare=1, waiting=most_waiting)
        self.leadership = Leadership(limits, self._spawn, look=0, room=self._room)
        assert self.leadership.start()
        assert woken(self.followers[0])

    def _room(self) -> None:
        self.told += 1

    def late(self) -> int:
        """The leader makes a call that loses the lead."""
        call = self.leadership.offer()
        self.leadership._promote_follower(call)
        assert not self.leadership.reclaim(call)
        return call


def test_who_waits_for_a_client_gives_the_lead_away_at_once() -> None:
    threads = Company()
    leadership = threads.leadership
    call = leadership.offer()
    leadership.begin_wait(call)
    assert woken(threads.followers[1])
    assert not leadership.reclaim(call)
    leadership.end_wait()
    assert leadership.waiting == 0


def test_who_waits_and_does_not_lead_takes_nobodys_lead() -> None:
    threads = Company()
    leadership = threads.leadership
    late = threads.late()
    call = leadership.offer()
    leadership.begin_wait(late)
    assert leadership.reclaim(call)


def test_somebody_leads_while_all_calls_are_late_and_makes_none() -> None:
    threads = Company()
    leadership = threads.leadership
    assert leadership.may_call()
    threads.late()
    assert leadership.may_call()
    threads.late()
    assert woken(threads.followers[2]), "one more than calls"
    assert not leadership.may_call()
    assert leadership.held
    assert threads.told == 0
    done = stand_by(leadership, threads.followers[0])
    eventually(lambda: threads.told == 1)
    assert not leadership.held
    assert leadership.may_call()
    leadership.close()
    assert done() is False


def test_a_call_that_waits_for_its_client_makes_room_for_another() -> None:
    threads = Company()
    leadership = threads.leadership
    first = threads.late()
    threads.late()
    assert not leadership.may_call()
    leadership.begin_wait(first)
    assert threads.told == 1
    assert leadership.may_call()
    leadership.end_wait()
    assert not leadership.may_call(), "it counts again"


def test_beyond_the_most_that_may_wait_they_count() -> None:
    threads = Company(most_waiting=1)
    leadership = threads.leadership
    first, second, third = threads.late(), threads.late(), threads.late()
    leadership.begin_wait(first)
    assert leadership.crowded
    leadership.begin_wait(second)
    assert leadership.waiting == 1
    assert not leadership.may_call()
    leadership.begin_wait(third)
    assert not leadership.may_call()
    for _ in range(2):
        leadership.end_wait()
        assert leadership.waiting == 1, "another takes the place"
    leadership.end_wait()
    assert leadership.waiting == 0
    assert not leadership.crowded


def test_threads_made_while_others_waited_end_when_they_are_not_needed() -> None:
    threads = Company()
    leadership = threads.leadership
    calls = [threads.late() for _ in range(2)]
    for call in calls:
        leadership.begin_wait(call)
    calls += [threads.late() for _ in range(2)]
    assert leadership.threads == 5
    assert all(woken(follower) for follower in threads.followers[1:]), "each has led in its turn"
    for _ in range(2):
        leadership.end_wait()
    waiting = [stand_by(leadership, follower) for follower in threads.followers[:2]]
    eventually(lambda: len(leadership._standby) == 2)
    assert leadership.stand_by(threads.followers[2]) is False
    assert leadership.stand_by(threads.followers[3]) is False
    assert leadership.threads == 3
    leadership.close()
    assert [done() for done in waiting] == [False, False]


# ---------------------------------------------------------------- the monitor


class Looks:
    """Drives `monitor`: each look happens between two steps of the script."""

    def __init__(self, *script: Callable[[], object]) -> None:
        self._script = list(script)

    def over(self) -> bool:
        if not self._script:
            return True
        self._script.pop(0)()
        return False


def test_the_monitor_takes_a_call_seen_twice() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    looks = Looks(leadership.offer, lambda: None)
    leadership.monitor(looks.over)
    assert woken(threads.followers[1])


def test_the_monitor_leaves_calls_it_sees_once() -> None:
    threads = Threads(8)
    leadership = threads.leadership

    def another() -> None:
        leadership.reclaim(leadership.calls)
        leadership.offer()

    leadership.monitor(Looks(*[another] * 50).over)
    assert leadership.threads == 1
    assert leadership.reclaim(leadership.calls)


def test_the_monitor_keeps_looking_while_everybody_is_busy() -> None:
    threads = Threads(1)
    leadership = threads.leadership
    call = leadership.offer()
    leadership.monitor(Looks(*[lambda: None] * 50).over)
    assert not leadership._asleep
    assert leadership.stand_by(threads.followers[0]), "whoever is free next takes the ticket"
    assert not leadership.reclaim(call)


def test_an_idle_monitor_sleeps_until_the_next_call() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    over = threading.Event()
    monitor = threading.Thread(target=leadership.monitor, args=(over.is_set,))
    monitor.start()
    for _ in range(2):
        eventually(lambda: leadership._asleep)
        leadership.offer()  # rings
        eventually(lambda: not leadership._table, "the late call is deposed")
    over.set()
    leadership.ring()
    monitor.join(10)
    assert not monitor.is_alive()


def test_an_idle_monitor_sleeps_until_a_lead_is_given_away() -> None:
    threads = Threads(8)
    leadership = threads.leadership
    leadership.reclaim(leadership.offer())
    leadership._promote_follower(leadership.offer())
    threads_standing_by = threading.Thread(target=leadership.stand_by, args=(threads.followers[0],))
    threads_standing_by.start()
    eventually(lambda: leadership._standby)
    leadership._asleep = True
    leadership.give()
    assert leadership._alarm.acquire(blocking=False), "it was rung"
    threads_standing_by.join(10)


def test_an_idle_monitor_wakes_up_as_often_as_somebody_needs() -> None:
    asked: list[int] = []

    def over() -> bool:
        asked.append(1)
        return len(asked) > 300

    leadership = Leadership(ThreadLimits(1), lambda follower: None, look=0, nap=0.001)
    leadership.monitor(over)  # a second each, without
    assert len(asked) == 301


def test_ringing_twice_is_harmless() -> None:
    leadership = Threads(8).leadership
    leadership.ring()
    leadership.ring()


def test_there_is_one_leader_whatever_happens() -> None:
    """Threads lead, are deposed by a monitor that never pauses, and count each other."""
    leaders, most, rounds = [0], [0], [0]
    over = threading.Event()
    living: list[threading.Thread] = []

    def work(follower: Follower) -> None:
        goes_on = follower.wait()
        while goes_on and not over.is_set():
            leading = True
            leaders[0] += 1
            while leading and not over.is_set():
                most[0] = max(most[0], leaders[0])
                rounds[0] += 1
                leaders[0] -= 1
                call = leadership.give() if rounds[0] % 3 == 0 else leadership.offer()
                threading.Event().wait(0)  # lets the monitor and the others run
                leading = leadership.reclaim(call)
                if leading:
                    leaders[0] += 1
            if not over.is_set():
                goes_on = leadership.stand_by(follower)

    def spawn(follower: Follower) -> None:
        thread = threading.Thread(target=work, args=(follower,))
        thread.start()
        living.append(thread)

    leadership = Leadership(ThreadLimits(4), spawn, look=0)
    assert leadership.start()

    def done() -> bool:
        return rounds[0] >= 20_000 or most[0] > 1

    leadership.monitor(done)
    over.set()
    leadership.close()
    for thread in living:
        thread.join(10)
        assert not thread.is_alive()
    assert most[0] == 1
    assert 1 < len(living) <= 4
