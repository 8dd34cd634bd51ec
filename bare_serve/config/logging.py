"""The options of logs that are few people's: which requests have no line.

What lives here: these lines of the table of options. What must not: the other lines, and the table
itself (settings.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bare_serve.config import kinds
from bare_serve.config.options import option

_PATTERN = re.compile(r"[/*][!->@-~?]*")


def _path(raw: object) -> str:
    text = raw.strip() if isinstance(raw, str) else ""
    if not _PATTERN.fullmatch(text):
        raise ValueError
    return text


_PATH = kinds.Kind("a path, or one with * and ?, such as /health or /static/*", _path, str, "PATH")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoggingSettings:
    """A part of Settings."""

    access_log_skip: tuple[str, ...] = option(
        (),
        "Logging",
        kinds.several(_PATH, r"[,\s]+", anywhere=True),
        "Requests that have no line in it, such as health checks: a path, or one with * and ?; "
        "repeatable. Answers of 500 and above have one all the same.",
    )
