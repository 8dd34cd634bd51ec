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

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from threading import get_ident, main_thread
from time import monotonic
from types import FrameType
from typing import Any

from bare_serve.app.tracebacks import below_us
from bare_serve.version import PACKAGE

# Those of the module signal make enums of numbers and handlers, which takes 5 us each.
_c = import_module("_signal")
get_handler: Callable[[int], Any] = _c.getsignal
set_handler: Callable[[int, Any], Any] = _c.signal
setitimer: Callable[..., tuple[float, float]] | None = getattr(_c, "setitimer", None)

_SIGALRM = int(getattr(signal, "SIGALRM", 0))
_REAL: int = getattr(_c, "ITIMER_REAL", 0)

Later = Callable[[float, Callable[[], None]], object]
"""Such as `call_later` of an event loop."""

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
        theirs = (each for each in reversed(stack) if not each.filename.startswith(PACKAGE))
        last = next(theirs, stack[-1])
        self.place = self.place or f"{last.filename}:{last.lineno} in {last.name}"
        _claim_the_error()
        raise Interrupted


def _claim_the_error() -> None:
    """Have asyncio not complain that nobody asked for the exception of a task; the test is told."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is not None:
        with contextlib.suppress(RuntimeError):  # no loop runs
            task = asyncio.current_task()
            if task is not None:
                task.add_done_callback(lambda done: done.cancelled() or done.exception())


class Caller:
    """Who calls an ASGI application, and may have an alarm set meanwhile."""

    alarm: Alarm | None = None

    def is_to_blame(self) -> bool:
        """Return whether what runs now is an application that holds up this caller.

        That is the application as called by this one, with its tasks and callbacks, or what other
        calls have left that nobody waits for any more. It is not the test, nor a call that has an
        alarm of its own.
        """
        found = caller.get()
        if found is None or found is self:
            return found is self
        return found.alarm is None or not found.alarm.active


caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Set where an application is called, and so in each task and callback that it makes."""

_alarms: list[Alarm] = []
_before: Any = None  # the handler, and the timer, that were there
_timer_before = (0.0, 0.0)
_set_at = 0.0
_rings_at = 0.0  # for the first time; and every `_AGAIN` seconds from then on
_is_kept = False  # handler and timer may be there without an alarm, see `disarm`


def arm(seconds: float | None, applies: Callable[[], bool] | None = None) -> Alarm | None:
    """Have `Interrupted` raised in this thread after so many seconds.

    Every alarm is given back by `disarm`. None means that nothing will be raised.
    """
    if seconds is None or setitimer is None or get_ident() != main_thread().ident:
        return None
    alarm = Alarm(seconds, applies)
    if _alarms:
        _alarms.append(alarm)
        _set_timer()
    elif (_is_kept and _rings_at <= alarm.deadline and _is_ours()) or _begin(seconds):
        _alarms.append(alarm)
    else:
        return None
    return alarm


def _is_ours() -> bool:
    return get_handler(_SIGALRM) is _ring


def _begin(seconds: float) -> bool:
    """Set handler and timer, unless somebody else's timer comes sooner."""
    global _before, _timer_before, _set_at, _rings_at
    assert setitimer is not None
    if _is_kept and _is_ours():
        _restore()
    try:
        _before = set_handler(_SIGALRM, _ring)
    except ValueError:  # not the main interpreter
        return False
    _timer_before = setitimer(_REAL, seconds, _AGAIN)
    _set_at = monotonic()
    _rings_at = _set_at + seconds
    if 0 < _timer_before[0] <= seconds:
        _restore()
        return False
    return True


def disarm(alarm: Alarm | None, later: Later | None = None) -> None:
    """Give an alarm back.

    Args:
        alarm: what `arm` returned.
        later: calls a function soon, in this thread. With it, handler and timer stay until then,
            so that the next alarm need not set them again; unless another timer waits behind ours.
    """
    global _is_kept
    if alarm is None:
        return
    alarm.active = False
    _alarms.remove(alarm)
    if _alarms:
        _set_timer()
    elif later is None or _timer_before[0]:
        _restore()
    elif not _is_kept:
        _is_kept = True
        later(0, _stop_keeping)


def _stop_keeping() -> None:
    global _is_kept
    _is_kept = False
    if not _alarms and _is_ours():
        _restore()


def _set_timer() -> None:
    global _rings_at
    assert setitimer is not None
    _rings_at = min(alarm.deadline for alarm in _alarms)
    setitimer(_REAL, max(_rings_at - monotonic(), 0.001), _AGAIN)


def _restore() -> None:
    assert setitimer is not None
    seconds, interval = _timer_before
    if seconds:  # it goes on where it would be by now
        seconds = max(seconds - (monotonic() - _set_at), 0.001)
    setitimer(_REAL, seconds, interval)
    set_handler(_SIGALRM, _before if _before is not None else signal.SIG_DFL)


def _ring(signum: int, frame: FrameType | None) -> None:
    if not _alarms:  # the loop that was to call it has ended
        _stop_keeping()
    now = monotonic()
    for alarm in _alarms[:]:
        if alarm.deadline <= now:
            alarm.ring(frame)
