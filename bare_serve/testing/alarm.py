"""Interrupts code that blocks, by a signal of the system's clock.

What lives here: one alarm for the process, and who has asked for it. What must not: waiting for
what does not block, which event loops do by themselves.

Only the main thread can be interrupted, and only where there is SIGALRM: elsewhere a call that
blocks is waited for. A signal reaches `time.sleep`, locks and sockets as well as loops. What
is raised is no Exception, so that no application takes it for an error of its own, and it is
raised again until it has got through. An alarm that somebody else has set before (such as
pytest-timeout) is put back as it was; if it comes sooner than ours, ours is not set at all.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from types import FrameType
from typing import Any

from bare_serve.app.tracebacks import below_us

# Those of the module signal make enums of numbers and handlers, which takes 5 us each.
_c = import_module("_signal")
set_handler: Callable[[int, Any], Any] = _c.signal
setitimer: Callable[..., tuple[float, float]] | None = getattr(_c, "setitimer", None)

_AGAIN = 0.1


class Interrupted(BaseException):
    """Raised in the middle of a call whose time is over."""


class Alarm:
    """One wish to be interrupted."""

    __slots__ = ("_applies", "active", "deadline", "place")

    def __init__(self, seconds: float, applies: Callable[[], bool] | None) -> None:
        self.deadline = monotonic() + seconds
        self.active = True
        """If it is False, nothing is raised any more."""
        self.place = ""
        """Where the code was that has been interrupted."""
        self._applies = applies

    def ring(self, frame: FrameType | None) -> None:
        """Raise, if it is active and this is the code that it is meant for."""
        if not self.active or (self._applies is not None and not self._applies()):
            return
        stack = below_us(traceback.extract_stack(frame))
        last = stack[-1]
        self.place = self.place or f"{last.filename}:{last.lineno} in {last.name}"
        raise Interrupted


_alarms: list[Alarm] = []
_before: Any = None  # the handler, and the timer, that were there
_timer_before = (0.0, 0.0)
_set_at = 0.0


def arm(seconds: float | None, applies: Callable[[], bool] | None = None) -> Alarm | None:
    """Have `Interrupted` raised in this thread after so many seconds.

    Every alarm is given back by `disarm`. None means that nothing will be raised.
    """
    global _before, _timer_before, _set_at
    if seconds is None or setitimer is None:
        return None
    if not _alarms:
        try:
            _before = set_handler(signal.SIGALRM, _ring)
        except ValueError:  # not the main thread
            return None
        _timer_before = setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        _set_at = monotonic()
        if 0 < _timer_before[0] <= seconds:
            _restore()
            return None
    alarm = Alarm(seconds, applies)
    _alarms.append(alarm)
    if len(_alarms) > 1:
        _set_timer()
    return alarm


def disarm(alarm: Alarm | None) -> None:
    """Give an alarm back."""
    if alarm is None:
        return
    alarm.active = False
    _alarms.remove(alarm)
    if _alarms:
        _set_timer()
    else:
        _restore()


def _set_timer() -> None:
    assert setitimer is not None
    first = min(alarm.deadline for alarm in _alarms)
    setitimer(signal.ITIMER_REAL, max(first - monotonic(), 0.001), _AGAIN)


def _restore() -> None:
    assert setitimer is not None
    seconds, interval = _timer_before
    if seconds:  # it goes on where it would be by now
        seconds = max(seconds - (monotonic() - _set_at), 0.001)
    setitimer(signal.ITIMER_REAL, seconds, interval)
    set_handler(signal.SIGALRM, _before if _before is not None else signal.SIG_DFL)


def _ring(signum: int, frame: FrameType | None) -> None:
    now = monotonic()
    for alarm in _alarms[:]:
        if alarm.deadline <= now:
            alarm.ring(frame)
