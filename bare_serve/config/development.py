"""The options of the development loop, and what the short ones of them stand for.

What lives here: these lines of the table of options, and the defaults of other options that they
change. What must not: the other lines, and the table itself (settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bare_serve.config import kinds
from bare_serve.config.options import option

ENV_FILE: Final = ".env"
"""The file that --dev reads where there is one."""

IMPLIED: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        # A prompt of a debugger may wait for as long as it likes.
        "dev": {"reload": True, "live": True, "workers": 1, "timeout_boot": 0.0}
        | {"timeout_worker": 0.0},
        # Streams that stay open hold neither a reload nor the end.
        "reload": {"timeout_graceful_shutdown": 1.0},
    }
)
"""What a switch that is on has as defaults of others; any source that says another value wins.
A switch that another one implies stands behind that one."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DevelopmentSettings:
    """A part of Settings."""

    dev: bool = option(
        False,
        "Development",
        kinds.SWITCH,
        "For development: --reload, --live, the variables of .env, Django's static files, one "
        "worker, and no timeout that a debugger would run into.",
    )
    reload: bool = option(
        False,
        "Development",
        kinds.SWITCH,
        "Reload when a file of the application changes. What is broken waits for the mend, and the "
        "code before serves.",
    )
    reload_dir: tuple[Path, ...] = option(
        (),
        "Development",
        kinds.several(kinds.DIRECTORY, r":", anywhere=True),
        "Where to look for changes, beside modules that were imported; default: --app-dir; "
        "repeatable.",
    )
    reload_include: tuple[str, ...] = option(
        (),
        "Development",
        kinds.several(kinds.TEXT, r",", anywhere=True),
        "Files to watch beside *.py: a name or path with * and ?, such as '*.html', or one file; "
        "repeatable.",
    )
    reload_exclude: tuple[str, ...] = option(
        (),
        "Development",
        kinds.several(kinds.TEXT, r",", anywhere=True),
        "Files and directories not to watch, likewise; repeatable.",
    )
    error_page: bool = option(
        True,
        "Development",
        kinds.SWITCH,
        "With --reload: show browsers on this machine what has failed, with source and values.",
    )
    live: bool = option(
        False,
        "Development",
        kinds.SWITCH,
        "With --reload: HTML pages load themselves again when new code serves.",
    )
    open: bool = option(
        False, "Development", kinds.SWITCH, "Open the browser once the server is ready."
    )
