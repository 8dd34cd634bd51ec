"""What this process has open."""

from __future__ import annotations

import contextlib
from pathlib import Path


def opened_below(top: Path) -> list[str]:
    """The open descriptors that lead to a directory or to what is in it, by path."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return sorted(path for path in found if path.startswith(str(top)))
