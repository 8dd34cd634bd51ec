"""`lint`: an application that is checked against each clause of its interface.

What lives here: which checks go around an application. What must not: the checks (lint_wsgi.py,
lint_asgi.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from bare_serve.testing.verdicts import OnAdvice, adviser


def lint(
    app: Callable[..., Any],
    interface: Literal["auto", "wsgi", "asgi"] = "auto",
    on_advice: OnAdvice | None = None,
) -> Callable[..., Any]:
    """Return `app` with checks around it; all that it does goes through unchanged.

    May go around an application and around each middleware: what comes from outside (environ,
    scope, events) is checked as well as what the application does.

    A clause that is broken raises `SpecError`: into the application where it broke it, and once
    more out of it if it swallowed that; into the caller where what came from outside is wrong.

    Args:
        app: a WSGI or an ASGI application; of ASGI 2 it becomes one of ASGI 3.
        interface: "auto" looks at the application, as the server does.
        on_advice: takes each `SpecAdvice`, among them notes, which are of little weight; without
            it advice is a warning, and notes are not given.

    Raises:
        AppLoadError: `app` is no application, or it is not clear of which interface.
        ValueError: there is no such interface.
    """
    if interface not in ("auto", "wsgi", "asgi"):
        raise ValueError(f"interface is 'auto', 'wsgi' or 'asgi', not {interface!r}")
    kind: str = interface
    if kind == "auto":
        from bare_serve.app.detect import detect

        kind = detect(app).interface
    advise = adviser(on_advice)
    if kind == "wsgi":
        from bare_serve.testing.lint_wsgi import WsgiLint

        return WsgiLint(app, advise)
    from bare_serve.testing.lint_asgi import AsgiLint

    if kind == "asgi2":
        from bare_serve.asgi.adapters import asgi2_to_asgi3

        app = asgi2_to_asgi3(app)
    return AsgiLint(app, advise, timed=on_advice is not None)
