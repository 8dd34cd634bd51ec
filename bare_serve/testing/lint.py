"""`lint`: an application that is checked against each clause of its interface.

What lives here: which checks go around an application. What must not: the checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from bare_serve.testing.verdicts import SpecAdvice


def lint(
    app: Callable[..., Any],
    interface: Literal["auto", "wsgi", "asgi"] = "auto",
    on_advice: Callable[[SpecAdvice], None] | None = None,
) -> Callable[..., Any]:
    """Return `app`, checked: and raises `SpecError` where it breaks a clause."""
    return app
