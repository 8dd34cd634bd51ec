"""What a worker says to the master in its pipe: lines of JSON, `["ready", {...}]` for instance.

The application has the pipe as well, and may be another user's than the master is: nothing it
writes may end the master, fill its memory or keep it here. A line that no WorkerSlot would write
says nothing. Facts are shown in the banner: they are made fit for it.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 1 << 20
"""Bytes of a line; a traceback is the longest that a worker sends."""
FAILURES = ("failed", "misused")
"""Kinds that say that the boot failed: by the application, or by settings that are wrong."""
_LONGEST_FACT = 1000


class Facts(dict[str, str]):
    """What is shown of a worker that is ready; what it did not say is empty."""

    def __missing__(self, name: str) -> str:
        return ""


def parse(line: bytes) -> tuple[str, Any] | None:
    """Return kind and value: Facts for "ready", None for "debugged", texts for the others.

    A failure has three, the last of which may be empty, "imported" any number. None for anything
    else.
    """
    try:
        kind, value = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if kind == "debugged":
        return kind, None
    if kind == "ready" and isinstance(value, dict):
        return kind, Facts((name, _fact(text)) for name, text in value.items())
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return None
    if kind == "imported":
        return kind, tuple(value)
    if kind in FAILURES and len(value) in (2, 3):
        message, details, *exception = value
        whole = "\n".join(map(printable, message.split("\n")))
        return kind, (whole, details, "".join(exception))
    return None


def printable(text: str) -> str:
    """Return the text without anything that breaks a line or moves a cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _fact(value: object) -> str:
    return printable(str(value)[:_LONGEST_FACT])
