"""Limits and deadlines that nobody has set are those of the settings, and those that docs name."""

from __future__ import annotations

import math
from pathlib import Path

from bare_serve.composing import worker_options
from bare_serve.http1 import Limits, Timeouts
from bare_serve.http1.limits import LINGER_BYTES, LINGER_SECONDS
from bare_serve.settings import Settings


def test_what_is_not_said_is_as_the_settings_have_it() -> None:
    """A component that is used by itself behaves as the command does."""
    options = worker_options(Settings())
    assert options.limits == Limits()
    assert options.timeouts == Timeouts()


def test_the_limits() -> None:
    assert Limits() == (8190, 100, 65_536, 1 << 30, 4096, 256 * 1024)
    assert Limits().request_line >= 8000, "RFC 9112, 3"


def test_what_is_drained_is_what_the_docs_say(root: Path) -> None:
    text = (root / "docs" / "wsgi.md").read_text(encoding="utf-8")
    assert "drained up to 256 KiB" in text
    assert Limits().drain == 256 * 1024


def test_a_close_lingers_within_bounds() -> None:
    assert (LINGER_SECONDS, LINGER_BYTES) == (5.0, 64 * 1024 * 1024)


def test_the_deadlines() -> None:
    assert Timeouts() == (10.0, 30.0, 30.0, 75.0)
    assert [Timeouts(keep_alive=t).persistent for t in (0, 0.001, 75, math.inf)] == [
        False,
        True,
        True,
        True,
    ]
