"""Local time as it was when the server started, whatever an application makes of TZ later.

What lives here: when the local time's distance from UTC changes, found out once (`fix`), and the
time that follows from it (`local_time`). What must not: the clock of the wire (http/date.py).

An application may set TZ and call time.tzset(), as Django does in each worker. The master does not
follow, so lines of one log would have two zones. The C library has one zone for a process and no
way to ask it for another, so its rules are written down for the years ahead.
"""

from __future__ import annotations

import time
from bisect import bisect_right

_AHEAD = 4 * 366 * 86400  # half a millisecond of each start; beyond, the zone is the process's own
_STEP = 14 * 86400  # rules that hold for less than this are none (tzdata has a month at the least)

_since: list[float] = []
"""From when on each of the offsets holds; nothing before `fix` has been called."""
_offsets: list[int] = []
_until = 0.0


def fix(now: float | None = None) -> None:
    """Take the zone that TZ names, or the system's, for all that `local_time` is asked from now on.

    TZ is read anew: it may have been set since the process started.
    """
    global _until
    time.tzset()
    now = time.time() if now is None else now
    at = int(now) - _STEP  # the clock may be set back a little
    since, offsets = [float(at)], [_asked(at)]
    while at < now + _AHEAD:
        later = at + _STEP
        if (offset := _asked(later)) != offsets[-1]:
            since.append(_change(at, later, offsets[-1]))
            offsets.append(offset)
        at = later
    _since[:], _offsets[:], _until = since, offsets, float(at)


def local_time(now: float) -> tuple[time.struct_time, int]:
    """Return the local time at `now`, seconds since the epoch, and its offset from UTC."""
    if _since and _since[0] <= now < _until:
        offset = _offsets[bisect_right(_since, now) - 1]
    else:
        offset = _asked(now)
    return time.gmtime(now + offset), offset


def stamp(now: float) -> str:
    """Return date and time as lines for people begin: 2026-01-31 12:00:00."""
    t, _ = local_time(now)
    return f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"


def _asked(at: float) -> int:
    """Return the offset from UTC, in seconds, as the C library has it now."""
    return time.localtime(at).tm_gmtoff


def _change(before: int, after: int, offset: int) -> float:
    """Return the first second at which `offset` holds no longer."""
    while after - before > 1:
        middle = (before + after) // 2
        if _asked(middle) == offset:
            before = middle
        else:
            after = middle
    return float(after)
