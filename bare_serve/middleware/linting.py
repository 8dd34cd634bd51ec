"""The lint of bare_serve.testing around an application: what breaks a specification is an error.

For development. It is a middleware of the classic form, since it looks at each event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def lint(app: Callable[..., Any]) -> Callable[..., Any]:
    """`lint`: checks an application, and what is around it, against WSGI or ASGI."""
    from bare_serve.testing.linting import lint as linted

    return linted(app)
