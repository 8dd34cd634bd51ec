"""Tools for the tests of applications: the interface of this folder.

What lives here: names, and where each is defined. A name is imported when it is asked for, so that
a test pays only for what it uses. No server imports anything of this folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bare_serve.testing.linting import lint
    from bare_serve.testing.live import LiveServer, LiveServers
    from bare_serve.testing.live_request import LiveResponse
    from bare_serve.testing.verdicts import SpecAdvice, SpecError

_HOMES = {
    "LiveResponse": "live_request",
    "LiveServer": "live",
    "LiveServers": "live",
    "SpecAdvice": "verdicts",
    "SpecError": "verdicts",
    "lint": "linting",
}

__all__ = ["LiveResponse", "LiveServer", "LiveServers", "SpecAdvice", "SpecError", "lint"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
