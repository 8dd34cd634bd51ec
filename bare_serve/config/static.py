"""The options of static files, and how the value of `--static` is read.

What lives here: these lines of the table of options. What must not: the other lines, and the table
itself (settings.py); what is done with a directory (middleware/static.py).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

from bare_serve.config import kinds
from bare_serve.config.options import option
from bare_serve.errors import UsageError

DJANGO = "django"
GROUP = "Static files"


class Mount(NamedTuple):
    """A directory, or one file, and the path under which it is found."""

    prefix: str
    path: str
    """Absolute; empty for what the settings of Django say."""


def _mount(raw: object) -> Mount:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError
    if raw.strip() == DJANGO:
        return Mount(DJANGO, "")
    prefix, equals, path = raw.partition("=")
    if not equals or not path.strip() or not prefix.startswith("/"):
        raise ValueError
    # A link is left as it is: a deployment may put another one in its place.
    path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
    try:
        os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from None
    return Mount(prefix, path)


def _shown(mount: Mount) -> str:
    return f"{mount.prefix}={mount.path}" if mount.path else mount.prefix


_MOUNT = kinds.Kind(
    "a path and a directory, or a file; write /assets=DIR", _mount, _shown, "/PATH=DIR"
)


def _pattern(raw: object) -> str:
    text = kinds.TEXT.parse(raw)
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from None
    return str(text)


_PATTERN = kinds.Kind("a regular expression", _pattern, metavar="REGEX")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StaticSettings:
    """A part of Settings."""

    static: tuple[Mount, ...] = option(
        (),
        GROUP,
        kinds.several(_MOUNT, r"[,\r\n]+"),
        "Serve the files of DIR, or one file, under a path of the site, without the application; "
        "repeatable. django: the collected files of a Django project.",
    )
    static_index: bool = option(
        False, GROUP, kinds.SWITCH, "Answer a directory by its index.html, if that is there."
    )
    static_immutable: str | None = option(
        None,
        GROUP,
        _PATTERN,
        "Files whose path this regular expression finds never change, and are kept by browsers for "
        r"a year: '\.[0-9a-f]{8,}\.' for names with a hash.",
    )
    static_max_age: float = option(
        0.0,
        GROUP,
        kinds.duration(),
        "For browsers to keep other files without asking again; off: they ask each time.",
    )
    static_fallthrough: bool = option(
        False,
        GROUP,
        kinds.SWITCH,
        "Leave what is not there to the application, as under / in any case; else it is a 404.",
    )
