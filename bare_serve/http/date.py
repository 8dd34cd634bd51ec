"""The clock of the wire: the Date line of HTTP answers, rebuilt once a second.

What lives here: the current IMF-fixdate (RFC 9110, 5.6.7) as ready bytes.
What must not: timers, deadlines (they belong to the loops), local time zones.

An origin server with a clock sends Date in every answer (RFC 9110, 6.6.1). Formatting it
takes longer than parsing a small request, so the text of the running second is remembered.
"""

from __future__ import annotations

import time
from typing import Final

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Not by strftime, which follows the locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

wall_clock: Final = time.time
"""The clock of Date lines: seconds since the epoch."""

_second = -1
_line = b""


def format_http_date(timestamp: float) -> bytes:
    """`timestamp` (seconds since the epoch) as an IMF-fixdate, RFC 9110, 5.6.7.

    The names are written out here because `time.strftime` follows the locale.
    """
    t = time.gmtime(timestamp)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {MONTHS[t.tm_mon - 1]} {t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"
    ).encode("ascii")


def date_line(now: float | None = None) -> bytes:
    """Return the header line `Date: ...` with its CRLF, for the current second."""
    global _second, _line
    second = int(wall_clock() if now is None else now)
    if second != _second:
        _line = b"Date: " + format_http_date(second) + b"\r\n"
        _second = second
    return _line
