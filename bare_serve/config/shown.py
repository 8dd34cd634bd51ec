"""Settings as they are shown: each with its value and where the value came from.

What lives here: what --print-config says, as a table and as JSON, how one value is written for
people, and which settings mean nothing to an application of one kind. What must not: reading
values (sources.py), and printing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bare_serve.config import kinds
from bare_serve.config.options import Option
from bare_serve.config.settings import OPTIONS, Settings


def table(settings: Settings, changed: bool = False) -> list[tuple[str, str, str]]:
    """Return a row for each setting: its name, its value, where the value came from.

    If `changed`, only for those that differ from the default.
    """
    return [
        (
            option.key,
            shown(option, getattr(settings, option.name)),
            settings.sources.get(option.name, "default"),
        )
        for option in _listed(settings, changed)
    ]


def _listed(settings: Settings, changed: bool) -> Iterator[Option]:
    for option in OPTIONS:
        if option.stands_for is not None:
            continue
        # That of a directory is made absolute without being set.
        differs = option.name in settings.sources
        if not changed or (differs and getattr(settings, option.name) != option.default):
            yield option


def without_effect(settings: Settings, kind: str) -> list[str]:
    """Return what was asked for and means nothing to an application of this kind, asgi or wsgi.

    What leaves the choice to the server, or turns something off, asks for nothing.
    """
    return [
        f"{option.key} ({settings.sources[option.name]})"
        for option in OPTIONS
        if option.only not in ("", kind)
        and option.name in settings.sources
        and getattr(settings, option.name) not in (0, "auto", "off")
    ]


def shown(option: Option, value: Any) -> str:
    """Return a value as people write it; a dash for nothing."""
    return "-" if value is None or value in ("", ()) else option.kind.show(value)


def _json_value(option: Option, value: Any) -> Any:
    if option.kind.secret and value is not None:
        return kinds.HIDDEN
    if option.kind.texts:
        return [option.kind.show((each,)) for each in value]
    if value == math.inf:  # for which JSON has no number
        return option.kind.show(value)
    return str(value) if isinstance(value, Path) else value


def plain(settings: Settings, changed: bool = False) -> dict[str, dict[str, Any]]:
    """Each setting with its value, as JSON has it, and where the value came from.

    If `changed`, only those that differ from the default.
    """
    return {
        option.key: {
            "value": _json_value(option, value),
            "source": settings.sources.get(option.name, "default"),
        }
        for option in _listed(settings, changed)
        for value in (getattr(settings, option.name),)
    }
