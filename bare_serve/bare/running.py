"""`app.run()`: from an object to a server, or to the name that a server imports it by.

What lives here: how the name is found. What must not: what a server does with it.
"""

from __future__ import annotations

import sys
from typing import Any


def run(app: Any, host: str, port: int, options: dict[str, Any]) -> int:
    """Serve `app` at host and port, and return the exit code: see `Bare.run`."""
    from bare_serve import run as serve

    target: Any = app
    if options.get("reload") or options.get("workers", 1) != 1:
        target = import_string(app)
    return serve(target, host=host, port=port, **options)


def import_string(app: Any) -> str:
    """Return "path/to/file.py:name" for a global of the main program.

    Raises:
        ValueError: it is none.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    names = [name for name, value in vars(main).items() if value is app] if main else []
    if not names or file is None:
        raise ValueError(
            "reload=True and workers= need a name to import the application by, and it is no "
            "global of the program that runs; bare_serve.run('module:app', ...) takes the name"
        )
    return f"{file}:{names[0]}"
