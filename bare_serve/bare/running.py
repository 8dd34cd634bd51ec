"""`app.run()`: from an object to a server, or to the name that a server imports it by.

What lives here: how the name is found. What must not: what a server does with it.
"""

from __future__ import annotations

import sys
from typing import Any


def run(app: Any, host: str, port: int, options: dict[str, Any]) -> int:
    """Serve `app` at host and port, and return the exit code: see `Bare.run`."""
    from bare_serve import run as serve

    by_name = options.get("reload") or options.get("workers", 1) != 1
    return serve(import_string(app) if by_name else app, host=host, port=port, **options)


def import_string(app: Any) -> str:
    """Return "path/to/file.py:name" for a global of the main program.

    Raises:
        ValueError: it is none.
    """
    main = sys.modules["__main__"]
    for name, value in vars(main).items():
        if value is app and hasattr(main, "__file__"):
            return f"{main.__file__}:{name}"
    raise ValueError("reload and workers need a name to import the application by: make it global")
