"""Middleware around any application, WSGI or ASGI: the interface of this folder.

What lives here: names, and where each is defined; a name is imported when it is asked for. Each
middleware is written once, as a policy (policy.py); `wrap` puts policies around an application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bare_serve.middleware.policy import (
        Answer,
        Exchange,
        FileBody,
        Head,
        Headers,
        Outcome,
        Policy,
    )
    from bare_serve.middleware.stack import wrap

_HOMES = {
    **dict.fromkeys(
        ("Answer", "Exchange", "FileBody", "Head", "Headers", "Outcome", "Policy"), "policy"
    ),
    "wrap": "stack",
}

__all__ = [
    "Answer",
    "Exchange",
    "FileBody",
    "Head",
    "Headers",
    "Outcome",
    "Policy",
    "wrap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
