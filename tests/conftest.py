"""What every test may ask for.

Helpers live in `tests.support` (import them by name); fixtures that only wrap one live here.
A test starts real processes with `serve`, talks to them with `RawClient` or an HTTP library,
and waits for facts with `eventually`; it never sleeps and never picks a fixed port.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT
