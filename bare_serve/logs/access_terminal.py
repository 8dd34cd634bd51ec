"""The access line for people who watch a terminal: it fits the window, and shows what is slow.

What lives here: that one format. What must not: the formats of files, pipes and programs
(access_format.py), which never change with a window, and the choice (server/logs.py).

There is the time of day and no date, no client that is this machine, and a duration as people say
it. A target that is too long loses its middle, since its ends say most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bare_serve.logs import zone
from bare_serve.logs.access_format import (
    Format,
    LoggedRequest,
    LoggedResponse,
    redactor,
    same,
    word,
)

_SLOW, _VERY_SLOW = 0.5, 5.0
"""Seconds from which on a duration is yellow, and red."""
_LEAST: Final = 16
"""Columns that a target has in the narrowest window."""
_HUES: Final = {"2": "32", "3": "36", "4": "33", "5": "31"}


def terminal_format(
    width: Callable[[], int],
    *,
    colour: bool = False,
    redact: Iterable[str] = (),
    gap: str = "...",
) -> Format:
    """Return time of day, client, method, target, protocol, status, bytes, duration, note.

    Args:
        width: returns the columns of the window, 0 for any number; asked once a second.
        colour: whether parts are coloured.
        redact: names of query parameters whose values are left out.
        gap: what stands for the middle of a target that is too long.
    """
    clean = redactor(redact) or same

    def paint(text: str, hue: str) -> str:
        return f"\x1b[{hue}m{text}\x1b[0m" if colour and hue else text

    def line(
        stamp: tuple[str, int],
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str,
    ) -> str:
        clock, columns = stamp
        before = clock if is_this_machine(client) else f"{clock} {word(client)}"
        method, status = word(request.method), str(response.status)
        protocol = f"HTTP/{request.version}"
        took = duration(seconds)
        after = f" {response.bytes_sent} "
        noted = f" {note}" if note else ""
        # What a WebSocket was open for, of which the note tells, is not slow.
        hue = "" if note or seconds < _SLOW else "33" if seconds < _VERY_SLOW else "31"
        target = word(clean(request.target.decode("latin-1")))
        if columns:
            rest = len(before) + len(method) + len(protocol) + len(status) + len(after) + len(took)
            target = shortened(target, max(columns - rest - len(noted) - 4, _LEAST), gap)
        return (
            f"{paint(before, '2')} {paint(f'{method} {target}', '1')} {paint(protocol, '2')}"
            f" {paint(status, _HUES.get(status[0], '39'))}{after}{paint(took, hue)}{noted}\n"
        )

    return Format(line, lambda now: (zone.stamp(now)[-8:], width()))


def is_this_machine(client: str) -> bool:
    """Return whether a client's address is loopback (RFC 6890), or that of a unix socket."""
    return not client or client == "::1" or client.startswith(("127.", "::ffff:127."))


def shortened(text: str, most: int, gap: str) -> str:
    """Return a text of at most `most` characters, with `gap` for its middle where it is longer."""
    if len(text) <= most:
        return text
    kept = max(most - len(gap), 2)
    end = kept // 2
    return f"{text[: kept - end]}{gap}{text[-end:]}"


def duration(seconds: float) -> str:
    """Return a duration as people say it: 0.42ms, 12.3ms, 230ms, 1.2s, 2m05s, 1h02m."""
    milliseconds = seconds * 1000
    if milliseconds < 9.995:
        return f"{milliseconds:.2f}ms"
    if milliseconds < 99.95:
        return f"{milliseconds:.1f}ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
